"""The reconcile loop: each step is isolated, and all of them are done each minute."""

from dataclasses import replace

import pytest

from chalicelib.errors import TransientError
from chalicelib.model import Assistant, TenantState
from chalicelib.reconcilers import reconcile
from chalicelib.store.table import Update
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import (
    CHAT,
    T,
    check,
    hand_in,
    jobs,
    message,
    open_turn,
)


def test_the_error_of_one_tenant_stops_no_other_and_is_raised_at_the_end(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bakery = line.tenants.get(T)
    for id in ("tenant0000", "tenantzzzz"):
        tenant = replace(bakery, id=id)
        line.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
        line.table.update(Update(f"TENANT#{id}", "SESSION", set={"number": "491709999998"}))
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    clock.pass_seconds(15 * 60)
    jobs(line).sent.clear()
    line.runners.register("runnerbbbb", "0" * 64, 5, clock(), task="task-b")
    place = line.placement.place

    def refuse(tenant: str, now: int) -> bool:
        if tenant == "tenant0000":
            raise TransientError("The database is busy.")
        return place(tenant, now)

    monkeypatch.setattr(line.placement, "place", refuse)
    with pytest.raises(ExceptionGroup) as raised:
        reconcile.reconcile(line)
    assert [str(error) for error in raised.value.exceptions] == ["The database is busy."]
    assert line.sessions.get("tenantzzzz").runner == "runnerbbbb"
    assert jobs(line).sent == [(T, CHAT, 0)]
    assert line.fleet.service().desired == 2


def test_the_bell_rings_again_for_a_turn_whose_sending_was_not_finished(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn, session = open_turn(line), line.sessions.get(T)
    assert line.turns.take(turn, "runneraaaa", session.epoch, clock()) is not None
    line.runners.silence("runneraaaa", turn.id, turn.revision)
    for _ in range(31):
        clock.pass_seconds(10)
        runner = line.runners.get("runneraaaa")
        assert runner is not None
        line.runners.renew_lease(runner, clock(), capacity=5, draining=False, probes={T: clock()})
    reconcile.reconcile(line)
    assert [rung.turn for rung in line.runners.bell("runneraaaa").turns] == [turn.id]


def test_reconcile_places_sessions_that_should_run_releases_others_and_scales_the_fleet(
    line: Services, clock: Clock
) -> None:
    line.placement.release(T, "runneraaaa", line.sessions.get(T).epoch, clock())
    reconcile.reconcile(line)
    assert line.sessions.get(T).runner == "runneraaaa"
    line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="o")
    reconcile.reconcile(line)
    runner = line.runners.get("runneraaaa")
    assert runner is not None and runner.assigned[0].wanted == "release"
    assert line.fleet.service().desired == 1


def test_a_directory_that_lags_takes_no_decision_of_an_operator_back(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="o")
    lagging = line.tenants.list_all()
    line.tenants.set_state(T, TenantState.ACTIVE, now=clock(), by="o")
    line.placement.follow_state(T, clock())
    monkeypatch.setattr(line.tenants, "list_all", lambda: lagging)
    reconcile.reconcile(line)
    runner = line.runners.get("runneraaaa")
    assert runner is not None and runner.assigned[0].wanted == "run"
