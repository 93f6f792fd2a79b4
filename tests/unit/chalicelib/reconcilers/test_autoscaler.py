"""The autoscaler on stored records: upgrades, scaling in, and draining, minute by minute."""

from dataclasses import replace

import pytest

from chalicelib.model import Assistant, Draining, Runner, RunnerState, Tenant, TenantState, apply_report
from chalicelib.reconcilers import reconcile
from chalicelib.sessions import lifecycle
from chalicelib.store.drains import Drains
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table
from chalicelib.web import runner_api
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, FakeFleet
from wire import Phase, SessionReport, SyncRequest, Wanted

TENANTS = [f"tenant{letter * 4}" for letter in "abcd"]
#: The environment of the control plane in these tests.
NEW = "abc1234"


def fleet_of(services: Services) -> FakeFleet:
    assert isinstance(services.fleet, FakeFleet)
    return services.fleet


class Town:
    """Runners that follow the control plane, minute by minute."""

    def __init__(self, services: Services, clock: Clock) -> None:
        self.services = services
        self.clock = clock
        self.most_asked = 0

    def runner(self, name: str, commit: str = NEW, capacity: int = 4) -> str:
        """Registers a runner."""
        made = self.services.runners.register(
            name, "0" * 64, capacity, self.clock(), task=f"task-{name}", commit=commit
        )
        return made.id

    def tenant(self, name: str) -> None:
        """Creates a tenant whose line is linked, and online as soon as a runner holds it."""
        tenant = Tenant(name, name, "owner@example.com", "en", TenantState.ACTIVE, 1, self.clock(), 1, "x", "1234")
        self.services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
        self.services.placement.keep_awake(name, self.clock())
        self.report(name)

    def report(self, name: str) -> None:
        session = self.services.sessions.get(name)
        holder = self.services.runners.get(session.runner or "")
        if holder is not None:
            told = SessionReport(
                tenant=name,
                epoch=session.epoch,
                sequence=session.sequence + 1,
                phase=Phase.ONLINE,
                number="491709999999",
            )
            self.services.sessions.record_report(holder, session, apply_report(session, told, self.clock()))

    def named(self, name: str) -> Runner:
        runner = self.services.runners.get(name)
        assert runner is not None
        return runner

    def minute(self) -> None:
        """Lets a minute pass: heartbeats, the reconcile loop, releases, and the moved sessions come online."""
        now = self.clock.pass_seconds(60)
        for runner in list(self.services.runners.alive()):
            kept = replace(runner, lease_until=now - 1)  # so that the renewal is written
            self.services.runners.renew_lease(kept, now, capacity=runner.capacity, draining=False, probes={})
        reconcile.reconcile(self.services)
        for runner in list(self.services.runners.alive()):
            asked = [each for each in runner.assigned if each.wanted == Wanted.RELEASE]
            self.most_asked = max(self.most_asked, len(asked))
            for each in asked:
                assert self.services.placement.release(each.tenant, runner.id, each.epoch, now)
                lifecycle.place(self.services, each.tenant, now)
        for tenant in TENANTS:
            if self.services.sessions.get(tenant).runner:
                self.report(tenant)

    def minutes(self, count: int) -> None:
        for _ in range(count):
            self.minute()

    def where(self) -> dict[str, int]:
        """Returns the number of sessions at each runner."""
        return {runner.id: len(runner.assigned) for runner in self.services.runners.alive()}


@pytest.fixture
def town(services: Services, clock: Clock) -> Town:
    services._environment = {**services._environment, "RUNNER_CAPACITY": "4"}
    town = Town(services, clock)
    town.runner("runnerold1", "an-older-one")
    for tenant in TENANTS:
        town.tenant(tenant)
    return town


def test_a_runner_is_protected_once_and_again_before_that_runs_out(town: Town) -> None:
    fleet = fleet_of(town.services)
    town.minute()
    assert fleet.protected == {"task-runnerold1"}
    first = town.named("runnerold1").protected_until
    town.minutes(58)
    assert town.named("runnerold1").protected_until == first
    town.minutes(3)
    assert town.named("runnerold1").protected_until > first


def test_an_upgrade_moves_the_sessions_a_few_at_a_time_and_then_ends_the_old_runner(town: Town) -> None:
    fleet = fleet_of(town.services)
    town.minutes(10)
    town.runner("runnernew1")
    town.minutes(2)
    assert town.named("runnerold1").state is RunnerState.DRAINING
    assert town.where() == {"runnerold1": 4, "runnernew1": 0}
    town.minute()
    assert town.where() == {"runnerold1": 2, "runnernew1": 2}
    assert fleet.protected == {"task-runnerold1", "task-runnernew1"}
    town.minutes(2)
    assert town.where() == {"runnerold1": 0, "runnernew1": 4}
    assert fleet.protected == {"task-runnernew1"}
    assert (town.most_asked, fleet.count) == (2, 1)
    assert all(town.services.sessions.get(tenant).epoch == 4 for tenant in TENANTS)


