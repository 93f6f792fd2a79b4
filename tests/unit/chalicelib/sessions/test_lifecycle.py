"""Failover and placement: open turns go on at the next runner."""

from collections.abc import Callable

import pytest

from chalicelib.model import TenantState
from chalicelib.sessions import lifecycle
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import T, check, deliver, hand_in, message, open_turn


def test_a_turn_being_sent_is_taken_by_the_next_runner_under_the_same_id(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    before = open_turn(line)
    line.turns.take(before, "runneraaaa", line.sessions.get(T).epoch, clock())
    line.runners.register("runnerbbbb", "0" * 64, 5, clock(), task="task-b")
    lifecycle.handle_stopped_task(line, "task-a")
    session = line.sessions.get(T)
    assert session.runner == "runnerbbbb"
    assert [rung.turn for rung in line.runners.bell("runnerbbbb").turns] == [before.id]
    assert deliver(line, clock).part_ids == before.part_ids


@pytest.mark.parametrize("way", ["resume", "open page", "next order", "heartbeat", "failover", "release"])
def test_each_way_to_a_runner_lists_the_turn_that_was_being_sent_at_its_bell(
    line: Services, clock: Clock, way: str
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn, session = open_turn(line), line.sessions.get(T)
    assert line.turns.take(turn, "runneraaaa", session.epoch, clock())
    line.runners.silence("runneraaaa", turn.id, 99)
    assert line.runners.bell("runneraaaa").turns == ()
    if way == "resume":
        line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="operator@example.com")
        line.placement.follow_state(T, clock())
    assert line.placement.release(T, "runneraaaa", session.epoch, clock())
    line.runners.declare_dead("runneraaaa", clock())
    if way == "heartbeat":
        line.placement.place(T, clock())  # nobody has room
    runner = line.runners.register("runnerbbbb", "0" * 64, 5, clock(), task="b")
    ways: dict[str, Callable[[], object]] = {
        "resume": lambda: _resume(line, clock),
        "open page": lambda: line.placement.keep_awake(T, clock()),
        "next order": lambda: line.placement.pair_with(T, "491701234567", clock()),
        "heartbeat": lambda: lifecycle.handle_heartbeat(line, runner, clock()),
        "failover": lambda: lifecycle.fail_over(line, T, clock()),
        "release": lambda: line.placement.place(T, clock()),
    }
    ways[way]()
    assert line.sessions.get(T).runner == "runnerbbbb"
    assert [each.turn for each in line.runners.bell("runnerbbbb").turns] == [turn.id]


def _resume(line: Services, clock: Clock) -> None:
    line.tenants.set_state(T, TenantState.ACTIVE, now=clock(), by="operator@example.com")
    line.placement.follow_state(T, clock())
