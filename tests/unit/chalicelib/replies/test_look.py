"""A look at a chat: what it leaves noted for the reconciler."""

import pytest

from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import TransientError
from chalicelib.replies.look import DELIVERED_WITHIN, Look, request_check
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import CHAT, T, jobs

OVERDUE_MS = DELIVERED_WITHIN.total_seconds() * 1000
CHECK = TurnCheck(tenant=T, chat=CHAT)


def due_in_ms(line: Services, clock: Clock) -> int | None:
    noted = line.due_checks.get(T, CHAT)
    return None if noted is None else noted.due_at - clock()


def test_a_request_is_noted_before_it_is_enqueued(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TransientError("The queue is busy.")

    monkeypatch.setattr(line.jobs, "enqueue_check", refuse)
    with pytest.raises(TransientError):
        request_check(line, T, CHAT, delay_seconds=2)
    assert due_in_ms(line, clock) == 2_000 + OVERDUE_MS


def test_a_look_that_decides_leaves_nothing(line: Services, clock: Clock) -> None:
    request_check(line, T, CHAT, delay_seconds=2)
    Look(line, CHECK).end()
    assert due_in_ms(line, clock) is None
    Look(line, CHECK).end()
    assert due_in_ms(line, clock) is None


def test_what_is_requested_during_a_look_stays(line: Services, clock: Clock) -> None:
    request_check(line, T, CHAT, delay_seconds=0)
    look = Look(line, CHECK)
    request_check(line, T, CHAT, delay_seconds=2)
    look.end()
    assert due_in_ms(line, clock) == 2_000 + OVERDUE_MS


@pytest.mark.parametrize("noted_before", [True, False])
def test_a_look_that_comes_again_is_due_when_its_last_check_is(
    line: Services, clock: Clock, noted_before: bool
) -> None:
    if noted_before:
        request_check(line, T, CHAT, delay_seconds=0)
    jobs(line).sent.clear()
    look = Look(line, CHECK)
    look.check_again(60, 0)
    look.check_again(1, 1)
    look.end()
    assert due_in_ms(line, clock) == 1_000 + OVERDUE_MS
    assert [delay for _, _, delay in jobs(line).sent] == [60, 1]


def test_a_sooner_request_during_a_look_stays_the_sooner_one(line: Services, clock: Clock) -> None:
    look = Look(line, CHECK)
    request_check(line, T, CHAT, delay_seconds=2)
    look.check_again(900, 0)
    look.end()
    assert due_in_ms(line, clock) == 2_000 + OVERDUE_MS


def test_a_look_keeps_the_note_of_what_waits_for_the_end_of_a_turn(line: Services, clock: Clock) -> None:
    request_check(line, T, CHAT, delay_seconds=0)
    look = Look(line, CHECK)
    look.keep_note()
    look.end()
    assert due_in_ms(line, clock) == OVERDUE_MS
