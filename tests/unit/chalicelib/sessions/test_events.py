"""Events between two reports: lines of the timeline, and news of which owner and operators have notices."""

from typing import Any, cast

import pytest

from chalicelib import metrics
from chalicelib.errors import TransientError
from chalicelib.model import EventKind, Invite, Problem, apply_report
from chalicelib.model.session import problem_of
from chalicelib.notifications import notice_jobs
from chalicelib.reconcilers import reconcile
from chalicelib.sessions import events
from chalicelib.store.sessions import news_of
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, FakeMailer
from tests.unit.support.online_line import (
    T,
    mailed,
    notify,
)
from wire import Phase, ProblemCode, Restriction, SessionReport

OWNER, OPERATORS = "owner@example.com", "operators@example.com"


def reports(services: Services, clock: Clock, phase: Phase, **seen_there: Any) -> list[tuple[str, str]]:
    """Reports a phase as the session's runner does, and performs the jobs; returns the mails."""
    runner = services.runners.get("runneraaaa")
    before = services.sessions.get(T)
    assert runner is not None
    report = SessionReport(tenant=T, epoch=before.epoch, sequence=before.sequence + 1, phase=phase, **seen_there)
    after = apply_report(before, report, clock())
    assert services.sessions.record_report(runner, before, after)
    events.record_changes(services, before, after, clock())
    notice_jobs.request_sending(services, news_of(before, after))
    return notify(services)


def minutes_pass(services: Services, clock: Clock, minutes: int) -> list[tuple[str, str]]:
    """Returns the mails of this time; the runner sends heartbeats throughout."""
    before = len(mailed(services))
    for _ in range(minutes):
        clock.pass_seconds(60)
        runner = services.runners.get("runneraaaa")
        assert runner is not None
        services.runners.renew_lease(runner, clock(), capacity=5, draining=False, probes={T: clock()})
        reconcile.reconcile(services)
        notify(services)
    return mailed(services)[before:]


def of_owner(mails: list[tuple[str, str]]) -> list[str]:
    return [kind for kind, to in mails if to == OWNER]


def test_owner_and_operators_hear_of_a_logout_at_once_and_an_owner_is_reminded(line: Services, clock: Clock) -> None:
    clock.pass_seconds(15 * 60)
    assert reports(line, clock, Phase.LOGGED_OUT) == [("logged_out", OWNER), ("attention", OPERATORS)]
    reports(line, clock, Phase.STARTING)
    assert of_owner(minutes_pass(line, clock, 24 * 60 - 1)) == []
    assert of_owner(minutes_pass(line, clock, 2)) == ["logged_out"]
    assert of_owner(minutes_pass(line, clock, 48 * 60)) == ["logged_out"]
    assert of_owner(minutes_pass(line, clock, 24 * 60)) == []


def test_an_operators_open_page_keeps_no_mail_back(line: Services, clock: Clock) -> None:
    clock.pass_seconds(15 * 60)
    line.placement.keep_awake(T, clock(), by_owner=False)
    assert reports(line, clock, Phase.LOGGED_OUT) == [("logged_out", OWNER), ("attention", OPERATORS)]


def test_an_owner_whose_page_is_open_is_mailed_of_a_logout_once_it_is_closed_and_operators_at_once(
    line: Services, clock: Clock
) -> None:
    line.placement.keep_awake(T, clock())
    assert reports(line, clock, Phase.LOGGED_OUT) == [("attention", OPERATORS)]
    reports(line, clock, Phase.STARTING)
    assert minutes_pass(line, clock, 14) == []
    assert minutes_pass(line, clock, 60) == [("logged_out", OWNER)]


def test_who_had_the_news_gets_the_all_clear_and_nobody_else(line: Services, clock: Clock) -> None:
    line.placement.keep_awake(T, clock())
    reports(line, clock, Phase.LOGGED_OUT)
    assert reports(line, clock, Phase.ONLINE, number="491709999999") == []
    assert minutes_pass(line, clock, 20) == [("attention", OPERATORS)]
    assert cast(FakeMailer, line.mailer).told[-1][2:] == ("logged_out", "all_clear")


