"""Events between two reports: lines of the timeline, and mails that are sent once, to owner or operators."""

from dataclasses import replace
from typing import Any, cast

import pytest

from chalicelib import metrics
from chalicelib.errors import NotFound, TransientError
from chalicelib.model import EventKind, Invite, Problem, apply_report
from chalicelib.model.session import problem_of
from chalicelib.reconcilers import reconcile
from chalicelib.sessions import events
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, FakeMailer
from tests.unit.support.online_line import (
    T,
    mailed,
)
from wire import Phase, ProblemCode, Restriction, SessionReport


def test_a_logout_on_the_phone_mails_the_owner_a_fresh_link_at_most_once_in_six_hours(
    line: Services, clock: Clock
) -> None:
    online = line.sessions.get(T)
    ended = replace(online, phase=Phase.LOGGED_OUT, number=None, unsent_notice=Phase.LOGGED_OUT)
    clock.pass_seconds(15 * 60)
    for _ in range(2):
        events.record_changes(line, online, ended, clock())
    assert mailed(line) == [("logged_out", "owner@example.com")]
    events.record_changes(line, online, ended, clock.pass_seconds(6 * 3600))
    assert len(mailed(line)) == 2


def reports(services: Services, clock: Clock, phase: Phase, **seen_there: Any) -> None:
    """Reports a phase as the session's runner does, and records the changes."""
    runner = services.runners.get("runneraaaa")
    before = services.sessions.get(T)
    assert runner is not None
    report = SessionReport(tenant=T, epoch=before.epoch, sequence=before.sequence + 1, phase=phase, **seen_there)
    after = apply_report(before, report, clock())
    assert services.sessions.record_report(runner, before, after)
    events.record_changes(services, before, after, clock())


def minutes_pass(services: Services, clock: Clock, minutes: int) -> list[tuple[str, str]]:
    """Returns the mails of the reconcile loop in this time; the runner sends heartbeats throughout."""
    before = len(mailed(services))
    for _ in range(minutes):
        clock.pass_seconds(60)
        runner = services.runners.get("runneraaaa")
        assert runner is not None
        services.runners.renew_lease(runner, clock(), capacity=5, draining=False, probes={T: clock()})
        reconcile.reconcile(services)
    return mailed(services)[before:]


def test_an_owner_who_closed_the_page_is_mailed_of_a_logout_once_the_session_is_no_longer_awake(
    line: Services, clock: Clock
) -> None:
    line.placement.keep_awake(T, clock())
    reports(line, clock, Phase.LOGGED_OUT)
    reports(line, clock, Phase.STARTING)
    assert minutes_pass(line, clock, 14) == []
    assert minutes_pass(line, clock, 60) == [("logged_out", "owner@example.com")]
    assert line.sessions.get(T).unsent_notice is None


def test_an_owner_who_linked_again_gets_no_mail_of_the_logout(line: Services, clock: Clock) -> None:
    line.placement.keep_awake(T, clock())
    reports(line, clock, Phase.LOGGED_OUT)
    reports(line, clock, Phase.ONLINE, number="491709999999")
    assert minutes_pass(line, clock, 20) == []


