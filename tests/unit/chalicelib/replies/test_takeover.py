"""What the owner's phone sends by itself is no takeover; what a person types there is one, and is counted."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.errors import TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Chat, EventKind, SkipReason, StoredMessage, Turn, TurnState, is_forgotten_reply
from chalicelib.model.conversation import reply_id
from chalicelib.model.messages.automatic_messages import TextMark
from chalicelib.model.messages.message_id import may_be_reply_id
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.replies.takeover import MESSAGES_READ
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
from wire import Acknowledgement, MessageKind, Outcome

GREETING = "Hello! Thank you for contacting Bloom Flowers. How can we help?"
AWAY = "We are closed right now and will answer you tomorrow morning."
AUTOMATIC = (Outcome.SKIPPED, SkipReason.AUTOMATIC)


def own(line: Services, clock: Clock, id: str, text: str, chat: str = CHAT) -> Acknowledgement:
    return hand_in(line, message(clock, id, text, chat=chat, from_me=True))[0]


def ask(line: Services, clock: Clock, id: str, text: str = "Are you open?", chat: str = CHAT) -> None:
    hand_in(line, message(clock, id, text, chat=chat, author="Ana"))
    clock.pass_seconds(1)


def see_away_message_in(line: Services, clock: Clock, *chats: str) -> list[Acknowledgement]:
    """The contacts of these chats write twice on two days; the phone answers the second time."""
    for chat in chats:
        ask(line, clock, "M0", "Hi", chat)
    clock.pass_seconds(86_400)
    answers = []
    for chat in chats:
        ask(line, clock, "M1", chat=chat)
        answers.append(own(line, clock, "OWN1", AWAY, chat))
    return answers


def takeovers(line: Services) -> list[int]:
    return [event.count for event in line.timeline.latest(T) if event.kind is EventKind.TAKEOVER]


def test_a_greeting_is_history_and_the_question_is_answered(line: Services, clock: Clock) -> None:
    ask(line, clock, "M1")
    answer = own(line, clock, "OWN1", GREETING)
    assert (answer.outcome, answer.reason) == AUTOMATIC
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG and takeovers(line) == []
    deliver(line, clock)
    clock.pass_seconds(60)
    ask(line, clock, "M2", "And tomorrow?")
    clock.pass_seconds(2)
    check(line)
    assert GREETING in [each.text for each in llm(line).asked[-1]]


@pytest.mark.parametrize("is_another_account", [True, False])
def test_a_contact_is_greeted_by_another_account_although_they_wrote_to_the_former_one(
    line: Services, clock: Clock, is_another_account: bool
) -> None:
    ask(line, clock, "M1")
    clock.pass_seconds(60)
    number = "33123456789" if is_another_account else str(line.sessions.get(T).number)
    relinked(line, clock, number, within_seconds=2)
    ask(line, clock, "M2")
    answer = own(line, clock, "OWN1", GREETING)
    assert ((answer.outcome, answer.reason) == AUTOMATIC) is is_another_account


def test_a_greeting_from_an_absence_is_judged_by_what_came_before_it(line: Services, clock: Clock) -> None:
    """The runner hands in what it missed: first what the contact wrote, also long after the greeting."""
    asked_at = clock()
    clock.pass_seconds(3_600)
    times = [asked_at, *(asked_at + 60_000 + second * 1_000 for second in range(2 * MESSAGES_READ))]
    questions = [message(clock, f"M{at}", sent_at_ms=at, author="Ana") for at in times]
    for start in range(0, len(questions), 50):
        hand_in(line, *questions[start : start + 50])
    [answer] = hand_in(line, message(clock, "OWN1", GREETING, from_me=True, sent_at_ms=asked_at + 1_000))
    assert (answer.outcome, answer.reason) == AUTOMATIC


def test_a_greeting_discards_no_turn_that_is_open(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    before = open_turn(line)
    answer = own(line, clock, "OWN1", GREETING)
    assert (answer.outcome, answer.reason) == AUTOMATIC and open_turn(line) == before


def test_a_person_who_types_after_a_greeting_takes_over(line: Services, clock: Clock) -> None:
    ask(line, clock, "M1")
    own(line, clock, "OWN1", GREETING)
    clock.pass_seconds(1)
    assert own(line, clock, "OWN2", "Hi Ana, wait").outcome is Outcome.TAKEOVER
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.SKIPPED and takeovers(line) == [1]


def test_the_chat_is_taken_over_before_its_turn_is_discarded(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that runs between the two writes would open another turn."""
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    clock.pass_seconds(60)
    discard, taken_over = line.turns.discard, []

    def watched(turn: Turn, reason: str, now: int) -> bool:
        chat = line.chats.get(T, CHAT)
        taken_over.append(chat is not None and chat.takeover_until > now)
        return discard(turn, reason, now)

    monkeypatch.setattr(line.turns, "discard", watched)
    own(line, clock, "OWN1", "I will call you at noon.")
    assert taken_over == [True]