def test_a_mail_that_failed_is_retried_until_it_left_and_no_repetition_goes_out_within_six_hours(
    line: Services, clock: Clock
) -> None:
    assert minutes_pass(line, clock, 15) == []
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    assert reports(line, clock, Phase.LOGGED_OUT) == []
    assert minutes_pass(line, clock, 180) == []
    assert [event.detail for event in line.timeline.latest(T)].count("SES is busy.") == 1
    cast(FakeMailer, line.mailer).trouble = None
    assert sorted(minutes_pass(line, clock, 20)) == [("attention", OPERATORS), ("logged_out", OWNER)]
    reports(line, clock, Phase.ONLINE, number="491709999999")
    assert sorted(minutes_pass(line, clock, 10)) == [("all_clear", OWNER), ("attention", OPERATORS)]
    reports(line, clock, Phase.LOGGED_OUT)
    assert minutes_pass(line, clock, 5 * 60) == []
    assert sorted(minutes_pass(line, clock, 60)) == [("attention", OPERATORS), ("logged_out", OWNER)]


def test_a_problem_that_the_page_showed_is_mailed_only_if_it_lasts_until_the_page_is_closed(
    line: Services, clock: Clock
) -> None:
    for fixed in (True, False):
        line.placement.keep_awake(T, clock())
        reports(line, clock, Phase.CONFLICT, problem=ProblemCode.CONFLICT)
        if fixed:
            reports(line, clock, Phase.ONLINE)
        assert of_owner(minutes_pass(line, clock, 30)) == ([] if fixed else ["problem"])


def test_a_browser_that_starts_anew_ends_no_problem(line: Services, clock: Clock) -> None:
    clock.pass_seconds(15 * 60)
    assert of_owner(reports(line, clock, Phase.BLOCKED, problem=ProblemCode.BLOCKED)) == ["problem"]
    for _ in range(3):
        reports(line, clock, Phase.STARTING)
        minutes_pass(line, clock, 6)
        reports(line, clock, Phase.BLOCKED, problem=ProblemCode.BLOCKED)
    assert len(mailed(line)) == 2, "one to the owner, one to the operators"
    reports(line, clock, Phase.ONLINE)
    assert of_owner(minutes_pass(line, clock, 6)) == ["all_clear"]


def test_operators_hear_of_a_line_that_is_down_for_five_minutes_and_that_it_is_up_again(
    line: Services, clock: Clock
) -> None:
    reports(line, clock, Phase.OFFLINE, detail="the phone is off")
    assert minutes_pass(line, clock, 4) == []
    assert minutes_pass(line, clock, 30) == [("attention", OPERATORS)]
    assert cast(FakeMailer, line.mailer).told[-1][2:] == ("line_down", "news")
    reports(line, clock, Phase.ONLINE)
    assert minutes_pass(line, clock, 30) == [("attention", OPERATORS)]
    assert cast(FakeMailer, line.mailer).told[-1][2:] == ("line_down", "all_clear")


def a_link(services: Services, now: int) -> Invite:
    """Returns the owner's link, which was mailed before."""
    invite = services.invites.prepare(T, "0" * 64, now=now)
    services.invites.settle(invite, now=now)
    return invite


@pytest.mark.parametrize("code", [ProblemCode.INCOMPATIBLE, ProblemCode.BROWSER_MISSING])
def test_only_operators_are_notified_of_problems_that_only_they_can_fix(
    line: Services, clock: Clock, code: ProblemCode
) -> None:
    clock.pass_seconds(15 * 60)
    assert reports(line, clock, Phase.FAILED, problem=code) == [("attention", OPERATORS)]


def test_the_page_that_an_owner_has_open_goes_on_when_a_later_mail_brings_another_link(
    line: Services, clock: Clock
) -> None:
    link = a_link(line, clock())
    line.invites.open(link.token_sha256, "a browser", now=clock())
    for problem in (Problem(ProblemCode.OUT_OF_CREDIT, clock()), Problem(ProblemCode.KEY_REVOKED, clock())):
        line.tenants.set_assistant_problem(T, problem)
        notice_jobs.request_of_problem(line, T, problem.code)
        clock.pass_seconds(15 * 60)
        assert of_owner(notify(line)) == ["problem"]
    assert line.invites.find(link.token_sha256, now=clock()).bound_sha256 == "a browser"


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
    mails = reports(line, clock, Phase.ONLINE, restriction=Restriction(until_ms=NIGHT))
    clock.pass_seconds(60)
    reports(line, clock, Phase.ONLINE, restriction=Restriction(until_ms=NIGHT + 60_000))
    session = line.sessions.get(T)
    assert session.phase is Phase.ONLINE
    assert session.problem == Problem(ProblemCode.RESTRICTED, began, "until 2026-09-22 00:01 UTC")
    assert mails == mailed(line) == [("problem", OWNER), ("attention", OPERATORS)]
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
