"""Fixtures of the stores' tests: a tenant with all its stores, on every engine of the table."""

from dataclasses import replace

import pytest

from chalicelib.model import Assistant, EventKind, Policies, Tenant, TenantState
from chalicelib.store.counters import Counters
from chalicelib.store.invites import Invites
from chalicelib.store.operators import Operators
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from tests.unit.conftest import ENGINES
from tests.unit.support.racing_table import RacingTable

OPERATOR = "olga@agency.example"
ASSISTANT = Assistant(1, "gpt-6-luna", "Be kind.", temperature=0.5, legacy_reference="asst_abcdef")


def a_tenant(id: str = "hotel000", **changes: object) -> Tenant:
    tenant = Tenant(
        id=id,
        name="Hotel Alpenblick",
        owner_email="owner@example.com",
        language="de",
        state=TenantState.ACTIVE,
        revision=1,
        created_at=1_790_000_000_000,
        assistant_version=1,
        key_ciphertext="c2VjcmV0",
        key_last4="1234",
        policies=Policies(ignored_phones=("491701234567",), give_up_text="Later."),
    )
    return replace(tenant, **changes)  # type: ignore[arg-type]


@pytest.fixture(params=ENGINES)
def table(request: pytest.FixtureRequest) -> Table:
    """An empty table; its test runs on every engine."""
    table: Table = request.getfixturevalue(f"{request.param}_table")
    return table


@pytest.fixture
def racing() -> RacingTable:
    return RacingTable()


@pytest.fixture
def timeline(table: Table) -> Timeline:
    return Timeline(table)


@pytest.fixture
def tenants(table: Table, timeline: Timeline) -> Tenants:
    return Tenants(table, timeline)


@pytest.fixture
def invites(table: Table, timeline: Timeline) -> Invites:
    return Invites(table, timeline)


@pytest.fixture
def operators(table: Table) -> Operators:
    return Operators(table)


@pytest.fixture
def counters(table: Table) -> Counters:
    return Counters(table)


@pytest.fixture
def hotel(tenants: Tenants) -> Tenant:
    tenant = a_tenant()
    tenants.create(tenant, ASSISTANT, by=OPERATOR)
    return tenant


def happened(timeline: Timeline, tenant: str = "hotel000") -> list[EventKind]:
    return [event.kind for event in timeline.latest(tenant)]