def test_in_one_second_only_a_contact_who_was_handed_in_before_was_first(line: Services, clock: Clock) -> None:
    asked = message(clock, "M1", "Are you open?")
    answers = hand_in(line, asked, message(clock, "OWN1", GREETING, from_me=True))
    assert [each.outcome for each in answers] == [Outcome.QUEUED, Outcome.SKIPPED]
    other = {"chat": "4712@lid"}
    answers = hand_in(
        line, message(clock, "OWN2", GREETING, from_me=True, **other), message(clock, "M2", "Are you open?", **other)
    )
    assert [each.outcome for each in answers] == [Outcome.TAKEOVER, Outcome.SKIPPED]


def test_a_judgement_is_made_once_and_a_message_counts_once(line: Services, clock: Clock) -> None:
    typed, greeting = message(clock, "OWN1", GREETING, from_me=True), message(clock, "OWN2", GREETING, from_me=True)
    hand_in(line, typed, message(clock, "M1"))
    for _ in range(3):
        assert hand_in(line, typed)[0].outcome is Outcome.DUPLICATE  # the contact's message does not change it
    assert takeovers(line) == [1]
    hand_in(line, message(clock, "M1", chat="4712@lid"), greeting.model_copy(update={"chat": "4712@lid"}))
    for _ in range(3):
        assert hand_in(line, greeting.model_copy(update={"chat": "4712@lid"}))[0].outcome is Outcome.DUPLICATE
    [text] = line.automatic_texts.recognised(T, now=clock())
    assert text.seen == 1
    marking: dict[str, Any] = {"retention": timedelta(days=30), "now": clock(), "by": "olga@agency.example"}
    line.automatic_texts.mark(T, text.fingerprint, TextMark.PERSON, **marking)
    hand_in(line, greeting.model_copy(update={"chat": "4712@lid"}))
    assert takeovers(line) == [1]  # the mark is for the next message


def test_an_away_message_is_recognised_in_the_third_chat(line: Services, clock: Clock) -> None:
    answers = see_away_message_in(line, clock, CHAT, "4712@lid", "4713@lid", "4714@lid")
    assert [each.outcome for each in answers] == [*[Outcome.TAKEOVER] * 2, *[Outcome.SKIPPED] * 2]
    [text] = line.automatic_texts.recognised(T, now=clock())
    assert (text.text, text.seen) == (AWAY, 4)
    assert takeovers(line) == [2]


