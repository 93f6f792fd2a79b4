"""The introduction as a contact reads it: exactly once, wherever a worker dies, and never without its reply."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import PermanentError, TransientError
from chalicelib.model import Chat, SkipReason, TenantState, Turn, TurnState
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.rendering.languages import LANGUAGES
from chalicelib.replies.formatting import CHARACTERS_PER_PART, MAX_PARTS
from chalicelib.replies.refused_turn import end_refused
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import (
    CHAT,
    UNCAPPED,
    T,
    check,
    deliver,
    hand_in,
    llm,
    message,
    open_turn,
    relinked,
    with_policies,
)
from wire import MessageKind

INTRODUCTION = "For Bakery, an automatic assistant (AI) answers here. Write STOP to switch automatic answers off.\n\n"
INTRODUCING = replace(UNCAPPED, introduction_off_reason="")
DAY = 86_400


@pytest.fixture(autouse=True)
def introducing(line: Services) -> None:
    with_policies(line, INTRODUCING)


def chat_of(line: Services) -> Chat:
    chat = line.chats.get(T, CHAT)
    assert chat is not None
    return chat


def ask(line: Services, clock: Clock, text: str = "Hello", **more: Any) -> Turn:
    """The contact writes, and the line has an answer."""
    hand_in(line, message(clock, f"M{clock.now}", text, **more))
    clock.pass_seconds(7)
    while check(line) is ReplyOutcome.NOT_YET:
        pass
    return open_turn(line)


def answers(line: Services, clock: Clock, text: str = "Hello", **more: Any) -> tuple[str, ...]:
    """The contact writes, is answered, and reads this."""
    parts = ask(line, clock, text, **more).parts
    deliver(line, clock)
    return parts


def test_the_first_reply_of_a_chat_begins_with_it_and_the_second_does_not(line: Services, clock: Clock) -> None:
    assert answers(line, clock) == (f"{INTRODUCTION}You said: Hello",)
    assert answers(line, clock, "Again") == ("You said: Again",)


def test_the_model_never_reads_it(line: Services, clock: Clock) -> None:
    answers(line, clock)
    answers(line, clock, "", kind=MessageKind.IMAGE)
    answers(line, clock, "Again")
    read = [each.text for lines in llm(line).asked for each in lines]
    assert "You said: Hello" in read and not any("automatic assistant" in text for text in read)


def test_it_comes_again_after_a_month_and_after_a_new_login(line: Services, clock: Clock) -> None:
    answers(line, clock)
    clock.pass_seconds(30 * DAY - 60)
    assert answers(line, clock, "Nearly") == ("You said: Nearly",)
    clock.pass_seconds(60)
    assert answers(line, clock, "A month") == (f"{INTRODUCTION}You said: A month",)
    relinked(line, clock, "491709999999", within_seconds=60)
    clock.pass_seconds(30)
    assert answers(line, clock, "Linked") == (f"{INTRODUCTION}You said: Linked",)
    assert answers(line, clock, "Still") == ("You said: Still",)


def test_a_fixed_sentence_introduces_too_but_not_the_confirmation_of_stop(line: Services, clock: Clock) -> None:
    first = answers(line, clock, "", kind=MessageKind.IMAGE)
    assert len(first) == 1 and first[0].startswith(INTRODUCTION) and first[0].count("\n\n") == 1
    assert answers(line, clock) == ("You said: Hello",)
    clock.pass_seconds(31 * DAY)
    (confirmed,) = answers(line, clock, "STOP")
    assert confirmed.startswith("Automatic answers are off")


def test_a_long_reply_has_room_for_it(line: Services, clock: Clock) -> None:
    llm(line).next.append("A long sentence of a model. " * 1_000)
    parts = ask(line, clock).parts
    assert parts[0].startswith(INTRODUCTION) and len(parts) == MAX_PARTS
    assert all(len(part) <= CHARACTERS_PER_PART for part in parts)
    assert not any("automatic assistant" in part for part in parts[1:])


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_fixed_part_names_an_automatic_assistant_in_each_language(
    line: Services, clock: Clock, language: str
) -> None:
    policies = replace(INTRODUCING, introduction_words="I am {name} and {0}.")
    tenant = line.tenants.get(T)
    changes = {"language": language, "policies": policies, "name": "Käse & Söhne {0}"}
    line.tenants.edit(T, changes, expected_revision=tenant.revision, now=0, by="operator@example.com")
    (text,) = answers(line, clock)
    first = text.partition("\n\n")[0]
    assert ("autom" in first.lower() and "assist" in first.lower()) or "asistente" in first
    assert "Käse & Söhne {0}" in first and first.endswith("I am {name} and {0}.")


def test_a_line_that_does_not_introduce_itself_says_nothing(line: Services, clock: Clock) -> None:
    with_policies(line, replace(INTRODUCING, introduction_off_reason="Each contact signs it."))
    assert answers(line, clock) == ("You said: Hello",)
    assert chat_of(line).introduced_at is None


def test_each_call_has_our_own_instructions_after_the_tenants(line: Services, clock: Clock) -> None:
    with_policies(line, replace(INTRODUCING, emergency=True))
    ask(line, clock)
    instructions = llm(line).assistants[-1].instructions
    assert instructions.startswith("Be kind.\n\nRules of this service.")
    assert 'an automatic assistant of "Bakery", and no person' in instructions
    assert "call the emergency number of your country now" in instructions


# -- a reply that nobody read counts for nothing -----------------------------------------------------------------------


def discards_for_takeover(line: Services, clock: Clock) -> None:
    ask(line, clock)
    hand_in(line, message(clock, "PHONE", "I am here myself", from_me=True))
    clock.pass_seconds(2 * 3_600)


def discards_for_pause(line: Services, clock: Clock) -> None:
    ask(line, clock)
    line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="operator@example.com")
    assert check(line) is ReplyOutcome.NOT_YET
    line.tenants.set_state(T, TenantState.ACTIVE, now=clock(), by="operator@example.com")


def gives_up(line: Services, clock: Clock) -> None:
    llm(line).next.append(PermanentError("refusal"))
    hand_in(line, message(clock, "REFUSED", "Something"))
    clock.pass_seconds(7)
    assert check(line) is ReplyOutcome.SKIPPED


def is_too_old(line: Services, clock: Clock) -> None:
    turn = ask(line, clock)
    session = line.sessions.get(T)
    assert session.runner is not None and line.turns.take(turn, session.runner, session.epoch, clock())
    clock.pass_seconds(13 * 3_600)
    assert line.turns.abandon(open_turn(line), SkipReason.TOO_OLD)


def is_refused_at_once(line: Services, clock: Clock) -> None:
    turn = ask(line, clock)
    session = line.sessions.get(T)
    assert session.runner is not None
    taken = line.turns.take(turn, session.runner, session.epoch, clock())
    assert taken is not None and end_refused(line, taken, session.runner, session.epoch, 0, clock())


def folds_in(line: Services, clock: Clock) -> None:
    ask(line, clock)
    hand_in(line, message(clock, "MORE", "And more"))
    clock.pass_seconds(7)
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).revision == 2
    assert line.turns.discard(open_turn(line), SkipReason.TAKEOVER, clock())


def is_withdrawn(line: Services, clock: Clock) -> None:
    ask(line, clock)
    assert line.turns.withdraw(open_turn(line), clock())
    assert open_turn(line).introduced_at is None
    assert line.turns.discard(open_turn(line), SkipReason.TAKEOVER, clock())


@pytest.mark.parametrize(
    "ends",
    [discards_for_takeover, discards_for_pause, gives_up, is_too_old, is_refused_at_once, folds_in, is_withdrawn],
)
def test_a_reply_that_was_not_sent_does_not_count(
    line: Services, clock: Clock, ends: Callable[[Services, Clock], None]
) -> None:
    ends(line, clock)
    assert chat_of(line).open_turn is None and chat_of(line).introduced_at is None
    assert answers(line, clock, "Now then")[0].startswith(INTRODUCTION)
    assert answers(line, clock, "And now") == ("You said: And now",)


def test_a_reply_that_is_refused_after_its_first_part_counts(line: Services, clock: Clock) -> None:
    llm(line).next.append("A long sentence of a model. " * 200)
    turn, session = ask(line, clock), line.sessions.get(T)
    assert session.runner is not None
    taken = line.turns.take(turn, session.runner, session.epoch, clock())
    assert taken is not None and len(taken.parts) == 2
    line.turns.record_part_sent(taken, 0, clock())
    assert end_refused(line, taken, session.runner, session.epoch, 1, clock()), "with the turn as it was before"
    assert answers(line, clock, "Again") == ("You said: Again",)


def test_a_takeover_needs_no_second_one(line: Services, clock: Clock) -> None:
    answers(line, clock)
    hand_in(line, message(clock, "PHONE", "I am here myself", from_me=True))
    clock.pass_seconds(2 * 3_600)
    assert answers(line, clock, "Again") == ("You said: Again",)


# -- a worker dies ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of a worker."""


