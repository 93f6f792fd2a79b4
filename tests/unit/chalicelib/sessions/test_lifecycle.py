"""Failover and placement: open turns go on at the next runner."""

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
