"""Runners: heartbeats, deaths and bells, against another process that writes between a read and its write."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import Unauthorised
from chalicelib.log_events import LogEvent
from chalicelib.model import DEAD_TOKEN_GRACE, LEASE, LEASE_RENEWED_EVERY, Runner, RunnerState, milliseconds
from chalicelib.store.runners import Bell, Runners, Save, TurnToTake
from chalicelib.store.table import ConditionFailed, Put, Update
from tests.unit.conftest import Clock
from tests.unit.support.racing_table import RacingTable

R = "runneraaaa"
T = "tenantaaaa"
PK = f"RUNNER#{R}"


@pytest.fixture
def runners(racing: RacingTable) -> Runners:
    return Runners(racing)


@pytest.fixture
def runner(runners: Runners, clock: Clock) -> Runner:
    return runners.register(R, "0" * 64, 2, clock(), task="task-a", image="image-1")


def change(racing: RacingTable, sk: str = "RUNNER", **changes: Any) -> None:
    racing.update(Update(PK, sk, set=changes))


def item(racing: RacingTable) -> dict[str, Any]:
    return racing.get(PK, "RUNNER") or {}


def heartbeat(runners: Runners, runner: Runner, now: int, **changes: Any) -> Runner:
    given: dict[str, Any] = {"capacity": runner.capacity, "draining": False, "probes": {}}
    return runners.renew_lease(runner, now, **{**given, **changes})


# -- heartbeats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "changes", "state", "written"),
    [
        (0, {}, RunnerState.ALIVE, False),
        (LEASE_RENEWED_EVERY.total_seconds() - 0.001, {}, RunnerState.ALIVE, False),
        (LEASE_RENEWED_EVERY.total_seconds(), {}, RunnerState.ALIVE, True),
        (0, {"capacity": 1}, RunnerState.ALIVE, True),
        (0, {"capacity": 3}, RunnerState.ALIVE, True),
        (0, {"draining": True}, RunnerState.ALIVE, True),
        (0, {"draining": True}, RunnerState.DRAINING, False),
        (0, {}, RunnerState.DRAINING, False),
    ],
)
def test_a_heartbeat_writes_at_most_every_ten_seconds_unless_it_says_something(
    runners: Runners,
    runner: Runner,
    racing: RacingTable,
    clock: Clock,
    seconds: float,
    changes: dict[str, Any],
    state: RunnerState,
    written: bool,
) -> None:
    change(racing, state=state)
    racing.operations.clear()
    now = clock.pass_seconds(seconds)
    heartbeat(runners, replace(runner, state=state), now, **changes)
    assert racing.operations["update"] == written
    assert (item(racing)["lease_until"] == now + milliseconds(LEASE)) is (written or seconds == 0)


@pytest.mark.parametrize(("capacity", "room"), [(2, 1), (5, 4), (1, 0), (0, -1)])
def test_a_changed_capacity_changes_the_room_by_as_much(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock, capacity: int, room: int
) -> None:
    change(racing, room=1)
    clock.pass_seconds(20)
    assert heartbeat(runners, runner, clock(), capacity=capacity).capacity == capacity
    assert item(racing)["room"] == room


def test_two_heartbeats_at_once_count_a_change_of_room_once(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    racing.before_next("update", lambda: heartbeat(runners, runner, clock(), capacity=5))
    assert heartbeat(runners, runner, clock(), capacity=5).capacity == 5
    assert (item(racing)["capacity"], item(racing)["room"]) == (5, 5)


@pytest.mark.parametrize("when", ["before", "meanwhile", "gone"])
def test_a_dead_runner_does_not_renew_its_lease(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock, when: str
) -> None:
    clock.pass_seconds(20)
    if when == "meanwhile":
        racing.before_next("update", lambda: runners.declare_dead(R, clock()))
    elif when == "before":
        runners.declare_dead(R, clock())
    else:
        racing.delete(PK, "RUNNER")
    with pytest.raises(Unauthorised):
        heartbeat(runners, runner, clock())
    assert item(racing).get("lease_until") in (None, runner.lease_until)


@pytest.mark.parametrize(("seconds", "kept"), [(59.999, True), (60, False)])
def test_a_lease_is_held_since_it_last_ran_out(
    runners: Runners, runner: Runner, clock: Clock, seconds: float, kept: bool
) -> None:
    now = clock.pass_seconds(seconds)
    renewed = heartbeat(runners, runner, now)
    assert renewed.lease_held_since == (runner.registered_at if kept else now)


def test_a_heartbeat_ends_no_drain_and_says_which_pages_answered(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    change(racing, assigned={T: {"epoch": 2}})
    held = runners.get(R)
    assert held is not None
    clock.pass_seconds(20)
    racing.before_next("update", lambda: change(racing, state=RunnerState.DRAINING))
    renewed = heartbeat(runners, held, clock(), probes={T: 7, "another": 8})
    assert renewed.state is RunnerState.DRAINING
    assert item(racing)["probes"] == {T: 7}
    assert "leaving" not in item(racing)
    clock.pass_seconds(20)
    heartbeat(runners, renewed, clock(), draining=True)
    assert item(racing)["leaving"] is True


def test_a_runner_that_leaves_says_so_and_is_given_no_session_from_then_on(
    runners: Runners, runner: Runner, clock: Clock
) -> None:
    assert heartbeat(runners, runner, clock(), draining=True).state is RunnerState.DRAINING


def test_a_heartbeat_says_of_the_sessions_it_holds_how_their_profiles_are_saved(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    change(racing, assigned={T: {"epoch": 2}})
    held = runners.get(R)
    assert held is not None
    clock.pass_seconds(20)
    renewed = heartbeat(runners, held, clock(), saves={T: Save(7, "disk full"), "another": Save(8, "")})
    assert item(racing)["saves"] == {T: {"at": 7, "problem": "disk full"}}
    assert [(each.saved_at, each.save_problem) for each in renewed.assigned] == [(7, "disk full")]
    clock.pass_seconds(20)
    heartbeat(runners, renewed, clock(), saves={"another": Save(8, "")})
    assert "saves" not in item(racing)


def test_a_full_disk_is_written_at_once_and_so_is_its_end(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    full = heartbeat(runners, runner, clock(), disk_full=True)
    assert full.disk_full and item(racing)["disk_full"] is True
    racing.operations.clear()
    assert heartbeat(runners, full, clock(), disk_full=True).disk_full
    assert racing.operations["update"] == 0
    assert not heartbeat(runners, full, clock()).disk_full
    assert "disk_full" not in item(racing)


@pytest.mark.parametrize("left", ["RUNNER", "BELL"])
def test_a_name_that_is_taken_is_not_registered_again(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock, left: str
) -> None:
    change(racing, left, kept=True)
    racing.delete(PK, "BELL" if left == "RUNNER" else "RUNNER")
    with pytest.raises(ConditionFailed):
        runners.register(R, "1" * 64, 2, clock())
    assert (racing.get(PK, left) or {})["kept"]


# -- deaths ----------------------------------------------------------------------------------------------------------


def test_a_runner_dies_once_and_every_caller_gets_it(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    for silent_since in (None, runner.lease_until):
        dead = runners.declare_dead(R, clock(), silent_since=silent_since)
        assert dead is not None and dead.state is RunnerState.DEAD
        clock.pass_seconds(5)
    assert item(racing)["died_at"] == clock() - 10_000
    assert runners.declare_dead("nobodyaaaa", clock()) is None
    assert racing.get("RUNNER#nobodyaaaa", "RUNNER") is None


def test_a_runner_that_was_heard_since_is_not_dead(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    clock.pass_seconds(70)
    racing.before_next("update", lambda: heartbeat(runners, runner, clock()))
    assert runners.declare_dead(R, clock(), silent_since=runner.lease_until) is None
    assert item(racing)["state"] == RunnerState.ALIVE


@pytest.mark.parametrize(
    ("changes", "event"),
    [
        ({}, LogEvent.RUNNER_LOST),
        ({"leaving": True}, LogEvent.RUNNER_ENDED),
        ({"draining": {"since": 1}}, LogEvent.RUNNER_LOST),
        ({"draining": {"since": 1, "free_since": 2}}, LogEvent.RUNNER_ENDED),
    ],
)
def test_a_death_is_a_loss_unless_the_runner_was_leaving(
    runners: Runners,
    runner: Runner,
    racing: RacingTable,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    event: LogEvent,
) -> None:
    change(racing, **changes)
    with caplog.at_level(logging.INFO):
        runners.declare_dead(R, clock())
    assert [record.msg for record in caplog.records] == [event]


def test_with_a_runner_expire_its_bell_and_its_own_task_and_nothing_is_made(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    racing.put(Put({"pk": "TASK#task-a", "sk": "TASK", "runner": "runnerbbbb"}))
    racing.delete(PK, "BELL")
    runners.declare_dead(R, clock())
    assert racing.get(PK, "BELL") is None
    assert "expires_at" not in (racing.get("TASK#task-a", "TASK") or {})
    second = runners.register("runnerbbbb", "0" * 64, 2, clock(), task="task-a")
    runners.declare_dead(second.id, clock())
    for key in (("TASK#task-a", "TASK"), (f"RUNNER#{second.id}", "BELL"), (f"RUNNER#{second.id}", "RUNNER")):
        assert (racing.get(*key) or {})["expires_at"] == clock() // 1000 + 7 * 24 * 3600


def test_only_a_dead_runner_leaves_the_list(runners: Runners, runner: Runner, clock: Clock) -> None:
    runners.unlist(R)
    assert [each.id for each in runners.alive()] == [R]
    runners.declare_dead(R, clock())
    assert [each.id for each in runners.listed()] == [R]
    assert list(runners.alive()) == []
    runners.unlist(R)
    assert list(runners.listed()) == []


@pytest.mark.parametrize(
    ("tenant", "dead_for_ms", "allowed"),
    [
        (T, None, True),
        ("tenantbbbb", None, False),
        (T, milliseconds(DEAD_TOKEN_GRACE) - 1, True),
        (T, milliseconds(DEAD_TOKEN_GRACE), False),
        ("tenantbbbb", 0, False),
    ],
)
def test_messages_of_a_tenant_that_it_held_are_accepted_for_a_day_after_its_death(
    runners: Runners,
    runner: Runner,
    racing: RacingTable,
    clock: Clock,
    tenant: str,
    dead_for_ms: int | None,
    allowed: bool,
) -> None:
    assert not runners.may_hand_in(runner, T, clock())  # it never held any
    racing.update(Update(PK, "RUNNER", add={"held": {T}}))
    if dead_for_ms is not None:
        dead = runners.declare_dead(R, clock())
        assert dead is not None
        runner = dead
    assert runners.may_hand_in(runner, tenant, clock() + (dead_for_ms or 0)) is allowed
    racing.delete(PK, "RUNNER")
    assert not runners.may_hand_in(runner, T, clock())


def test_a_witness_is_of_this_silence_and_the_first(
    runners: Runners, runner: Runner, racing: RacingTable, clock: Clock
) -> None:
    runners.record_witness(replace(runner, lease_until=runner.lease_until - 1), "runnerbbbb", clock())
    assert runner.witness is None and "witness" not in item(racing)
    runners.record_witness(runner, "runnerbbbb", clock())
    runners.record_witness(runner, "runnercccc", clock() + 5)
    stood = runners.get(R)
    assert stood is not None and stood.witness == ("runnerbbbb", clock())


# -- bells -----------------------------------------------------------------------------------------------------------

TURN = TurnToTake("turnaaaa", T, "4711@lid", 3, 1_790_000_000_000)


def test_a_bell_counts_and_lists_turns(runners: Runners, runner: Runner) -> None:
    assert runners.bell(R) == Bell(0, ())
    runners.ring(R)
    runners.ring(R, TURN)
    assert runners.bell(R) == Bell(2, (TURN,))


def test_no_bell_is_made_for_a_runner_that_is_gone(
    runners: Runners, racing: RacingTable, caplog: pytest.LogCaptureFixture
) -> None:
    runners.ring(R)
    assert racing.get(PK, "BELL") is None
    assert runners.bell(R) == Bell(0, ())
    assert [record.msg for record in caplog.records] == [LogEvent.BELL_MISSING]


@pytest.mark.parametrize(("revision", "silenced"), [(2, False), (3, True), (4, True)])
def test_a_turn_is_silenced_up_to_the_revision_that_rang(
    runners: Runners, runner: Runner, revision: int, silenced: bool
) -> None:
    runners.ring(R, TURN)
    runners.silence(R, TURN.turn, revision)
    assert runners.bell(R).turns == (() if silenced else (TURN,))


def test_silence_makes_no_bell(runners: Runners, racing: RacingTable) -> None:
    runners.silence(R, TURN.turn, 3)
    assert racing.get(PK, "BELL") is None


# -- what an item says -----------------------------------------------------------------------------------------------


def test_a_runner_reads_back_with_what_it_holds_by_tenant(
    runners: Runners, runner: Runner, racing: RacingTable
) -> None:
    assert runners.get("nobodyaaaa") is None
    assert runners.get(R) == runner
    change(racing, assigned={"tenantbbbb": {"epoch": 5}, T: {"epoch": 2, "wanted": "release"}}, probes={T: 7})
    change(racing, draining={"since": 1, "moving": ["x"]}, witness="runnerbbbb", witnessed_at=9, drain=True)
    held = runners.get(R)
    assert held is not None
    assert [(each.tenant, each.epoch, each.wanted, each.probed_at) for each in held.assigned] == [
        (T, 2, "release", 7),
        ("tenantbbbb", 5, "run", 0),
    ]
    assert held.draining is not None and held.draining.moving == ("x",)
    assert (held.witness, held.end_requested) == (("runnerbbbb", 9), True)
