"""Drains: each step is of a runner in the state for it, and makes none of one that is gone."""

import logging
from typing import Any

import pytest

from chalicelib.model import RunnerState
from chalicelib.store.drains import Drains
from chalicelib.store.runners import Runners
from chalicelib.store.table import ConditionFailed, Update
from tests.unit.conftest import Clock
from tests.unit.support.racing_table import RacingTable
from wire import Wanted

R = "runneraaaa"
PK = f"RUNNER#{R}"
HELD = {"tenantaaaa": {"epoch": 2}, "tenantbbbb": {"epoch": 5}}


@pytest.fixture
def runners(racing: RacingTable) -> Runners:
    return Runners(racing)


@pytest.fixture
def drains(racing: RacingTable, runners: Runners, clock: Clock) -> Drains:
    runners.register(R, "0" * 64, 2, clock())
    racing.update(Update(PK, "RUNNER", set={"assigned": HELD}))
    return Drains(racing, runners)


def item(racing: RacingTable) -> dict[str, Any]:
    return racing.get(PK, "RUNNER") or {}


@pytest.mark.parametrize("state", RunnerState)
def test_only_a_runner_that_is_alive_begins_to_drain(
    drains: Drains, racing: RacingTable, clock: Clock, state: RunnerState
) -> None:
    racing.update(Update(PK, "RUNNER", set={"state": state}))
    assert drains.start(R, clock()) is (state is RunnerState.ALIVE)
    assert ("draining" in item(racing)) is (state is RunnerState.ALIVE)


@pytest.mark.parametrize(
    ("draining", "moved", "released"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"tenantbbbb": {"epoch": 6}}, False),
        (True, {"tenantbbbb": None}, False),
    ],
)
def test_sessions_are_asked_for_together_and_only_as_they_were_read(
    drains: Drains, runners: Runners, racing: RacingTable, clock: Clock, draining: bool, moved: Any, released: bool
) -> None:
    if draining:
        drains.start(R, clock())
    held = runners.get(R)
    assert held is not None
    if moved:
        kept = {tenant: entry for tenant, entry in {**HELD, **moved}.items() if entry is not None}
        racing.update(Update(PK, "RUNNER", set={"assigned": kept}))
    assert drains.request_release(R, held.assigned, clock(), moving=["tenantaaaa"]) is released
    wanted = {entry.get("wanted", Wanted.RUN) for entry in item(racing)["assigned"].values()}
    assert wanted == {Wanted.RELEASE if released else Wanted.RUN}
    assert runners.bell(R).count == released


@pytest.mark.parametrize("state", RunnerState)
def test_only_a_draining_runner_becomes_free(
    drains: Drains, racing: RacingTable, clock: Clock, state: RunnerState
) -> None:
    racing.update(Update(PK, "RUNNER", set={"state": state, "draining": {"since": 1}, "protected_until": 9}))
    drains.mark_free(R, clock())
    assert ("free_since" in item(racing)["draining"]) is (state is RunnerState.DRAINING)
    assert (item(racing)["protected_until"] == 0) is (state is RunnerState.DRAINING)


def test_nothing_is_written_of_a_runner_that_is_gone(drains: Drains, racing: RacingTable) -> None:
    racing.delete(PK, "RUNNER")
    drains.record_protection(R, 9)
    with pytest.raises(ConditionFailed):
        drains.request_end(R)
    assert item(racing) == {}


def test_protection_is_recorded_as_ecs_confirmed_it(drains: Drains, runners: Runners) -> None:
    drains.record_protection(R, 9)
    held = runners.get(R)
    assert held is not None and held.protected_until == 9


def test_an_end_is_requested_with_a_ring(drains: Drains, runners: Runners) -> None:
    drains.request_end(R)
    held = runners.get(R)
    assert held is not None and held.end_requested
    assert runners.bell(R).count == 1


def test_the_fleet_remembers_its_surplus_and_what_was_left_behind(
    drains: Drains, caplog: pytest.LogCaptureFixture
) -> None:
    assert (drains.surplus_since(), drains.left_behind()) == (None, {})
    drains.record_surplus(7)
    with caplog.at_level(logging.WARNING):
        drains.record_left_behind({"tenantaaaa": "r1"}, before=[])
        drains.record_left_behind({"tenantaaaa": "r1"}, before=["tenantaaaa"])
    assert (drains.surplus_since(), drains.left_behind()) == (7, {"tenantaaaa": "r1"})
    assert len(caplog.records) == 1
    drains.record_surplus(None)
    assert drains.surplus_since() is None