def each_write(line: Services, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> Iterator[int]:
    """Counts the writes, and kills the worker after this one."""
    table = line.turns._table
    written = 0
    for name in ("update", "put", "transact"):
        real = getattr(table, name)

        def writing(*given: Any, real: Any = real, **named: Any) -> Any:
            nonlocal written
            done = real(*given, **named)
            written += 1
            if written == kill_at:
                raise Killed
            return done

        monkeypatch.setattr(table, name, writing)
    while True:
        yield written


@pytest.mark.parametrize("kill_at", range(1, 25))
def test_it_is_read_once_though_a_worker_dies_after_any_write(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    read: dict[str, str] = {}
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(7)
    with monkeypatch.context() as killing:
        written = each_write(line, killing, kill_at)
        next(written)
        with suppress(Killed):
            go_through(line, clock, read)
    clock.pass_seconds(600)
    go_through(line, clock, read)
    hand_in(line, message(clock, "M2", "Again"))
    clock.pass_seconds(7)
    go_through(line, clock, read)
    assert [text.startswith(INTRODUCTION) for text in read.values()] == [True, False]
    assert "".join(read.values()).count("automatic assistant") == 1


def go_through(line: Services, clock: Clock, read: dict[str, str]) -> None:
    """Checks and delivers until nothing waits; the contact's phone shows each message id once."""
    for _ in range(10):
        check(line)
        if chat_of(line).open_turn is None:
            break
        turn, session = open_turn(line), line.sessions.get(T)
        assert session.runner is not None
        if turn.state not in (TurnState.READY, TurnState.SENDING):
            clock.pass_seconds(200)
            continue
        taken = line.turns.take(turn, session.runner, session.epoch, clock())
        assert taken is not None
        for part, text in enumerate(taken.parts):
            read.setdefault(taken.part_id(part), text)
            taken, _ = line.turns.record_part_sent(taken, part, clock())


def test_a_turn_is_not_opened_over_a_chat_that_was_introduced_meanwhile(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    stale = chat_of(line)
    batch = tuple(line.chats.read_recent(stale, depth=9, now=clock()).messages)
    answers(line, clock, "Another")
    later = replace(batch[0], id="M9", at=f"{clock():013d}#009")
    assert line.turns.freeze(stale, (later,), retention_days=30, now=clock()) is None
    assert line.turns.freeze(chat_of(line), (later,), retention_days=30, now=clock()) is not None


def test_a_retry_after_an_error_introduces(line: Services, clock: Clock) -> None:
    llm(line).next.append(TransientError("busy"))
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(7)
    assert check(line) is ReplyOutcome.POSTPONED
    clock.pass_seconds(60)
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).parts[0].startswith(INTRODUCTION)