def test_a_new_runner_that_brings_no_session_online_gets_no_more_than_the_first_two(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.minutes(10)
    town.runner("runnernew1")
    monkeypatch.setattr(town, "report", lambda name: None)
    for tenant in TENANTS:
        assert town.services.sessions.get(tenant).phase is Phase.ONLINE
    town.minutes(20)
    assert town.where() == {"runnerold1": 2, "runnernew1": 2}


def test_an_upgrade_goes_on_without_sessions_that_do_not_come_online_and_logs_them_once(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, report = TENANTS[::2], town.report
    town.minutes(10)
    town.runner("runnernew1")
    monkeypatch.setattr(town, "report", lambda name: None if name in stuck else report(name))
    town.minutes(6)
    assert town.where() == {"runnerold1": 1, "runnernew1": 3}
    town.minutes(14)
    assert town.where() == {"runnerold1": 0, "runnernew1": 4}
    assert town.services.drains.left_behind() == dict.fromkeys(stuck, NEW)
    told = [record for record in caplog.records if record.getMessage() == "sessions_left_behind"]
    assert [record.__dict__["tenants"] for record in told] == [[each] for each in stuck]
    assert {record.levelname for record in told} == {"WARNING"}
    for tenant in stuck:
        report(tenant)
    town.minute()
    assert town.services.drains.left_behind() == {}


def test_a_draining_runner_stays_so_and_gets_no_session(town: Town, clock: Clock) -> None:
    session = town.services.sessions.get(TENANTS[0])
    assert town.services.drains.start("runnerold1", clock())
    assert not town.services.drains.start("runnerold1", clock())
    town.minute()
    assert town.named("runnerold1").state is RunnerState.DRAINING
    town.services.placement.release(TENANTS[0], "runnerold1", session.epoch, clock())
    assert not town.services.placement.place(TENANTS[0], clock())


def test_a_fleet_that_is_too_large_scales_in_after_a_while_and_ecs_may_end_only_the_empty_runner(town: Town) -> None:
    fleet = fleet_of(town.services)
    town.services._environment = {**town.services._environment, "COMMIT": "an-older-one"}
    town.runner("runnerold2", "an-older-one")
    fleet.count = 2
    town.minutes(15)
    assert fleet.count == 2
    assert fleet.protected == {"task-runnerold1", "task-runnerold2"}
    town.minutes(2)
    assert town.named("runnerold2").state is RunnerState.DRAINING
    assert fleet.protected == {"task-runnerold1"}
    town.minute()
    assert (fleet.count, town.services.drains.surplus_since()) == (1, town.clock() - 17 * 60_000)
    assert town.where()["runnerold1"] == 4
    town.services.reaping.reap_stopped_task("task-runnerold2", town.clock())
    town.minute()
    assert town.services.drains.surplus_since() is None


def test_a_free_runner_that_ecs_does_not_end_ends_itself(town: Town, clock: Clock) -> None:
    town.runner("runnernew1", capacity=0)
    assert town.services.drains.start("runnernew1", clock())
    town.minutes(5)
    assert not town.named("runnernew1").end_requested
    town.minute()
    assert town.named("runnernew1").end_requested


def test_without_protection_no_runner_is_drained(town: Town) -> None:
    fleet = fleet_of(town.services)
    fleet.protects = False
    town.services._environment = {**town.services._environment, "COMMIT": "an-older-one"}
    town.runner("runnerold2", "an-older-one")
    fleet.count = 2
    town.minutes(40)
    assert (fleet.count, town.where()) == (2, {"runnerold1": 4, "runnerold2": 0})
    assert town.named("runnerold1").protected_until == 0


def test_a_runner_whose_protection_ecs_does_not_remove_does_not_count_as_free(town: Town, clock: Clock) -> None:
    town.runner("runnernew1")
    town.minute()
    assert town.services.drains.start("runnernew1", clock())
    fleet_of(town.services).protects = False
    town.minutes(3)
    draining = town.named("runnernew1").draining
    assert draining is not None and draining.free_since is None


def test_one_step_that_fails_stops_no_other(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(count: int) -> None:
        raise RuntimeError("ECS is away")

    town.services._environment = {**town.services._environment, "RUNNERS_AT_LEAST": "3"}
    monkeypatch.setattr(fleet_of(town.services), "set_desired", refuse)
    with pytest.raises(ExceptionGroup) as raised:
        town.minute()
    assert [str(trouble) for trouble in raised.value.exceptions] == ["ECS is away"]
    assert fleet_of(town.services).protected == {"task-runnerold1"}


# -- on a real table's rules --------------------------------------------------------------------------------------


def test_the_record_of_a_draining_runner_is_read_back(table: Table, clock: Clock) -> None:
    runners = Runners(table)
    drains = Drains(table, runners)
    runners.register("runneraaaa", "0" * 64, 2, clock())
    drains.record_protection("runneraaaa", 77)
    assert drains.start("runneraaaa", clock())
    item = runners.get("runneraaaa")
    assert item is not None
    assert (item.protected_until, item.draining, item.free) == (77, Draining(clock()), 0)
    drains.mark_free("runneraaaa", clock() + 5)
    item = runners.get("runneraaaa")
    assert item is not None
    assert (item.protected_until, item.draining) == (0, Draining(clock(), free_since=clock() + 5))
    drains.record_protection("nobody", 77)
    drains.mark_free("nobody", 77)
    assert not drains.start("nobody", clock())
    assert runners.get("nobody") is None


def test_a_session_is_asked_to_leave_only_at_the_epoch_that_was_seen(services: Services, clock: Clock) -> None:
    town = Town(services, clock)
    town.runner("runneraaaa")
    town.tenant(TENANTS[0])
    (assignment,) = town.named("runneraaaa").assigned
    assert services.drains.start("runneraaaa", clock())
    before = services.runners.bell("runneraaaa").count
    later = replace(assignment, epoch=assignment.epoch + 1)
    assert not services.drains.request_release("runneraaaa", [later], clock(), moving=TENANTS[:1])
    assert services.runners.bell("runneraaaa").count == before
    assert services.drains.request_release("runneraaaa", [assignment], clock(), moving=TENANTS[:1])
    runner = town.named("runneraaaa")
    assert [each.wanted for each in runner.assigned] == [Wanted.RELEASE]
    assert runner.draining == Draining(clock(), moving=(TENANTS[0],), asked_at=clock())
    assert services.runners.bell("runneraaaa").count > before


def test_the_start_of_a_surplus_is_stored(table: Table) -> None:
    drains = Drains(table, Runners(table))
    assert drains.surplus_since() is None
    for since in (5, None):
        drains.record_surplus(since)
        assert drains.surplus_since() == since


def test_sessions_that_are_left_behind_are_stored_beside_it(table: Table) -> None:
    drains = Drains(table, Runners(table))
    assert drains.left_behind() == {}
    drains.record_surplus(5)
    nobody: dict[str, str] = {}
    for tenants in ({"tenantaaaa": "old", "tenantbbbb": "new"}, nobody):
        drains.record_left_behind(tenants, drains.left_behind())
        assert (drains.left_behind(), drains.surplus_since()) == (tenants, 5)


def test_a_runner_learns_from_its_next_call_what_it_is_to_release_and_that_it_is_to_end(
    services: Services, clock: Clock
) -> None:
    answer = runner_api.sync(services, "bootstrap-token", SyncRequest(sequence=1, capacity=2, task="task-a"))
    assert answer.identity is not None
    token, name = answer.identity.token, answer.identity.runner
    runner_api.sync(services, token, SyncRequest(sequence=2, capacity=2, task="task-a"))
    town = Town(services, clock)
    town.tenant(TENANTS[0])
    (assignment,) = town.named(name).assigned
    assert services.drains.start(name, clock())
    services.drains.request_release(name, [assignment], clock())
    clock.pass_seconds(11)
    told = runner_api.sync(services, token, SyncRequest(sequence=3, capacity=2))
    assert ([each.wanted for each in told.hold], told.drain) == ([Wanted.RELEASE], False)
    services.drains.request_end(name)
    assert runner_api.sync(services, token, SyncRequest(sequence=4, capacity=2)).drain


def test_new_sessions_go_to_runners_of_our_commit_even_if_others_have_more_room(
    services: Services, clock: Clock
) -> None:
    town = Town(services, clock)
    town.runner("runnerold1", "an-older-one", capacity=9)
    town.runner("runnernew1", capacity=1)
    town.tenant(TENANTS[0])
    town.tenant(TENANTS[1])
    assert town.where() == {"runnerold1": 1, "runnernew1": 1}


def test_a_heartbeat_does_not_give_a_runner_back_the_session_that_it_released_while_another_has_room(
    services: Services, clock: Clock
) -> None:
    town = Town(services, clock)
    town.runner("runneraaaa")
    placement = services.placement
    tenant = Tenant(TENANTS[0], "Bakery", "owner@example.com", "en", TenantState.ACTIVE, 1, clock(), 1, "x", "1234")
    services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
    session = placement.keep_awake(TENANTS[0], clock())
    town.runner("runnerbbbb")
    assert placement.release(TENANTS[0], "runneraaaa", session.epoch, clock(), failed=True)
    assert not placement.place(TENANTS[0], clock())
    now = clock.pass_seconds(15)
    assert not lifecycle.handle_heartbeat(services, town.named("runneraaaa"), now)
    assert lifecycle.handle_heartbeat(services, town.named("runnerbbbb"), now)
    assert town.where() == {"runneraaaa": 0, "runnerbbbb": 1}
