"""Backoff: a session that crashes each browser is placed again ever later, until it comes up."""

import pytest

from chalicelib.model import Runner, apply_failure, apply_report
from chalicelib.model.session import MAX_RETRY_BACKOFF, Session
from chalicelib.store.placement import Placement
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.placing import placement_on
from wire import Code, Phase, SessionReport

A = "tenantaaaa"
CODE = Code(code="qr-string", expires_in_ms=20_000)


@pytest.fixture
def scaled_out() -> list[str]:
    return []


@pytest.fixture
def placement(memory_table: Table, clock: Clock, scaled_out: list[str]) -> Placement:
    Tenants(memory_table, Timeline(memory_table)).create(a_tenant(A), ASSISTANT, by="operator@example.com")
    placement = placement_on(memory_table, scale_out=lambda needed: scaled_out.append("scaled out"))
    placement.runners.register("runneraaaa", "0" * 64, 5, clock(), task="task")
    return placement


def reported(placement: Placement, clock: Clock, phase: Phase, **more: object) -> None:
    runner, before = placement.runners.get("runneraaaa"), placement.sessions.get(A)
    assert runner is not None
    report = SessionReport.model_validate(
        {"tenant": A, "epoch": before.epoch, "sequence": before.sequence + 1, "phase": phase, **more}
    )
    assert placement.sessions.record_report(runner, before, apply_report(before, report, clock()))


def renewed_runner(placement: Placement, clock: Clock, name: str) -> Runner:
    """Renews the lease of a runner and returns it."""
    runner = placement.runners.get(name)
    assert runner is not None
    return placement.runners.renew_lease(runner, clock(), capacity=runner.capacity, draining=False, probes={})


def placed(placement: Placement, clock: Clock) -> bool:
    """True if a runner takes the session now that a page of it is open."""
    renewed_runner(placement, clock, "runneraaaa")
    return placement.keep_awake(A, clock()).runner is not None


def gives_up(placement: Placement, clock: Clock) -> int:
    """Lets a runner give the session up; returns the backoff in seconds."""
    session = placement.sessions.get(A)
    assert session.runner is not None
    assert placement.release(A, session.runner, session.epoch, clock(), failed=True)
    return max(0, placement.sessions.get(A).next_try_at - clock()) // 1000


def test_a_session_that_never_comes_up_is_placed_again_ever_later(placement: Placement, clock: Clock) -> None:
    waits = []
    for _ in range(9):
        assert placed(placement, clock)
        waits.append(gives_up(placement, clock))
        assert not placed(placement, clock)
        clock.pass_seconds(waits[-1] + 1)
    assert 7 <= waits[0] <= 13 and 15 <= waits[1] <= 25
    assert 450 <= waits[7] <= 750 and 450 <= waits[8] <= 750


def test_during_its_backoff_no_runner_can_claim_a_session_and_none_is_added_for_it(
    placement: Placement, clock: Clock, scaled_out: list[str]
) -> None:
    placement.keep_awake(A, clock())
    wait = gives_up(placement, clock)
    assert not placement.place(A, clock())
    assert list(placement.list_unplaced(10)) == [A]
    assert not placement.claim(placement.sessions.get(A), "runneraaaa", clock())
    assert scaled_out == []
    clock.pass_seconds(wait + 1)
    assert placement.claim(placement.sessions.get(A), "runneraaaa", clock())
    assert list(placement.list_unplaced(10)) == []


@pytest.mark.parametrize(
    ("phase", "more"), [(Phase.ONLINE, {}), (Phase.QR, {"qr": CODE}), (Phase.PAIRING, {"pairing": CODE})]
)
def test_a_session_that_came_up_is_placed_again_at_once_and_its_failures_are_reset(
    placement: Placement, clock: Clock, phase: Phase, more: dict[str, object]
) -> None:
    for _ in range(3):
        assert placed(placement, clock)
        clock.pass_seconds(gives_up(placement, clock) + 1)
    assert placed(placement, clock)
    reported(placement, clock, phase, **more)
    reported(placement, clock, Phase.FAILED)
    assert gives_up(placement, clock) == 0
    assert placed(placement, clock)
    assert 7 <= gives_up(placement, clock) <= 13


