"""Quiet hours: by the clock of their zone, over midnight, and over a change of the clocks."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import Step, Subject, earliest
from chalicelib.model.notices.quiet_hours import parse_quiet_hours


def at(text: str, zone: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("setting", "now", "end"),
    [
        ("22:00-07:00 Europe/Berlin", "2026-11-28T21:59:59", None),
        ("22:00-07:00 Europe/Berlin", "2026-11-28T22:00", "2026-11-29T07:00"),
        ("22:00-07:00 Europe/Berlin", "2026-11-29T06:59", "2026-11-29T07:00"),
        ("22:00-07:00 Europe/Berlin", "2026-11-29T07:00", None),
        ("22:00-07:00 Europe/Berlin", "2026-11-29T12:00", None),
        ("12:00-14:30 Europe/Lisbon", "2026-11-29T12:00", "2026-11-29T14:30"),
        ("12:00-14:30 Europe/Lisbon", "2026-11-29T14:30", None),
        ("22:00-07:00 Europe/Berlin", "2026-10-24T23:00", "2026-10-25T07:00"),
        ("22:00-07:00 Europe/Berlin", "2027-03-27T23:00", "2027-03-28T07:00"),
        ("22:00 - 02:30  Europe/Berlin", "2027-03-27T23:00", "2027-03-28T02:30"),
        ("22:00-07:00 America/Sao_Paulo", "2026-11-28T23:30", "2026-11-29T07:00"),
    ],
)
def test_when_the_quiet_hours_end(setting: str, now: str, end: str | None) -> None:
    zone = setting.split()[-1]
    quiet = parse_quiet_hours(setting)
    assert quiet is not None
    assert quiet.end_of(at(now, zone)) == (None if end is None else at(end, zone))


@pytest.mark.parametrize(
    "text", ["22-7", "22:00-07:00", "24:00-07:00 UTC", "22:00-22:00 UTC", "22:00-07:00 Berlin/Mitte"]
)
def test_a_setting_that_is_none_says_why(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(it|Berlin/Mitte) "):
        parse_quiet_hours(text)


def test_no_setting_is_no_quiet_hours() -> None:
    assert parse_quiet_hours("  ") is None


def test_what_can_wait_waits_for_the_morning_and_what_cannot_is_sent_at_once() -> None:
    quiet = parse_quiet_hours("22:00-07:00 Europe/Berlin")
    night, morning = at("2026-11-28T23:00", "Europe/Berlin"), at("2026-11-29T07:00", "Europe/Berlin")
    for subject, kind, due in (
        (Subject.NEWS, NoticeKind.DISCONNECTED, night),
        (Subject.NEWS, NoticeKind.MAIL_BOUNCED, morning),
        (Subject.REMINDER, NoticeKind.DISCONNECTED, morning),
        (Subject.ALL_CLEAR, NoticeKind.DISCONNECTED, morning),
    ):
        assert earliest(Step(subject, night), kind, quiet, night) == due
        assert earliest(Step(subject, night), kind, None, night) == night
    later = Step(Subject.ALL_CLEAR, at("2026-11-28T22:03", "Europe/Berlin"))
    assert earliest(later, NoticeKind.CONFLICT, quiet, at("2026-11-28T21:58", "Europe/Berlin")) == morning
