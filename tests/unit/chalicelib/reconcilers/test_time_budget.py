"""The time of a run of reconcile: scaling comes first, each kind of work ends in time, and no line is always last."""

from unittest.mock import Mock

import pytest

from chalicelib.model import TenantState
from chalicelib.reconcilers import autoscaler, health_report, reconcile
from chalicelib.reconcilers.time_budget import FAILOVER_UNTIL, LINES_UNTIL, TimeBudget
from chalicelib.sessions import lifecycle
from chalicelib.store.conversation.due_checks import DueCheck
from chalicelib.store.table import Table
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.billed_table import BilledTable

#: Of so many lines each waits for a runner, and to place one takes this long.
LINES, SECONDS_EACH = 90, 1.0


@pytest.fixture
def memory_table() -> Table:
    return BilledTable()


@pytest.fixture
def waiting(services: Services, clock: Clock) -> Services:
    for number in range(LINES):
        tenant = a_tenant(f"tenant{number:04}", state=TenantState.ACTIVE)
        services.tenants.create(tenant, ASSISTANT, by="operator@example.com")
        services.sessions.keep_awake(services.sessions.get(tenant.id), clock() + 86_400_000)
    return services


def test_work_is_begun_while_its_time_is_left(clock: Clock) -> None:
    budget = TimeBudget(clock)
    done = []
    for piece in budget.within(FAILOVER_UNTIL, range(99)):
        done.append(piece)
        clock.pass_seconds(3)
    assert done == list(range(7))
    assert list(budget.within(FAILOVER_UNTIL, range(9))) == []
    assert list(budget.within(LINES_UNTIL, range(9))) == list(range(9)), "its share is not over"


def test_scaling_comes_first_and_a_run_ends_before_lambda_ends_it(
    waiting: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began_at = clock()
    scaled_at: list[int] = []
    checked_at: list[int] = []
    placed: list[str] = []

    def scale(*_: object) -> list[autoscaler.Step]:
        scaled_at.append(clock())
        return []

    def due(**_: object) -> list[DueCheck]:
        checked_at.append(clock())
        return []

    monkeypatch.setattr(autoscaler, "steps", scale)
    monkeypatch.setattr(waiting.due_checks, "due", due)

    def place(services: Services, tenant: str, now: int) -> None:
        placed.append(tenant)
        clock.pass_seconds(SECONDS_EACH)

    monkeypatch.setattr(lifecycle, "place", place)
    reconcile.reconcile(waiting)
    assert scaled_at == [began_at]
    assert len(placed) == LINES_UNTIL.total_seconds() / SECONDS_EACH
    assert checked_at, "what follows has its own time"
    assert clock() - began_at < 50_000


def test_each_line_has_its_turn_however_little_time_there_is(
    waiting: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: set[str] = set()

    def place(services: Services, tenant: str, now: int) -> None:
        placed.add(tenant)
        clock.pass_seconds(6 * SECONDS_EACH)

    monkeypatch.setattr(lifecycle, "place", place)
    for _ in range(40):
        began_at = clock()
        reconcile.reconcile(waiting)
        clock.pass_seconds(60 - (clock() - began_at) / 1000)
    assert len(placed) == LINES


def test_the_directory_is_read_once_for_the_loop_and_the_health_report(waiting: Services) -> None:
    table = waiting.table
    assert isinstance(table, BilledTable)
    observed = reconcile.observe(waiting)
    before = table.items_read
    monkeypatched = Mock(side_effect=AssertionError("read twice"))
    waiting.tenants.list_all = waiting.runners.listed = monkeypatched  # type: ignore[method-assign]
    reconcile.reconcile(waiting, observed)
    assert len(health_report.read(waiting, observed).lines) == LINES
    assert table.items_read > before
