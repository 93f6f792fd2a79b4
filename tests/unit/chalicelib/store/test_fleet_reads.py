"""What is read of the runners, counted: a heartbeat and a placement read as much in a large fleet as in a small one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.model import LEASE, Runner, RunnerState
from chalicelib.model.snapshot import has_opener
from chalicelib.sessions import lifecycle
from chalicelib.store.drains import Drains
from chalicelib.store.fleet import waiting_index
from chalicelib.store.fleet.runner_lists import ROOM_READ
from chalicelib.store.table import Table, Update
from chalicelib.web.snapshot_api import _living_chromiums
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.billed_table import BilledTable
from tests.unit.support.online_line import T, check, hand_in, message, open_turn

#: Of how large fleets reads are compared.
SIZES = (16, 160)


@pytest.fixture
def memory_table() -> Table:
    return BilledTable()


def items_read(services: Services) -> int:
    assert isinstance(services.table, BilledTable)
    return services.table.items_read


def runner_named(services: Services, number: int, capacity: int = 2) -> Runner:
    commit = services.release
    return services.runners.register(
        f"runner{number:014}", "0" * 64, capacity, services.clock(), task=f"task-{number}", commit=commit
    )


def renewed(services: Services, runner: str) -> Runner:
    fresh = services.runners.get(runner)
    assert fresh is not None
    return services.runners.renew_lease(
        fresh, services.clock(), capacity=fresh.capacity, draining=False, probes={}, commit=fresh.commit
    )


def test_a_heartbeat_reads_as_much_in_a_large_fleet(services: Services, clock: Clock) -> None:
    read = []
    for size in SIZES:
        fleet = [runner_named(services, number) for number in range(size, 2 * size)]
        clock.pass_seconds(11)
        for each in fleet:
            renewed(services, each.id)
        before = items_read(services)
        for each in fleet[:5]:
            lifecycle.handle_heartbeat(services, each, clock())
        read.append(items_read(services) - before)
    assert read[0] == read[1]


@pytest.mark.parametrize("failures", [0, 1])
def test_a_placement_reads_as_much_in_a_large_fleet(services: Services, clock: Clock, failures: int) -> None:
    read = []
    services.tenants.create(a_tenant(T), ASSISTANT, by="operator@example.com")
    for size in SIZES:
        for number in range(size, 2 * size):
            runner_named(services, number)
        services.table.update(Update(f"TENANT#{T}", "SESSION", set={"fails": failures or None}))
        before = items_read(services)
        session = services.placement.keep_awake(T, clock())
        read.append(items_read(services) - before)
        assert session.runner is not None
        services.placement.release(T, session.runner, session.epoch, clock())
    assert read[1] - read[0] <= 4 and read[1] <= 3 * waiting_index.ROOM_SHARDS * ROOM_READ


def test_a_session_that_fails_over_reads_no_other_tenants_turns(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn = open_turn(line)
    read = []
    for number in range(3):
        before = items_read(line)
        taken = line.turns.deliverable_of(T)
        read.append(items_read(line) - before)
        other = replace(turn, id=f"another{number}", tenant="tenantbbbb")
        line.table.update(
            Update(
                f"CHAT#tenantbbbb#{number}",
                f"TURN#{other.id}",
                set={"open_turns": "OPEN", "due_at": 1, **waiting_index.turn_of("tenantbbbb", 1)},
            )
        )
    assert read[0] == read[2] == 2
    assert [each.turn for each in taken] == [turn.id]


def test_the_silent_are_found_and_nobody_else_is_read(services: Services, clock: Clock) -> None:
    silent, *others = [runner_named(services, number) for number in range(9)]
    for _ in range(6):
        clock.pass_seconds(10)
        for each in others:
            renewed(services, each.id)
    assert [each.id for each in services.runners.silent(clock())] == [silent.id]
    before = items_read(services)
    assert [each.id for each in services.runners.silent(clock.pass_seconds(20))] == [silent.id]
    assert items_read(services) - before == 1
    renewed(services, silent.id)
    assert services.runners.silent(clock()) == []


def test_a_dead_runner_is_among_the_silent_until_it_is_freed(services: Services, clock: Clock) -> None:
    runner = runner_named(services, 1)
    services.runners.declare_dead(runner.id, clock())
    assert [each.id for each in services.runners.silent(clock())] == [runner.id]
    services.runners.unlist(runner.id)
    assert services.runners.silent(clock()) == []


def test_a_runner_that_an_earlier_release_listed_is_found_by_the_loop(services: Services, clock: Clock) -> None:
    """Its order in the directory was its name, and only a renewal changes it."""
    runner = runner_named(services, 1)
    services.table.update(Update(f"RUNNER#{runner.id}", "RUNNER", set={"directory_order": "f" * 20}))
    clock.pass_seconds(3 * LEASE.total_seconds())
    services.reaping.reap_silent(clock(), witness="another")
    assert services.runners.get(runner.id) == runner
    services.reaping.reap_silent(clock())
    dead = services.runners.get(runner.id)
    assert dead is not None and dead.state is RunnerState.DEAD


# -- room ---------------------------------------------------------------------------------------------------------


def listed_room(services: Services) -> dict[str, int]:
    """Returns the room of each runner of this release that is listed with some."""
    return {each.id: each.free for each in services.runners.with_room(is_current=True)}


def test_a_runner_is_listed_with_its_room_while_it_may_be_given_sessions(services: Services, clock: Clock) -> None:
    runner = runner_named(services, 1, capacity=1)
    assert listed_room(services) == {runner.id: 1}
    services.tenants.create(a_tenant(T), ASSISTANT, by="operator@example.com")
    session = services.placement.keep_awake(T, clock())
    assert listed_room(services) == {} and services.runners.count_current() == 1
    assert session.runner is not None
    services.placement.release(T, session.runner, session.epoch, clock())
    assert listed_room(services) == {runner.id: 1}
    Drains(services.table, services.runners).start(runner.id, clock())
    assert listed_room(services) == {} and services.runners.count_current() == 0


def test_a_renewal_lists_a_runner_anew_as_one_of_this_release_or_of_another(services: Services, clock: Clock) -> None:
    runner = runner_named(services, 1)
    services.table.update(Update(f"RUNNER#{runner.id}", "RUNNER", set=waiting_index.UNLISTED))  # an earlier release's
    clock.pass_seconds(11)
    renewed(services, runner.id)
    assert listed_room(services) == {runner.id: 2}
    services.runners._release = "the next one"
    clock.pass_seconds(11)
    renewed(services, runner.id)
    assert listed_room(services) == {}
    assert [each.id for each in services.runners.with_room(is_current=False)] == [runner.id]


def test_silent_runners_hide_no_other(services: Services, clock: Clock) -> None:
    silent = [runner_named(services, number, capacity=9) for number in range(20)]
    clock.pass_seconds(61)
    living = runner_named(services, 99, capacity=1)
    found = services.placement.candidates.find(None, clock())
    assert [each.id for each in found] == [living.id]
    clock.pass_seconds(1)
    renewed(services, silent[0].id)
    assert silent[0].id in listed_room(services), "it came back"


def test_no_more_runners_are_asked_for_than_the_sessions_take(services: Services, clock: Clock) -> None:
    """Two sessions fit on a runner; a task that started and has not registered is one of those that are needed."""
    services.fleet.count = 1  # type: ignore[attr-defined]
    for number in range(7):
        tenant = a_tenant(f"tenant{number:04}")
        services.tenants.create(tenant, ASSISTANT, by="operator@example.com")
        services.placement.keep_awake(tenant.id, clock())
        assert services.fleet.desired() == (number + 2) // 2  # type: ignore[attr-defined]
    registered = services.runners.register("runnernew1", "0" * 64, 0, clock(), commit=services.release)
    services.placement.place("tenant0000", clock())
    assert services.fleet.desired() == 4, "its capacity is not known yet"  # type: ignore[attr-defined]
    services.runners.renew_lease(registered, clock(), capacity=2, draining=False, probes={}, commit=services.release)
    for number in range(7):
        services.placement.place(f"tenant{number:04}", clock())
    assert services.fleet.desired() == 4  # type: ignore[attr-defined]


def test_the_commits_of_the_runners_are_one_record(services: Services, clock: Clock) -> None:
    commits = services.runners.commits
    assert commits.get() == set()
    for number, commit in enumerate(("old", "new", "new", "")):
        services.runners.register(f"runner{number}", "0" * 64, 1, clock(), commit=commit)
    assert commits.get() == {"old", "new", "unknown"}
    clock.pass_seconds(61)
    renewed(services, "runner1")
    before = items_read(services)
    commits.record(list(services.runners.alive()), clock())
    assert commits.get() == {"new"}
    assert items_read(services) - before == 4 + 1 + 1


def test_a_heartbeat_of_another_release_reads_its_rivals_once(services: Services, clock: Clock) -> None:
    """During an upgrade each session that waits is in question: a runner of the next release would be preferred."""
    for number in range(8):
        tenant = a_tenant(f"tenant{number:04}")
        services.tenants.create(tenant, ASSISTANT, by="operator@example.com")
        services.placement.keep_awake(tenant.id, clock())
    read = []
    for capacity in (1, 7):
        runner = services.runners.register(f"runnerold{capacity}", "0" * 64, capacity, clock(), commit="former")
        before = items_read(services)
        assert lifecycle.handle_heartbeat(services, runner, clock())
        read.append((items_read(services) - before) / capacity)
    assert read[1] < read[0]


@pytest.mark.parametrize(("own", "read"), [("131.0.1.2", 0), ("130.9.9.9", 2), ("", 2)])
def test_a_restore_of_a_session_that_failed_reads_no_more_runners_than_it_takes(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, own: str, read: int
) -> None:
    for number, chromium in enumerate(("129.0.1.1", "131.0.1.1", "131.0.1.1", "131.0.1.1")):
        made = line.runners.register(f"runnerz{number}", "0" * 64, 1, clock())
        line.table.update(Update(f"RUNNER#{made.id}", "RUNNER", set={"chromium": chromium}))
    holder = line.runners.get("runneraaaa")
    assert holder is not None
    asked: list[str] = []
    fleet = sorted((each for each in line.runners.alive() if each.id != holder.id), key=lambda each: each.id)

    def alive() -> Iterator[Runner]:
        for each in fleet:
            asked.append(each.id)
            yield each

    monkeypatch.setattr(line.runners, "alive", alive)
    known = ["131.0.5.5", "130.0.0.0"]
    found = _living_chromiums(line, replace(holder, chromium=own), known)
    assert len(asked) == read
    assert all(has_opener(each, found) for each in known)


def test_of_a_fleet_in_which_nobody_opens_a_snapshot_all_are_asked(line: Services, clock: Clock) -> None:
    for number in range(4):
        made = line.runners.register(f"runnerz{number}", "0" * 64, 1, clock())
        line.table.update(Update(f"RUNNER#{made.id}", "RUNNER", set={"chromium": f"12{number}.0.1.1"}))
    holder = line.runners.get("runneraaaa")
    assert holder is not None
    found = _living_chromiums(line, replace(holder, chromium="120.0.0.0"), ["131.0.5.5"])
    assert sorted(found)[-4:] == ["120.0.1.1", "121.0.1.1", "122.0.1.1", "123.0.1.1"]
    assert not has_opener("131.0.5.5", found)