def test_an_away_message_counts_although_the_process_that_took_it_in_died(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = line.chats.store_message

    def die(*arguments: Any, **named: Any) -> bool:
        store(*arguments, **named)
        raise TransientError("the process ends here")

    for chat in (CHAT, "4712@lid"):
        ask(line, clock, "M1", chat=chat)
        with monkeypatch.context() as patched, pytest.raises(TransientError):
            patched.setattr(line.chats, "store_message", die)
            own(line, clock, "OWN1", AWAY, chat)
        own(line, clock, "OWN1", AWAY, chat)
    ask(line, clock, "M1", chat="4713@lid")
    answer = own(line, clock, "OWN1", AWAY, "4713@lid")
    assert (answer.outcome, answer.reason) == AUTOMATIC


@pytest.mark.parametrize(("seconds_before", "expected"), [(0, Outcome.SKIPPED), (1, Outcome.TAKEOVER)])
def test_what_answers_a_message_of_a_former_login_is_in_doubt(
    line: Services, clock: Clock, seconds_before: int, expected: Outcome
) -> None:
    since = line.sessions.get(T).answers_since
    assert since is not None
    for chat in (CHAT, "4712@lid", "4713@lid"):
        asked = message(clock, "M1", chat=chat, sent_at_ms=since - seconds_before * 1_000)
        answer = message(clock, "OWN1", AWAY, chat=chat, from_me=True, sent_at_ms=since + 1_000)
        assert hand_in(line, asked, answer)[-1].outcome is expected
    remembered = [item for item in line.table.query(f"TENANT#{T}") if "_TEXT#" in item["sk"]]
    assert bool(remembered) is (expected is Outcome.SKIPPED)


def test_the_same_chat_again_is_not_another_one(line: Services, clock: Clock) -> None:
    see_away_message_in(line, clock, CHAT, "4712@lid")
    for number in range(3):
        clock.pass_seconds(7_200)
        ask(line, clock, f"N{number}")
        assert own(line, clock, f"NOWN{number}", AWAY).outcome is Outcome.TAKEOVER
    assert AWAY not in repr(list(line.table.query(f"TENANT#{T}")))  # only hashes until it is recognised


def test_our_own_reply_is_neither_the_message_nor_the_question(line: Services, clock: Clock) -> None:
    for chat in (CHAT, "4712@lid", "4713@lid"):
        ask(line, clock, "M1", chat=chat)
        clock.pass_seconds(2)
        llm(line).next = [AWAY]
        check(line, chat)
        found = line.chats.get(T, chat)
        assert found is not None and found.open_turn is not None
        turn = line.turns.get(T, chat, found.open_turn)
        assert turn is not None
        assert own(line, clock, turn.part_ids[0], AWAY, chat).outcome is Outcome.DELIVERY
        clock.pass_seconds(20)
        assert own(line, clock, "OWN1", AWAY, chat).outcome is Outcome.TAKEOVER  # 20 s after the contact, 1 s after us
    assert not list(line.table.query(f"TENANT#{T}", begins_with="SEEN_TEXT#"))


def test_the_operators_mark_holds_at_once(line: Services, clock: Clock) -> None:
    ask(line, clock, "M1")
    own(line, clock, "OWN1", GREETING)
    [text] = line.automatic_texts.recognised(T, now=clock())
    marking: dict[str, Any] = {"retention": timedelta(days=30), "now": clock(), "by": "olga@agency.example"}
    line.automatic_texts.mark(T, text.fingerprint, TextMark.PERSON, **marking)
    ask(line, clock, "M1", chat="4712@lid")
    assert own(line, clock, "OWN1", GREETING, "4712@lid").outcome is Outcome.TAKEOVER
    line.automatic_texts.mark(T, text.fingerprint, TextMark.AUTOMATIC, **marking)
    ask(line, clock, "M1", chat="4713@lid")
    clock.pass_seconds(500)
    answer = own(line, clock, "OWN1", GREETING.upper(), "4713@lid")
    assert (answer.outcome, answer.reason) == AUTOMATIC


def test_messages_that_the_phone_answered_by_itself_are_still_answered_after_an_outage(
    line: Services, clock: Clock
) -> None:
    asked = message(clock, "M1", "Are you open?")
    clock.pass_seconds(1)
    greeting = message(clock, "OWN1", GREETING, from_me=True)
    clock.pass_seconds(3 * 3_600)
    assert [each.outcome for each in hand_in(line, asked, greeting)] == [Outcome.QUEUED, Outcome.SKIPPED]
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG


def test_a_busy_owner_fills_one_line_of_the_timeline_an_hour(line: Services, clock: Clock) -> None:
    clock.now = clock.now // 3_600_000 * 3_600_000 + 3_600_000
    for number in range(45):
        chat = f"47{number:02d}@lid"
        ask(line, clock, "M1", chat=chat)
        clock.pass_seconds(30)
        own(line, clock, "OWN1", "Yes, come", chat)
        clock.pass_seconds(1)
        own(line, clock, "OWN2", "Until six", chat)
    assert takeovers(line) == [45]
    assert EventKind.CREATED in [event.kind for event in line.timeline.latest(T, 40)]


@pytest.mark.parametrize(
    ("chat", "policies"),
    [
        ("4711-1@g.us", UNCAPPED),
        (CHAT, replace(UNCAPPED, ignored_phones=("491700000001",))),
        (CHAT, replace(UNCAPPED, allowed_phones=("491700000002",))),
    ],
)
def test_in_a_chat_that_the_line_would_not_answer_the_owner_leaves_nothing(
    line: Services, clock: Clock, chat: str, policies: object
) -> None:
    with_policies(line, policies)  # type: ignore[arg-type]
    private = message(clock, "OWN1", "The doctor says it is benign, thank God!", from_me=True, chat=chat)
    asked = message(clock, "M1", "And?", chat=chat, phone=None if "@g" in chat else "491700000001")
    hand_in(line, asked, private.model_copy(update={"phone": asked.phone}))
    assert takeovers(line) == []
    assert not [item for item in line.table.query(f"TENANT#{T}") if "_TEXT#" in item["sk"]]
    assert "benign" not in repr(list(line.table.query(f"CHAT#{T}#{chat}")))


def test_an_automatic_message_is_counted_and_logged_without_its_words(
    line: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="chalicelib")
    ask(line, clock, "M1")
    own(line, clock, "OWN1", GREETING)
    [record] = [each for each in caplog.records if each.msg == LogEvent.MESSAGES_UNANSWERED]
    assert record.__dict__["reason"] == SkipReason.AUTOMATIC and "Bloom" not in caplog.text
    assert [each.reason for each in line.unanswered.latest(T)] == [SkipReason.AUTOMATIC]


# -- a table that is older than the replies: a backup was restored -----------------------------------------------------


def reply_to(id: str, part: int = 0) -> str:
    """The id of a part of the reply that begins with this message, which the table has forgotten."""
    return reply_id(T, f"{CHAT}|contact#{id}", part)


@pytest.mark.parametrize("part", [0, 4])
def test_a_reply_of_which_the_table_knows_nothing_is_no_takeover(line: Services, clock: Clock, part: int) -> None:
    """A restored line reads its last messages again: it must neither fall silent nor answer once more."""
    ask(line, clock, "M1")
    sent = reply_to("M1", part)
    assert own(line, clock, sent, "Yes, until six.").outcome is Outcome.DELIVERY
    assert own(line, clock, sent, "Yes, until six.").outcome is Outcome.DUPLICATE, "read again"
    clock.pass_seconds(10)
    check(line)
    assert llm(line).asked == [] and takeovers(line) == [], "M1 is answered"
    ask(line, clock, "M2", "And tomorrow?")
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert [each.text for each in llm(line).asked[-1]][-2:] == ["Yes, until six.", "And tomorrow?"]


def test_a_forgotten_reply_ends_the_turn_that_would_repeat_it(line: Services, clock: Clock) -> None:
    ask(line, clock, "M1")
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    turn = open_turn(line)
    assert own(line, clock, reply_to("M1", 3), "Yes.").outcome is Outcome.DELIVERY
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is None and chat.takeover_until == 0
    ended = line.turns.get(T, CHAT, turn.id)
    assert ended is not None and ended.state is TurnState.DISCARDED


@pytest.mark.parametrize("other", ["part", "message", "chat", "tenant"])
def test_no_other_id_is_taken_for_a_forgotten_reply(line: Services, clock: Clock, other: str) -> None:
    ask(line, clock, "M1")
    key = "contact#M2" if other == "message" else "contact#M1"
    chat = "4712@lid" if other == "chat" else CHAT
    id = reply_id("tenantbbbb" if other == "tenant" else T, f"{chat}|{key}", 5 if other == "part" else 0)
    assert own(line, clock, id, "I am here myself.").outcome is Outcome.TAKEOVER
    assert takeovers(line) == [1]


def test_a_forgotten_confirmation_of_stop_resumes_nothing(line: Services, clock: Clock) -> None:
    ask(line, clock, "M1", "STOP")
    assert own(line, clock, reply_to("M1"), "You get no more messages.").outcome is Outcome.DELIVERY
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.stopped


def test_a_reply_to_an_edited_message_is_known_by_each_of_its_wordings() -> None:
    message_of_contact = StoredMessage("M1", CHAT, None, False, MessageKind.TEXT, "Hi", 5, 5, "5")
    chat, edited = Chat(T, CHAT, whatsapp_id=CHAT), replace(message_of_contact, version=2)
    for seed in ("contact#M1", "contact#M1|1", "contact#M1|2"):
        assert is_forgotten_reply(chat, [edited], reply_id(T, f"{CHAT}|{seed}", 1), 5)
    assert not is_forgotten_reply(chat, [edited], reply_id(T, f"{CHAT}|contact#M1|3", 1), 5)
    assert not is_forgotten_reply(chat, [replace(edited, from_me=True)], reply_id(T, f"{CHAT}|contact#M1", 1), 5)


@pytest.mark.parametrize(
    ("id", "ours"),
    [
        (reply_id(T, f"{CHAT}|contact#M1", 0), True),
        ("3EB0" + "0" * 18, True),
        ("3EB0" + "0" * 17, False),
        ("3EB0" + "0" * 19, False),
        ("3EB0" + "a" * 18, False),
        ("3EB0" + "\u0660" * 18, False),
        ("3EB0" + "0" * 18 + "\n", False),
        ("3A0123456789ABCDEF01", False),
        ("0123456789ABCDEF0123456789ABCDEF", False),
        ("", False),
    ],
)
def test_ids_of_replies_have_a_shape_that_no_phone_makes(id: str, ours: bool) -> None:
    assert may_be_reply_id(id) is ours
