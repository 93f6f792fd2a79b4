"""Two tenants whose lines should run, and runners that may hold their sessions."""

from typing import Any

import pytest

from chalicelib.model import Runner
from chalicelib.store.fleet.tasks import Tasks
from chalicelib.store.placement import Placement
from chalicelib.store.runners import Runners
from chalicelib.store.sessions import Sessions
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.conftest import ASSISTANT, Clock, a_tenant

A, B = "tenantaaaa", "tenantbbbb"


def placement_on(table: Table, **more: Any) -> Placement:
    runners = Runners(table, str(more.get("release", "")))
    return Placement(table, runners, Sessions(table, runners), **more)


@pytest.fixture
def scaled_out() -> list[str]:
    """One entry for each session that found no room."""
    return []


@pytest.fixture
def placement(table: Table, scaled_out: list[str]) -> Placement:
    return placement_on(table, scale_out=lambda needed: scaled_out.append("scaled out"))


@pytest.fixture
def tenants(table: Table) -> Tenants:
    tenants = Tenants(table, Timeline(table))
    for id in (A, B):
        tenants.create(a_tenant(id), ASSISTANT, by="operator@example.com")
    return tenants


def registered(placement: Placement, clock: Clock, name: str = "runneraaaa", capacity: int = 2) -> Runner:
    assert Tasks(placement._table, placement.runners).claim(f"task-{name}", name, clock())
    return placement.runners.register(name, "0" * 64, capacity, clock(), task=f"task-{name}")


def renewed(placement: Placement, runner: Runner, clock: Clock) -> Runner:
    """Renews the runner's lease, as a heartbeat does."""
    fresh = placement.runners.get(runner.id)
    assert fresh is not None
    return placement.runners.renew_lease(fresh, clock(), capacity=fresh.capacity, draining=False, probes={})
