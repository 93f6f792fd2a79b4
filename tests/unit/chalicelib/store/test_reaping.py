"""Reaping: sessions are taken from runners that are silent, ended or wedged, and from no others."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chalicelib.errors import Unauthorised
from chalicelib.model import DEAD_TOKEN_GRACE, RunnerState, former_holders, milliseconds
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.placement import Placement
from chalicelib.store.reaping import Reaping
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from tests.unit.conftest import Clock
from tests.unit.support.placing import A, B, placement, placement_on, registered, renewed, scaled_out, tenants
from tests.unit.support.racing_table import RacingTable

__all__ = ["placement", "scaled_out", "tenants"]


@pytest.fixture
def reaping(placement: Placement) -> Reaping:
    return Reaping(placement, Tasks(placement._table, placement.runners))


def test_a_silent_runner_alone_is_left_alone_for_three_leases(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    registered(placement, clock)
    placement.keep_awake(A, clock())
    clock.pass_seconds(179)
    assert reaping.reap_silent(clock()) == []
    clock.pass_seconds(2)
    assert reaping.reap_silent(clock()) == [A]
    assert placement.sessions.get(A).runner is None


def test_a_silent_runner_is_reaped_when_another_synced_twice_after_its_lease(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    registered(placement, clock)
    placement.keep_awake(A, clock())
    clock.pass_seconds(50)
    other = registered(placement, clock, "runnerbbbb")
    clock.pass_seconds(11)
    assert reaping.reap_silent(clock(), witness=other.id) == []
    clock.pass_seconds(14)
    assert reaping.reap_silent(clock(), witness=other.id) == []
    clock.pass_seconds(1)
    assert reaping.reap_silent(clock(), witness=other.id) == [A]


def test_a_renewed_lease_removes_the_witness(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    silent = registered(placement, clock)
    placement.keep_awake(A, clock())
    clock.pass_seconds(50)
    other = registered(placement, clock, "runnerbbbb")
    clock.pass_seconds(11)
    reaping.reap_silent(clock(), witness=other.id)
    renewed(placement, silent, clock)
    clock.pass_seconds(30)
    assert reaping.reap_silent(clock(), witness=other.id) == []


def test_death_is_final(placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    assert reaping.reap(runner.id, clock()) == [A]
    dead = placement.runners.get(runner.id)
    assert dead is not None and dead.free == 0
    with pytest.raises(Unauthorised):
        placement.runners.renew_lease(dead, clock.pass_seconds(20), capacity=2, draining=False, probes={})
    assert not placement.claim(placement.sessions.get(A), runner.id, clock())


def test_the_next_round_frees_the_sessions_of_a_reaper_that_ended_half_way(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    placement.runners.declare_dead(runner.id, clock())  # and no more: the function that did it was ended
    assert list(placement.runners.alive()) == []
    other = registered(placement, clock, "runnerbbbb")
    assert reaping.reap_silent(clock(), witness=other.id) == [A]
    assert [listed.id for listed in placement.runners.listed()] == [other.id]


def test_a_stopped_task_is_reaped_at_once(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    assert reaping.reap_stopped_task("task-of-nobody", clock()) == []
    assert reaping.reap_stopped_task(f"task-{runner.id}", clock()) == [A]


def test_a_wedged_session_is_taken_from_a_runner_that_syncs(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    placement.keep_awake(B, clock())
    for _ in range(19):
        clock.pass_seconds(10)
        fresh = placement.runners.get(runner.id)
        assert fresh is not None
        placement.runners.renew_lease(
            fresh, clock(), capacity=2, draining=False, probes={A: clock(), B: clock() - 200_000}
        )
    assert reaping.release_wedged(clock()) == [B]
    assert placement.sessions.get(A).runner == runner.id
    assert placement.sessions.get(B).epoch == 3


def test_after_a_long_silence_a_runner_gets_time_to_probe_its_pages(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    clock.pass_seconds(200)
    fresh = placement.runners.get(runner.id)
    assert fresh is not None
    placement.runners.renew_lease(fresh, clock(), capacity=2, draining=False, probes={A: clock() - 200_000})
    assert reaping.release_wedged(clock.pass_seconds(10)) == []


def test_a_dead_runner_may_hand_in_messages_of_its_sessions_for_a_day(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    reaping.reap(runner.id, clock())
    dead = placement.runners.get(runner.id)
    assert dead is not None
    assert placement.runners.may_hand_in(dead, A, clock())
    assert not placement.runners.may_hand_in(dead, B, clock())
    assert not placement.runners.may_hand_in(dead, A, clock.pass_seconds(24 * 3600 + 1))


DAY_SECONDS = 24 * 3600


@pytest.mark.parametrize("dies", [False, True])
def test_a_runner_that_gave_a_session_up_speaks_for_it_for_a_day_however_long_it_lives(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock, dies: bool
) -> None:
    runner = registered(placement, clock)
    for tenant in (A, B):
        placement.keep_awake(tenant, clock())
    epoch = placement.sessions.get(A).epoch
    assert placement.release(A, runner.id, epoch, clock())
    assert placement.runners.may_hand_in(runner, A, clock.pass_seconds(DAY_SECONDS - 1))
    if dies:
        reaping.reap(runner.id, clock())
    now = clock.pass_seconds(1)
    assert not placement.runners.may_hand_in(runner, A, now)
    assert placement.runners.may_hand_in(runner, B, now)  # it holds it, or did until a second ago
    placement.runners.register("runnerbbbb", "0" * 64, 2, now)
    placement.keep_awake(A, now)
    assert placement.release(A, "runnerbbbb", placement.sessions.get(A).epoch, now)
    assert not placement.runners.may_hand_in(runner, A, now)  # the next one does not renew it


def test_a_runner_that_holds_a_session_again_speaks_for_it(
    placement: Placement, tenants: Tenants, clock: Clock
) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    assert placement.release(A, runner.id, placement.sessions.get(A).epoch, clock())
    clock.pass_seconds(2 * DAY_SECONDS)
    placement.runners.renew_lease(runner, clock(), capacity=2, draining=False, probes={})
    placement.keep_awake(A, clock())
    assert placement.sessions.get(A).runner == runner.id
    assert placement.runners.may_hand_in(runner, A, clock.pass_seconds(2 * DAY_SECONDS))


def test_a_session_remembers_its_latest_holders_only() -> None:
    before: dict[str, int] = {}
    for number in range(30):
        before = former_holders(before, f"runner{number}", number)
    assert set(before) == {f"runner{number}" for number in range(10, 30)}
    later = 29 + milliseconds(DEAD_TOKEN_GRACE)
    assert former_holders(before, "runner30", later) == {"runner30": later}
    assert former_holders(None, "runner30", later) == {"runner30": later}


def test_a_list_that_lags_takes_no_session_from_a_page_that_answers(
    placement: Placement, reaping: Reaping, tenants: Tenants, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = registered(placement, clock)
    placement.keep_awake(A, clock())
    for _ in range(19):
        listed = [*placement.runners.alive()]
        clock.pass_seconds(10)
        fresh = placement.runners.get(runner.id)
        assert fresh is not None
        placement.runners.renew_lease(fresh, clock(), capacity=2, draining=False, probes={A: clock()})
    monkeypatch.setattr(placement.runners, "alive", lambda: listed)
    stale = replace(listed[0], lease_until=clock() + 1, assigned=(replace(listed[0].assigned[0], probed_at=0),))
    listed[:] = [stale]
    assert reaping.release_wedged(clock()) == []


def test_a_bell_outlives_any_week(placement: Placement, reaping: Reaping, table: Table, clock: Clock) -> None:
    runner = registered(placement, clock)
    stored = table.get(f"RUNNER#{runner.id}", "BELL")
    assert stored is not None and "expires_at" not in stored
    reaping.reap(runner.id, clock())
    stored = table.get(f"RUNNER#{runner.id}", "BELL")
    assert stored is not None and stored["expires_at"] * 1000 > clock()


# -- what a round writes ---------------------------------------------------------------------------------------------


@pytest.fixture
def round_of(racing: RacingTable, clock: Clock) -> Callable[[float, str | None], tuple[int, object]]:
    """A round so many seconds after runneraaaa's lease ran out: how much it wrote, and the witness that it left."""
    placement = placement_on(racing)
    registered(placement, clock)
    reaping = Reaping(placement, Tasks(placement._table, placement.runners))

    def of(seconds: float, witness: str | None) -> tuple[int, object]:
        racing.operations.clear()
        assert reaping.reap_silent(clock() + 60_000 + round(seconds * 1000), witness) == []
        written = racing.operations["update"] + racing.operations["transact"] + racing.operations["put"]
        runner = placement.runners.get("runneraaaa")
        return written, runner and runner.witness and runner.witness[0]

    return of