def test_a_session_that_was_given_up_goes_to_a_runner_of_another_commit_next(
    memory_table: Table, placement: Placement, clock: Clock
) -> None:
    placement = placement_on(memory_table, release="new")
    placement.runners.register("runnerbbbb", "0" * 64, 9, clock(), commit="new")
    placement.runners.register("runnercccc", "0" * 64, 8, clock(), commit="new")
    assert placement.keep_awake(A, clock()).runner == "runnerbbbb"
    clock.pass_seconds(gives_up(placement, clock) + 1)
    assert placement.keep_awake(A, clock()).runner == "runneraaaa"
    clock.pass_seconds(gives_up(placement, clock) + 1)
    assert placement.keep_awake(A, clock()).runner == "runnerbbbb"


def test_among_runners_of_one_commit_a_session_that_was_given_up_goes_to_another(
    placement: Placement, clock: Clock
) -> None:
    placement.runners.register("runnerbbbb", "0" * 64, 9, clock())
    session = placement.keep_awake(A, clock())
    assert placement.release(A, "runnerbbbb", session.epoch, clock())
    assert placement.keep_awake(A, clock()).runner == "runnerbbbb"
    clock.pass_seconds(gives_up(placement, clock) + 1)
    assert placement.keep_awake(A, clock()).runner == "runneraaaa"


def test_a_runner_that_gave_a_session_up_is_not_given_it_while_another_has_room(
    placement: Placement, clock: Clock
) -> None:
    assert placement.keep_awake(A, clock()).runner == "runneraaaa"
    placement.runners.register("runnerbbbb", "0" * 64, 1, clock())
    clock.pass_seconds(gives_up(placement, clock) + 1)
    first, other = renewed_runner(placement, clock, "runneraaaa"), renewed_runner(placement, clock, "runnerbbbb")
    assert not placement.offer(placement.sessions.get(A), first, clock())
    assert placement.offer(placement.sessions.get(A), other, clock())
    assert not placement.offer(placement.sessions.get(A), first, clock()), "it is held"


def test_the_only_runner_is_given_the_session_that_it_gave_up(placement: Placement, clock: Clock) -> None:
    placement.runners.register("runnerfull", "0" * 64, 0, clock())
    placement.keep_awake(A, clock())
    clock.pass_seconds(gives_up(placement, clock) + 1)
    assert placement.offer(placement.sessions.get(A), renewed_runner(placement, clock, "runneraaaa"), clock())


def test_a_runner_of_another_release_is_given_a_session_only_if_ours_have_no_room(
    memory_table: Table, placement: Placement, clock: Clock
) -> None:
    placement = placement_on(memory_table, release="new")
    new = placement.runners.register("runnerbbbb", "0" * 64, 1, clock(), commit="new")
    old = renewed_runner(placement, clock, "runneraaaa")
    assert not placement.offer(placement.sessions.get(A), old, clock())
    placement.runners.renew_lease(new, clock.pass_seconds(11), capacity=0, draining=False, probes={})
    assert placement.offer(placement.sessions.get(A), old, clock())


def test_a_session_released_in_peace_is_placed_again_at_once(placement: Placement, clock: Clock) -> None:
    session = placement.keep_awake(A, clock())
    assert session.runner is not None
    placement.release(A, session.runner, session.epoch, clock())
    assert placement.place(A, clock())


def test_sessions_that_failed_together_are_not_retried_together(clock: Clock) -> None:
    tries = {apply_failure(Session(f"tenant{number:04}", failures=30), clock()).next_try_at for number in range(50)}
    assert len(tries) > 25
    assert max(tries) - clock() <= MAX_RETRY_BACKOFF.total_seconds() * 1250
