"""The time of the next backup: each night once, after a missed night at once, after a failure again and again."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.schedule import JITTER, LAST_RETRY, is_due, is_late, parse_time, retry_after
from infrastructure.local.backup.status import Status

AT = time(3, 15)
INSTALLATION = "0a1b2c3d"
BERLIN = ZoneInfo("Europe/Berlin")


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def done(at: datetime) -> Status:
    """The status after a backup that ended then."""
    return Status(place="/backups", name="x", at_ms=ms(at))


def due(status: Status, now: datetime) -> bool:
    return is_due(status, now, AT, INSTALLATION)


def test_the_first_one_is_taken_at_once() -> None:
    assert due(Status(place="/backups"), datetime(2026, 11, 28, 14, 0, tzinfo=BERLIN))


def test_one_is_taken_each_night_and_not_twice() -> None:
    now, last, taken = datetime(2026, 11, 1, 12, 0, tzinfo=UTC), datetime(2026, 11, 1, 11, 0, tzinfo=UTC), []
    for _ in range(10 * 24 * 12):
        now += timedelta(minutes=5)
        if due(done(last), now):
            taken.append(now)
            last = now
    assert [each.day for each in taken] == list(range(2, 12))
    begin = timedelta(hours=3, minutes=15)
    begins = [each - each.replace(hour=0, minute=0) for each in taken]
    assert all(begin <= each <= begin + JITTER + timedelta(minutes=5) for each in begins)
    assert len(set(begins)) > 1, "machines that share a place do not all begin at once"


def test_the_time_is_of_the_machines_clock() -> None:
    last = datetime(2026, 7, 1, 12, 0, tzinfo=BERLIN)
    assert not due(done(last), datetime(2026, 7, 2, 3, 14, tzinfo=BERLIN))
    assert due(done(last), datetime(2026, 7, 2, 3, 36, tzinfo=BERLIN))


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)])
def test_a_night_in_which_clocks_change_has_one(day: datetime) -> None:
    at, start = time(2, 30), day.astimezone(UTC) - timedelta(hours=12)
    last, taken = start, 0
    for minutes in range(0, 36 * 60, 5):
        now = (start + timedelta(minutes=minutes)).astimezone(BERLIN)
        if is_due(done(last), now, at, INSTALLATION):
            taken, last = taken + 1, now
    assert taken == 1


def test_a_night_that_was_missed_is_made_up_for() -> None:
    last = datetime(2026, 11, 20, 3, 20, tzinfo=UTC)
    assert due(done(last), datetime(2026, 11, 28, 9, 0, tzinfo=UTC))


def test_a_failure_is_retried_with_growing_pauses() -> None:
    now = datetime(2026, 11, 28, 3, 30, tzinfo=UTC)
    status = done(now - timedelta(days=1))
    pauses = []
    for _ in range(8):
        status = status.failed("no", ms(now))
        start = now
        while not due(status, now):
            now += timedelta(minutes=1)
        pauses.append((now - start) // timedelta(minutes=1))
    assert pauses == [5, 10, 20, 40, 60, 60, 60, 60]


def test_a_success_ends_the_row_of_failures() -> None:
    before = done(datetime(2026, 11, 27, 3, 20, tzinfo=UTC))
    status = before.failed("no", 5).failed("no", 6)
    assert (status.failures, status.problem, status.at_ms) == (2, "no", before.at_ms)
    after = replace(status, mailed=True).succeeded("y", 12, 99)
    assert (after.failures, after.problem, after.mailed, after.at_ms, after.verified_at_ms) == (0, "", False, 99, 99)


@given(st.integers(1, 10_000))
def test_a_pause_is_never_longer_than_an_hour(failures: int) -> None:
    assert timedelta(minutes=5) <= retry_after(failures) <= LAST_RETRY


def test_a_clock_that_was_put_back_silences_nothing() -> None:
    now = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    assert due(done(now + timedelta(days=300)), now)
    assert due(Status(failures=1, tried_at_ms=ms(now + timedelta(days=300))), now)


def test_a_backup_is_late_after_26_hours() -> None:
    at = datetime(2026, 11, 28, 3, 20, tzinfo=UTC)
    assert not is_late(done(at), ms(at + timedelta(hours=26)))
    assert is_late(done(at), ms(at + timedelta(hours=26, seconds=1)))
    assert is_late(Status(), ms(at))


@pytest.mark.parametrize("text", ["3", "25:00", "03:60", "03.15", "", "night", "03:15:00"])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(BackupFailed, match="no time of the day"):
        parse_time(text)


def test_a_time_is_read() -> None:
    assert parse_time("03:15") == AT