@pytest.mark.parametrize(
    ("seconds", "witness", "written", "left"),
    [
        (-0.001, "runnerbbbb", 0, None),
        (0, "runnerbbbb", 1, "runnerbbbb"),
        (1, "runnerbbbb", 1, "runnerbbbb"),
        (1, "runneraaaa", 0, None),
        (1, None, 0, None),
    ],
)
def test_a_witness_is_recorded_once_the_lease_is_over_and_no_runner_is_its_own(
    round_of: Callable[[float, str | None], tuple[int, object]],
    seconds: float,
    witness: str | None,
    written: int,
    left: str | None,
) -> None:
    assert round_of(seconds, witness) == (written, left)


def test_a_second_witness_costs_no_write(round_of: Callable[[float, str | None], tuple[int, object]]) -> None:
    round_of(1, "runnerbbbb")
    assert round_of(2, "runnercccc") == (0, "runnerbbbb")


def test_a_runner_that_was_heard_or_is_unknown_is_not_reaped(racing: RacingTable, clock: Clock) -> None:
    placement = placement_on(racing)
    runner = registered(placement, clock)
    reaping = Reaping(placement, Tasks(placement._table, placement.runners))
    racing.before_next("update", lambda: renewed(placement, runner, clock))
    clock.pass_seconds(200)
    assert reaping.reap_silent(clock()) == []
    heard = placement.runners.get(runner.id)
    assert heard is not None and heard.state is RunnerState.ALIVE
    assert reaping.reap("nobodyaaaa", clock()) == []


def test_a_stopped_task_without_a_name_is_of_no_runner(racing: RacingTable, clock: Clock) -> None:
    placement = placement_on(racing)
    placement.runners.register("runneraaaa", "0" * 64, 2, clock())  # on this machine, without ECS
    assert Reaping(placement, Tasks(placement._table, placement.runners)).reap_stopped_task("", clock()) == []
    assert [runner.id for runner in placement.runners.alive()] == ["runneraaaa"]
