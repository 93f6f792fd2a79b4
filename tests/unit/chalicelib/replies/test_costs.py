"""What a contact can cost: paid calls are bounded however somebody writes, and who writes steadily is answered."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import replace

import greenlet  # type: ignore[import-untyped]
import pytest

from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import TransientError
from chalicelib.model import MAX_CALLS, Policies, SkipReason, TurnState
from chalicelib.reconcilers import reconcile
from chalicelib.replies.paid_calls import count_of_today
from chalicelib.replies.turn_taking import take_turn
from chalicelib.store.conversation.items import turn_from
from chalicelib.store.slots import SLOT_EXPIRES_AFTER
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import CHAT, UNCAPPED, T, check, hand_in, llm, message, open_turn, with_policies

pytestmark = pytest.mark.thorough

MINUTES_PLAYED = 4


class Town:
    """Contacts who write, checks in parallel, a model that takes its time, and a runner that sends at once."""

    def __init__(self, services: Services, clock: Clock, model_seconds: float) -> None:
        self.services, self.clock = services, clock
        self.calls = self.at_once = self.most_at_once = 0
        self._began, self._model_seconds = clock.now, model_seconds
        self._order = itertools.count()
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._hub = greenlet.getcurrent()
        services.__dict__["jobs"] = self
        llm(services).meanwhile = self._think

    def enqueue_check(
        self, tenant: str, chat: str, *, delay_seconds: float, attempt: int = 0, request: str = ""
    ) -> None:
        job = TurnCheck(tenant=tenant, chat=chat, attempt=attempt, request=request)
        self._after(round(delay_seconds), lambda: self._check(job))

    def write(self, chat: str, every_seconds: float) -> None:
        """A contact writes for ever."""
        text = f"Message {next(self._order)} of mine"
        hand_in(self.services, message(self.clock, f"M{next(self._order)}", text, chat=chat))
        self._after(every_seconds, lambda: self.write(chat, every_seconds))

    def play(self, minutes: float) -> None:
        while self._due and self._due[0][0] < self._began + minutes * 60_000:
            self.clock.now, _, step = heapq.heappop(self._due)
            greenlet.greenlet(step).switch()

    def replies(self) -> int:
        turns = (item for item in self.services.table.items() if item["sk"].startswith("TURN#"))  # type: ignore[attr-defined]
        return sum(item["state"] == TurnState.SENT for item in turns)

    def _after(self, seconds: float, step: Callable[[], object]) -> None:
        heapq.heappush(self._due, (self.clock.now + round(seconds * 1000), next(self._order), step))

    def _check(self, job: TurnCheck) -> None:
        take_turn(self.services, job)
        chat = self.services.chats.get(T, job.chat)
        turn = self.services.turns.get(T, job.chat, chat.open_turn) if chat is not None and chat.open_turn else None
        if turn is None or turn.state is not TurnState.READY:
            return
        session = self.services.sessions.get(T)
        taken = self.services.turns.take(turn, "runneraaaa", session.epoch, self.clock())
        assert taken is not None
        _, again = self.services.turns.record_part_sent(taken, 0, self.clock())
        if again:
            self.enqueue_check(T, job.chat, delay_seconds=0)

    def _think(self) -> None:
        self.calls, self.at_once = self.calls + 1, self.at_once + 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._after(self._model_seconds, greenlet.getcurrent().switch)
        self._hub.switch()
        self.at_once -= 1


@pytest.mark.parametrize(("every_seconds", "model_seconds"), [(1, 10), (2, 10), (5, 10), (10, 10), (1, 3)])
def test_who_writes_steadily_is_answered_and_costs_what_the_limits_allow(
    line: Services, clock: Clock, every_seconds: float, model_seconds: float
) -> None:
    policies = Policies()
    with_policies(line, policies)
    town = Town(line, clock, model_seconds)
    town.write(CHAT, every_seconds)
    town.play(MINUTES_PLAYED)
    assert town.calls <= min(3 * (town.replies() + 1), (MINUTES_PLAYED + 1) * policies.replies_per_minute)
    assert town.replies() >= MINUTES_PLAYED * 60 // (4 * (model_seconds + 6)), "answered all the time"
    assert town.most_at_once <= 3
    assert count_of_today(line, line.tenants.get(T), CHAT) == town.calls


def test_limits_of_one_are_limits_of_one_call(line: Services, clock: Clock) -> None:
    with_policies(line, Policies(replies_per_minute=1, replies_per_contact_per_day=1))
    town = Town(line, clock, 10)
    town.write(CHAT, 1)
    town.play(2)
    assert (town.calls, town.replies()) == (1, 1)


def test_a_limit_of_a_minute_counts_the_calls_of_discarded_texts(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, replies_per_minute=3))
    town = Town(line, clock, 5)
    town.write(CHAT, 2)
    town.play(3)
    assert town.calls <= 3 * 4 and town.replies() >= 3


@pytest.mark.parametrize(("think_at_once", "slots"), [("5", 2), ("50", 5), ("0 30", 3), ("40 5", 4)])
def test_many_contacts_of_a_tenant_have_a_tenth_of_the_calls_at_once_and_are_all_answered(
    line: Services, clock: Clock, think_at_once: str, slots: int
) -> None:
    line._environment = {**line._environment, "THINK_AT_ONCE": think_at_once}
    with_policies(line, UNCAPPED)
    town = Town(line, clock, 10)
    for number in range(12):
        hand_in(line, message(clock, f"M{number}", "Hello", chat=f"48{number:02d}@lid"))
    town.play(3)
    assert (town.most_at_once, town.replies(), town.calls) == (slots, 12, 12)


def test_a_slot_of_a_process_that_died_expires_and_a_late_release_frees_no_other(line: Services, clock: Clock) -> None:
    first = line.slots.claim(T, "first", limit=1, now=clock())
    assert first is not None
    assert line.slots.claim(T, "second", limit=1, now=clock()) is None
    assert line.slots.claim("tenantbbbb", "other", limit=1, now=clock()) is not None
    clock.pass_seconds(SLOT_EXPIRES_AFTER.total_seconds())
    second = line.slots.claim(T, "second", limit=1, now=clock())
    assert second is not None
    line.slots.release(first)
    assert line.slots.claim(T, "third", limit=1, now=clock()) is None
    line.slots.release(second)
    assert line.slots.claim(T, "third", limit=1, now=clock()) is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt, RecursionError])
def test_a_call_whose_function_ends_each_time_is_not_paid_for_ever(
    line: Services, clock: Clock, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """SQS repeats the job, and reconcile wakes the turn: for twelve hours, if nothing counted."""
    with_policies(line, UNCAPPED)
    hand_in(line, message(clock, "M1"))

    def end() -> None:
        raise error

    llm(line).meanwhile = end
    for _ in range(12 * 60):
        clock.pass_seconds(60)
        reconcile.reconcile(line)
        try:
            check(line)
        except error:
            continue
    assert len(llm(line).asked) == MAX_CALLS
    (item,) = (item for item in line.table.items() if item["sk"].startswith("TURN#"))  # type: ignore[attr-defined]
    assert (turn_from(item).state, turn_from(item).reason) == (TurnState.DISCARDED, SkipReason.MODEL_UNAVAILABLE)
    assert "turn_given_up" in caplog.messages


def test_a_call_that_openai_does_not_take_counts_nowhere(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, replies_per_contact_per_day=2))
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    llm(line).next = [TransientError("OpenAI is busy.") for _ in range(5)]
    while open_turn_or_none(line) is not TurnState.READY:
        check(line)
        clock.pass_seconds(60)
    turn = open_turn(line)
    assert (turn.calls, turn.attempts) == (1, 5)
    assert count_of_today(line, line.tenants.get(T), CHAT) == 1


def open_turn_or_none(services: Services) -> TurnState | None:
    chat = services.chats.get(T, CHAT)
    return open_turn(services).state if chat is not None and chat.open_turn is not None else None
