"""Fixed sentences: what a contact reads who says STOP, or who sends messages without words. No model is asked."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import SkipReason, TenantState, TurnState
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.rendering.languages import LANGUAGES, translator
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import (
    CHAT,
    UNCAPPED,
    T,
    check,
    deliver,
    hand_in,
    jobs,
    llm,
    message,
    open_turn,
    with_policies,
)
from wire import MessageKind

DAY = 86_400
OFF, NO_PICTURES = (translator("en")(f"chat.{sentence}") for sentence in ("stopped", "no_pictures"))


def says(line: Services, clock: Clock, text: str, **more: Any) -> ReplyOutcome:
    """The contact writes, and the line has its time to answer."""
    hand_in(line, message(clock, f"M{clock.now}", text, **more))
    clock.pass_seconds(7)
    outcome = check(line)
    while outcome is ReplyOutcome.NOT_YET:
        outcome = check(line)
    return outcome


def sends_picture(line: Services, clock: Clock, **more: Any) -> ReplyOutcome:
    return says(line, clock, "", kind=MessageKind.IMAGE, **more)


def reasons(line: Services, clock: Clock) -> list[str | None]:
    chat = line.chats.get(T, CHAT)
    assert chat is not None
    return [turn.reason for turn in line.chats.read_recent(chat, depth=99, now=clock()).turns]


# -- STOP ------------------------------------------------------------------------------------------------------------


def test_stop_is_confirmed_once_and_ends_answers_until_start(line: Services, clock: Clock) -> None:
    assert says(line, clock, "Hello") is ReplyOutcome.RANG
    deliver(line, clock)
    assert says(line, clock, "STOP") is ReplyOutcome.RANG
    assert open_turn(line).parts == (OFF,) and open_turn(line).reason == SkipReason.STOPPED
    assert deliver(line, clock).state is TurnState.SENT
    assert says(line, clock, "Stop!!") is ReplyOutcome.SKIPPED
    clock.pass_seconds(3 * DAY)
    assert says(line, clock, "Are you open?") is ReplyOutcome.SKIPPED
    assert reasons(line, clock)[-2:] == [SkipReason.STOPPED] * 2
    assert len(llm(line).asked) == 1
    assert says(line, clock, "Start") is ReplyOutcome.RANG
    deliver(line, clock)
    assert says(line, clock, "Are you open?") is ReplyOutcome.RANG
    deliver(line, clock)
    assert says(line, clock, "stop") is ReplyOutcome.RANG
    assert open_turn(line).parts == (OFF,)


def test_stop_discards_the_reply_that_is_not_sent_yet(line: Services, clock: Clock) -> None:
    assert says(line, clock, "Hello") is ReplyOutcome.RANG
    before = open_turn(line)
    assert says(line, clock, "STOP") is ReplyOutcome.RANG
    assert open_turn(line).parts == (OFF,)
    discarded = line.turns.get(T, CHAT, before.id)
    assert discarded is not None and (discarded.state, discarded.reason) == (TurnState.DISCARDED, SkipReason.STOPPED)


def test_stop_while_the_model_thinks_is_not_answered_by_it(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", "Hello"))
    clock.pass_seconds(2)

    def stop() -> None:
        llm(line).meanwhile = lambda: None
        says(line, clock, "stop")

    llm(line).meanwhile = stop
    assert check(line) is ReplyOutcome.SUPERSEDED
    assert open_turn(line).parts == (OFF,) and len(llm(line).asked) == 1


def test_a_new_message_does_not_fold_into_the_confirmation(line: Services, clock: Clock) -> None:
    assert says(line, clock, "STOP") is ReplyOutcome.RANG
    assert says(line, clock, "Really.") is ReplyOutcome.RANG
    assert open_turn(line).parts == (OFF,)
    jobs(line).sent.clear()
    deliver(line, clock)
    assert jobs(line).sent == [(T, CHAT, 0)]
    assert check(line) is ReplyOutcome.SKIPPED
    assert llm(line).asked == []


def test_a_person_who_writes_from_the_phone_resumes_once_the_takeover_is_over(line: Services, clock: Clock) -> None:
    assert says(line, clock, "STOP") is ReplyOutcome.RANG
    deliver(line, clock)
    clock.pass_seconds(5)
    hand_in(line, message(clock, "OWN1", "May I help you?", from_me=True))
    clock.pass_seconds(5)
    hand_in(line, message(clock, "M2", "Yes, please"))
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    clock.pass_seconds(3_600)
    assert says(line, clock, "And tomorrow?") is ReplyOutcome.RANG
    assert len(llm(line).asked) == 1


@pytest.mark.parametrize("silent", ["takeover", "paused"])
def test_stop_counts_while_the_line_is_silent_for_another_reason(line: Services, clock: Clock, silent: str) -> None:
    hand_in(line, message(clock, "M0", "Hello"))
    if silent == "paused":
        line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="o")
    else:
        hand_in(line, message(clock, "OWN1", "I am here.", from_me=True))
    clock.pass_seconds(60)
    says(line, clock, "Stop")
    line.tenants.set_state(T, TenantState.ACTIVE, now=clock(), by="o")
    clock.pass_seconds(3_600)
    assert says(line, clock, "Are you open?") is ReplyOutcome.SKIPPED
    assert llm(line).asked == []


def test_a_stop_that_comes_late_does_not_undo_a_later_start(line: Services, clock: Clock) -> None:
    assert says(line, clock, "stop") is ReplyOutcome.RANG
    deliver(line, clock)
    late = message(clock, "LATE", "stop")
    clock.pass_seconds(60)
    assert says(line, clock, "start") is ReplyOutcome.RANG
    deliver(line, clock)
    hand_in(line, late)
    clock.pass_seconds(7)
    assert check(line) is ReplyOutcome.RANG
    chat = line.chats.get(T, CHAT)
    assert chat is not None and not chat.stopped


def test_an_edit_into_stop_stops(line: Services, clock: Clock) -> None:
    first = message(clock, "M1", "Stpo")
    hand_in(line, first)
    clock.pass_seconds(7)
    check(line)
    hand_in(line, first.model_copy(update={"text": "Stop", "edited_at_ms": clock()}))
    while check(line) is ReplyOutcome.NOT_YET:
        continue
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.stopped
    turns = line.chats.read_recent(chat, depth=9, now=clock()).turns
    assert {turn.reason for turn in turns} == {SkipReason.STOPPED}


# -- messages without words --------------------------------------------------------------------------------------------


def test_a_picture_alone_gets_one_sentence_a_day_and_no_model_is_asked(line: Services, clock: Clock) -> None:
    assert sends_picture(line, clock) is ReplyOutcome.RANG
    assert open_turn(line).parts == (NO_PICTURES,) and open_turn(line).reason == SkipReason.NO_TEXT_IMAGE
    assert deliver(line, clock).state is TurnState.SENT
    assert sends_picture(line, clock) is ReplyOutcome.NOTHING_WAITS
    clock.pass_seconds(DAY)
    assert sends_picture(line, clock) is ReplyOutcome.RANG
    assert llm(line).asked == []


def test_several_pictures_at_once_get_one_sentence(line: Services, clock: Clock) -> None:
    pictures = [message(clock, f"P{number}", "", kind=MessageKind.IMAGE) for number in range(5)]
    jobs(line).sent.clear()
    hand_in(line, *pictures)
    assert jobs(line).sent == [(T, CHAT, 2.0)]
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 5


def test_words_that_come_after_a_picture_are_answered_instead(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "P1", "", kind=MessageKind.IMAGE))
    clock.pass_seconds(1)
    assert says(line, clock, "Is this the right part?") is ReplyOutcome.RANG
    assert open_turn(line).parts != (NO_PICTURES,) and len(llm(line).asked) == 1
    deliver(line, clock)
    assert check(line) is ReplyOutcome.NOTHING_WAITS


def test_a_text_that_shows_nothing_is_no_word_beside_a_picture(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "B1", "\u200b \u3164"))
    assert sends_picture(line, clock) is ReplyOutcome.RANG
    assert open_turn(line).parts == (NO_PICTURES,)


def test_words_that_come_while_the_sentence_is_on_its_way_are_answered_next(line: Services, clock: Clock) -> None:
    assert sends_picture(line, clock) is ReplyOutcome.RANG
    assert says(line, clock, "Is this the right part?") is ReplyOutcome.RANG
    assert open_turn(line).parts == (NO_PICTURES,)
    deliver(line, clock)
    assert check(line) is ReplyOutcome.RANG
    assert len(llm(line).asked) == 1


def test_a_tenant_may_switch_the_sentence_off_or_have_such_messages_answered(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, wordless_notice=False))
    jobs(line).sent.clear()
    assert sends_picture(line, clock) is ReplyOutcome.NOTHING_WAITS
    assert jobs(line).sent == []
    with_policies(line, replace(UNCAPPED, answer_without_words=True))
    assert sends_picture(line, clock) is ReplyOutcome.RANG
    assert len(llm(line).asked) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_sentence_is_short_and_has_no_markup(language: str) -> None:
    sentences = [translator(language)(f"chat.{each}") for each in ("stopped", "no_pictures", "no_sound", "no_words")]
    assert len({*sentences}) == 4
    assert all(20 < len(each) < 120 and not set(each) & set("*_~`{}") for each in sentences)
    assert "START" in sentences[0]
