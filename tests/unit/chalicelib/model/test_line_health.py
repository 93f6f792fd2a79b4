"""The health of lines: which run, which are down and for how long, which contacts wait, and the order of lines."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.model import (
    Assistant,
    Problem,
    Runner,
    RunnerState,
    Session,
    Tenant,
    TenantState,
    Turn,
    TurnState,
    apply_report,
    downtime,
)
from chalicelib.model.line_health import Line, LineHealth, health_report
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.conftest import Clock, a_tenant
from tests.unit.support.placing import placement_on
from wire import Phase, ProblemCode, SessionReport

NOW = 1_790_000_000_000
MINUTE = 60_000
T = "tenantaaaa"
ENDED_AT_PHONE = (ProblemCode.BLOCKED, ProblemCode.CONFLICT, ProblemCode.PASSKEY)
OURS = (ProblemCode.RESTRICTED, ProblemCode.INCOMPATIBLE, ProblemCode.BROWSER_MISSING)


def tenant(id: str = T, **more: Any) -> Tenant:
    return a_tenant(id, **{"name": id, **more})


def linked(**more: Any) -> Session:
    return replace(Session(T, number="491709999999", phase=Phase.ONLINE, runner="runneraaaa"), **more)


def watched(**more: Any) -> Session:
    return replace(Session(T, awake_until=NOW + 60_000, phase=Phase.QR, runner="runneraaaa"), **more)


def turn(state: TurnState, age_minutes: float, messages: int = 1, of: str = T) -> Turn:
    return Turn(
        id=f"turn{age_minutes}",
        tenant=of,
        chat="4711@lid",
        state=state,
        revision=1,
        messages=("m",) * messages,
        first_message="m",
        last_message="m",
        created_at=NOW,
        at="",
        oldest_sent_at=NOW - round(age_minutes * MINUTE),
    )


def line_of(session: Session, *turns: Turn, **more: Any) -> Line:
    return health_report([(tenant(**more), session)], turns, [], NOW).lines[0]


# -- for how long a session is down ------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", [linked(), *(watched(phase=phase) for phase in (Phase.QR, Phase.PAIRING))])
def test_a_session_that_answers_or_shows_a_code_is_not_down(session: Session) -> None:
    assert downtime(replace(session, down_since=1), NOW) is None


def test_a_linked_line_that_shows_a_code_is_down() -> None:
    assert downtime(linked(phase=Phase.QR, down_since=NOW - MINUTE), NOW) == timedelta(minutes=1)


def test_the_wait_for_a_runner_counts_and_a_pause_before_the_next_attempt_does_not() -> None:
    assert downtime(linked(phase=Phase.IDLE, unplaced_since=NOW - MINUTE), NOW) == timedelta(minutes=1)
    assert downtime(linked(phase=Phase.IDLE, unplaced_since=NOW + MINUTE), NOW) == timedelta(0)


def test_restarts_do_not_make_a_session_that_is_down_young_again(table: Table, clock: Clock) -> None:
    tenants, placement = Tenants(table, Timeline(table)), placement_on(table)
    tenants.create(tenant(), Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
    placement.runners.register("runneraaaa", "0" * 64, 2, clock())
    began = clock()
    session = placement.keep_awake(T, began)
    assert session.down_since == began
    for phase in (Phase.STARTING, Phase.FAILED):
        clock.pass_seconds(10)
        report = SessionReport(tenant=T, epoch=session.epoch, sequence=clock() - began, phase=phase)
        runner = placement.runners.get("runneraaaa")
        assert runner is not None
        assert placement.sessions.record_report(runner, session, apply_report(session, report, clock()))
        session = placement.sessions.get(T)
    assert placement.release(T, "runneraaaa", session.epoch, clock(), failed=True)
    clock.pass_seconds(20)
    assert placement.claim(placement.sessions.get(T), "runneraaaa", clock())
    session = placement.sessions.get(T)
    assert session.down_since == began
    runner = placement.runners.get("runneraaaa")
    assert runner is not None
    online = SessionReport(tenant=T, epoch=session.epoch, sequence=1, phase=Phase.ONLINE, number="491709999999")
    assert placement.sessions.record_report(runner, session, apply_report(session, online, clock()))
    session = placement.sessions.get(T)
    assert session.down_since is None
    offline = SessionReport(tenant=T, epoch=session.epoch, sequence=2, phase=Phase.OFFLINE)
    assert placement.sessions.record_report(runner, session, apply_report(session, offline, clock.pass_seconds(9)))
    assert placement.sessions.get(T).down_since == clock()


def test_a_session_that_was_released_without_a_failure_was_not_down(table: Table, clock: Clock) -> None:
    tenants, placement = Tenants(table, Timeline(table)), placement_on(table)
    tenants.create(tenant(), Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
    placement.runners.register("runneraaaa", "0" * 64, 2, clock())
    session = placement.keep_awake(T, clock())
    assert placement.release(T, "runneraaaa", session.epoch, clock.pass_seconds(60))
    assert placement.sessions.get(T).down_since is None


# -- what it comes to --------------------------------------------------------------------------------------------------


def test_lines_that_should_run_are_counted_and_paused_or_unlinked_ones_are_not() -> None:
    stands = health_report(
        [
            (tenant("a" * 8), linked()),
            (tenant("b" * 8), linked(phase=Phase.OFFLINE, down_since=NOW - 4 * MINUTE)),
            (tenant("c" * 8), linked(phase=Phase.OFFLINE, down_since=NOW - 6 * MINUTE)),
            (tenant("d" * 8, state=TenantState.PAUSED), linked(phase=Phase.IDLE, runner=None, down_since=1)),
            (tenant("e" * 8), Session("e" * 8)),
            (tenant("f" * 8), watched()),
        ],
        [],
        [],
        NOW,
    )
    assert (stands.should_run, stands.online, stands.not_running) == (4, 1, 1)
    assert [line.tenant.id[0] for line in stands.lines] == ["c", "b", "f", "a", "d", "e"]


def test_a_code_is_late_only_while_its_owners_page_is_open() -> None:
    assert not line_of(watched()).code_late
    assert not line_of(watched(phase=Phase.STARTING, down_since=NOW - 44_000)).code_late
    assert line_of(watched(phase=Phase.STARTING, down_since=NOW - 46_000)).code_late
    assert line_of(watched(phase=Phase.IDLE, runner=None, unplaced_since=NOW - 46_000)).code_late
    assert not line_of(watched(phase=Phase.IDLE, awake_until=0, down_since=1)).code_late
    assert not line_of(linked(phase=Phase.STARTING, down_since=NOW - 46_000)).code_late


@pytest.mark.parametrize(
    ("code", "late"), [*((code, False) for code in ENDED_AT_PHONE), *((code, True) for code in OURS)]
)
def test_a_code_that_a_problem_of_ours_keeps_from_an_owner_is_late(code: ProblemCode, late: bool) -> None:
    assert line_of(watched(phase=Phase.FAILED, down_since=NOW - 46_000, problem=Problem(code, 1))).code_late is late


def test_a_message_that_waits_for_a_person_to_fix_a_problem_is_not_overdue() -> None:
    line = line_of(linked(), turn(TurnState.WAITING, 60, messages=2), turn(TurnState.THINKING, 3))
    assert (line.unanswered, line.oldest_unanswered_at) == (3, NOW - 60 * MINUTE)
    assert line.overdue_for == timedelta(minutes=3)


def test_a_session_without_room_is_counted_once_its_backoff_is_over() -> None:
    waits = watched(phase=Phase.IDLE, runner=None, unplaced_since=NOW)
    assert health_report([(tenant(), waits)], [], [], NOW).without_room == 1
    assert health_report([(tenant(), replace(waits, unplaced_since=NOW + 1))], [], [], NOW).without_room == 0
    assert health_report([(tenant(state=TenantState.PAUSED), waits)], [], [], NOW).without_room == 0


def test_a_runner_whose_lease_ran_out_counts_as_silent() -> None:
    alive = Runner("runneraaaa", RunnerState.ALIVE, "", NOW + 1, 2, 0)
    runners = [alive, replace(alive, lease_until=NOW), replace(alive, state=RunnerState.DEAD)]
    stands = health_report([], [], runners, NOW)
    assert (stands.runners, stands.runners_silent) == (1, 1)


@pytest.mark.parametrize(
    ("health", "session", "more", "turns"),
    [
        (LineHealth.NOT_RUNNING, linked(phase=Phase.FAILED, down_since=NOW - 6 * MINUTE), {}, []),
        (LineHealth.NEEDS_ACTION, linked(problem=Problem(ProblemCode.CONFLICT, 1)), {}, []),
        (LineHealth.NEEDS_ACTION, linked(), {"assistant_problem": Problem(ProblemCode.KEY_REVOKED, 1)}, []),
        (LineHealth.DISCONNECTED, Session(T, phase=Phase.LOGGED_OUT), {}, []),
        (LineHealth.IDLE, Session(T, phase=Phase.LOGGED_OUT), {"state": TenantState.PAUSED}, []),
        (LineHealth.SLOW, linked(), {}, [turn(TurnState.SENDING, 2.1)]),
        (LineHealth.HEALTHY, linked(), {}, [turn(TurnState.SENDING, 1.9)]),
        (LineHealth.PENDING, linked(phase=Phase.STARTING, down_since=NOW), {}, []),
        (LineHealth.PENDING, watched(), {}, []),
        (LineHealth.IDLE, Session(T), {}, []),
    ],
)
def test_the_line_that_most_needs_a_person_comes_first(
    health: LineHealth, session: Session, more: dict[str, Any], turns: list[Turn]
) -> None:
    assert line_of(session, *turns, **more).health is health


# -- lines that wait for a person are no outage ------------------------------------------------------------------------

DOWN = {"phase": Phase.FAILED, "down_since": NOW - 60 * MINUTE}


@pytest.mark.parametrize(
    ("session", "more", "not_running", "need_action", "logged_out"),
    [
        (linked(**DOWN), {}, 1, 0, 0),
        (watched(**DOWN), {}, 1, 0, 0),
        *((linked(**DOWN, problem=Problem(code, 1)), {}, 0, 1, 0) for code in ENDED_AT_PHONE),
        # ours to mend, or no reason to be down
        *((linked(**DOWN, problem=Problem(code, 1)), {}, 1, 1, 0) for code in OURS),
        (linked(**DOWN, problem=Problem(ProblemCode.BLOCKED, 1)), {"state": TenantState.PAUSED}, 0, 0, 0),
        (linked(**DOWN), {"state": TenantState.PAUSED}, 0, 0, 0),
        (linked(**DOWN), {"state": TenantState.UNKNOWN}, 0, 0, 0),
        (linked(**DOWN), {"assistant_problem": Problem(ProblemCode.KEY_REVOKED, 1)}, 1, 1, 0),
        (linked(), {"mail_problem": Problem(ProblemCode.MAIL_BOUNCED, 1)}, 0, 1, 0),
        (Session(T, phase=Phase.LOGGED_OUT), {}, 0, 0, 1),
        (watched(**DOWN, logged_out_at=1), {}, 0, 0, 1),
        (watched(phase=Phase.QR, logged_out_at=1), {}, 0, 0, 1),
        (Session(T, logged_out_at=1), {}, 0, 0, 1),
        (Session(T, logged_out_at=1), {"state": TenantState.PAUSED}, 0, 0, 0),
        (linked(logged_out_at=1), {}, 0, 0, 0),
        (Session(T), {}, 0, 0, 0),
    ],
    ids=str,
)
def test_lines_that_wait_for_a_person_are_counted_apart_from_outages(
    session: Session, more: dict[str, Any], not_running: int, need_action: int, logged_out: int
) -> None:
    report = health_report([(tenant(**more), session)], [], [], NOW)
    assert (report.not_running, report.need_action, report.logged_out) == (not_running, need_action, logged_out)


@pytest.mark.parametrize("state", [TurnState.THINKING, TurnState.READY, TurnState.SENDING])
@pytest.mark.parametrize(
    ("session", "more", "overdue_in"),
    [
        (linked(), {}, [TurnState.THINKING, TurnState.READY, TurnState.SENDING]),
        (linked(**DOWN), {}, [TurnState.THINKING, TurnState.READY, TurnState.SENDING]),
        (
            linked(),
            {"assistant_problem": Problem(ProblemCode.OUT_OF_CREDIT, 1)},
            [TurnState.READY, TurnState.SENDING],  # the assistant answered them
        ),
        (linked(problem=Problem(ProblemCode.BLOCKED, 1)), {}, []),
        (linked(problem=Problem(ProblemCode.RESTRICTED, 1)), {}, []),
        (
            linked(problem=Problem(ProblemCode.INCOMPATIBLE, 1)),
            {},
            [TurnState.THINKING, TurnState.READY, TurnState.SENDING],
        ),
        (linked(), {"state": TenantState.PAUSED}, []),
        (Session(T, phase=Phase.LOGGED_OUT), {}, []),
        (watched(logged_out_at=1), {}, []),
    ],
    ids=str,
)
def test_an_answer_that_waits_for_a_person_is_not_overdue(
    session: Session, more: dict[str, Any], state: TurnState, overdue_in: list[TurnState]
) -> None:
    report = health_report([(tenant(**more), session)], [turn(state, 600)], [], NOW)
    assert (report.oldest_unanswered > timedelta()) is (state in overdue_in)
    assert report.lines[0].unanswered == 1


def test_the_next_outage_changes_the_count_beside_lines_that_wait_for_weeks() -> None:
    waiting = [
        (tenant("a" * 8), linked(**DOWN, problem=Problem(ProblemCode.BLOCKED, 1))),
        (tenant("b" * 8), Session("b" * 8, phase=Phase.LOGGED_OUT, logged_out_at=1)),
    ]
    stuck = [turn(TurnState.SENDING, 600, of="a" * 8), turn(TurnState.SENDING, 600, of="b" * 8)]
    for outage in (linked(), linked(**DOWN), linked()):
        report = health_report([*waiting, (tenant("c" * 8), outage)], stuck, [], NOW)
        assert report.not_running == (outage.phase is Phase.FAILED)
        assert report.oldest_unanswered == timedelta()