def test_a_mail_of_a_logout_that_failed_is_retried_but_not_within_six_hours_of_the_last(
    line: Services, clock: Clock
) -> None:
    assert minutes_pass(line, clock, 15) == []
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    reports(line, clock, Phase.LOGGED_OUT)
    assert minutes_pass(line, clock, 3) == []
    assert [event.detail for event in line.timeline.latest(T)].count("SES is busy.") == 1
    cast(FakeMailer, line.mailer).trouble = None
    assert minutes_pass(line, clock, 10) == [("logged_out", "owner@example.com")]
    mailed_at = clock() - 9 * 60_000
    line.placement.keep_awake(T, clock())
    reports(line, clock, Phase.ONLINE, number="491709999999")
    reports(line, clock, Phase.LOGGED_OUT)
    assert minutes_pass(line, clock, (mailed_at - clock()) // 60_000 + 6 * 60 - 1) == []
    assert minutes_pass(line, clock, 60) == [("logged_out", "owner@example.com")]


def test_a_problem_that_the_page_showed_is_mailed_only_if_it_lasts_until_the_page_is_closed(
    line: Services, clock: Clock
) -> None:
    for fixed in (True, False):
        line.placement.keep_awake(T, clock())
        reports(line, clock, Phase.CONFLICT, problem=ProblemCode.CONFLICT)
        if fixed:
            reports(line, clock, Phase.ONLINE)
        owners = [each for each in minutes_pass(line, clock, 30) if each[1] == "owner@example.com"]
        assert owners == ([] if fixed else [("problem", "owner@example.com")])


def report_problem(services: Services, code: ProblemCode, now: int) -> None:
    """Reports this problem as the session's runner does."""
    before = services.sessions.get(T)
    events.record_changes(services, before, replace(before, problem=Problem(code, now), unsent_notice=code), now)


def a_link(services: Services, now: int) -> Invite:
    """Returns the owner's link, which was mailed before."""
    invite = services.invites.prepare(T, "0" * 64, now=now)
    services.invites.settle(invite, now=now)
    return invite


def test_an_open_page_keeps_its_link_while_it_shows_a_passkey_or_a_logout(line: Services, clock: Clock) -> None:
    link = a_link(line, clock())
    session = line.sessions.get(T)
    assert session.is_awake(clock())
    report_problem(line, ProblemCode.PASSKEY, clock())
    events.record_changes(
        line, session, replace(session, phase=Phase.LOGGED_OUT, number=None, unsent_notice=Phase.LOGGED_OUT), clock()
    )
    assert mailed(line) == [("attention", "operators@example.com")]
    assert line.invites.find(link.token_sha256, now=clock()) == link
    clock.pass_seconds(15 * 60)
    report_problem(line, ProblemCode.PASSKEY, clock())
    assert mailed(line)[1:] == [("problem", "owner@example.com")]


@pytest.mark.parametrize("code", [ProblemCode.INCOMPATIBLE, ProblemCode.BROWSER_MISSING])
def test_only_operators_are_notified_of_problems_that_only_they_can_fix(
    line: Services, clock: Clock, code: ProblemCode
) -> None:
    link = a_link(line, clock())
    clock.pass_seconds(15 * 60)
    report_problem(line, code, clock())
    assert mailed(line) == [("attention", "operators@example.com")]
    assert line.invites.find(link.token_sha256, now=clock()) == link


def test_a_mail_that_cannot_be_sent_leaves_the_owner_the_former_link(line: Services, clock: Clock) -> None:
    link = a_link(line, clock())
    clock.pass_seconds(15 * 60)
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    report_problem(line, ProblemCode.BLOCKED, clock())
    assert line.invites.find(link.token_sha256, now=clock()) == link
    cast(FakeMailer, line.mailer).trouble = None
    report_problem(line, ProblemCode.CONFLICT, clock())
    with pytest.raises(NotFound):
        line.invites.find(link.token_sha256, now=clock())


NIGHT = 1_790_035_200_000  # 2026-09-22 00:00 UTC


@pytest.mark.parametrize(
    ("reported", "problem"),
    [
        ({}, None),
        ({"problem": ProblemCode.BLOCKED, "detail": "TOS"}, Problem(ProblemCode.BLOCKED, 7, "TOS")),
        (
            {"problem": ProblemCode.BLOCKED, "detail": "TOS", "restriction": Restriction(until_ms=NIGHT)},
            Problem(ProblemCode.BLOCKED, 7, "TOS"),
        ),
        (
            {"restriction": Restriction(until_ms=NIGHT, kind="WEB_COMPANION_ONLY")},
            Problem(ProblemCode.RESTRICTED, 7, "until 2026-09-22 00:00 UTC (WEB_COMPANION_ONLY)"),
        ),
        (
            {"restriction": Restriction(until_ms=NIGHT)},
            Problem(ProblemCode.RESTRICTED, 7, "until 2026-09-22 00:00 UTC"),
        ),
        (
            {"restriction": Restriction(kind="DEFAULT")},
            Problem(ProblemCode.RESTRICTED, 7, "until when is not known (DEFAULT)"),
        ),
        (
            {"restriction": Restriction()},
            Problem(ProblemCode.RESTRICTED, 7, "WhatsApp refuses replies in several chats"),
        ),
        (
            {"restriction": Restriction(until_ms=2**53)},
            Problem(ProblemCode.RESTRICTED, 7, "until 9999-12-31 23:59 UTC"),
        ),
    ],
)
def test_the_problem_of_a_report(reported: dict[str, Any], problem: Problem | None) -> None:
    report = SessionReport(tenant=T, epoch=1, sequence=1, phase=Phase.ONLINE, **reported)
    assert problem_of(report, 7) == problem


def test_a_restriction_is_a_problem_of_a_line_that_is_online_and_ends_with_it(line: Services, clock: Clock) -> None:
    clock.pass_seconds(15 * 60)
    began = clock()
    reports(line, clock, Phase.ONLINE, restriction=Restriction(until_ms=NIGHT))
    clock.pass_seconds(60)
    reports(line, clock, Phase.ONLINE, restriction=Restriction(until_ms=NIGHT + 60_000))
    session = line.sessions.get(T)
    assert session.phase is Phase.ONLINE
    assert session.problem == Problem(ProblemCode.RESTRICTED, began, "until 2026-09-22 00:01 UTC")
    assert mailed(line) == [("attention", "operators@example.com"), ("problem", "owner@example.com")]
    reports(line, clock, Phase.ONLINE)
    assert line.sessions.get(T).problem is None
    kinds = [(event.kind, event.detail) for event in line.timeline.latest(T)]
    assert kinds.count((EventKind.PROBLEM, "restricted")) == kinds.count((EventKind.RESOLVED, "restricted")) == 1
    assert len(mailed(line)) == 2


@pytest.mark.parametrize(
    ("phase", "more", "asks"),
    [
        (Phase.LOGGED_OUT, {}, 1),
        (Phase.BLOCKED, {"problem": ProblemCode.BLOCKED}, 1),
        (Phase.FAILED, {"problem": ProblemCode.INCOMPATIBLE}, 1),
        (Phase.FAILED, {}, 0),
        (Phase.ONLINE, {}, 0),
    ],
)
def test_a_session_that_begins_to_need_a_person_is_counted_once(
    line: Services, clock: Clock, caplog: pytest.LogCaptureFixture, phase: Phase, more: dict[str, Any], asks: int
) -> None:
    for _ in range(3):
        reports(line, clock, phase, **more)
    measured = [each.name for record in caplog.records for each in metrics.of_log_record(record)]
    assert measured.count("AsksSomeone") == asks
