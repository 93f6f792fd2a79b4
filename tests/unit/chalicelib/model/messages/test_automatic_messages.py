"""Greetings and away messages of the WhatsApp Business app are told from a person's messages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import SkipReason, StoredMessage
from chalicelib.model.messages.automatic_messages import (
    MAX_TEXT,
    Judgement,
    SeenText,
    TextMark,
    fingerprint,
    judge,
    length,
    see_again,
)
from wire import Message, MessageKind

NOW = 1_790_000_000_000
SECOND, DAY = 1_000, 86_400_000
AUTOMATIC, FORGOTTEN, REMEMBERED = Judgement(True, True), Judgement(False), Judgement(False, True)
GREETING, AWAY = "Welcome to our shop!", "We are closed until 9 o'clock."
ELSEWHERE = SeenText("f" * 32, frozenset({"one", "two"}), 2, NOW - DAY, NOW - DAY)


def own(text: str = GREETING, after_ms: int = SECOND, **more: Any) -> Message:
    fields = {"id": "OWN", "chat": "4711@lid", "from_me": True, "kind": MessageKind.TEXT, "text": text, **more}
    return Message.model_validate({"sent_at_ms": NOW + after_ms, **fields})


def before(at_ms: int = 0, **more: Any) -> StoredMessage:
    sent_at = NOW + at_ms
    message = StoredMessage(
        "M", "4711@lid", None, False, MessageKind.TEXT, "?", sent_at, sent_at, f"{sent_at:013d}#000"
    )
    return replace(message, **more)


def judged(message: Message, *seen: StoredMessage, known: SeenText | None = None, since: int = 0) -> Judgement:
    return judge(message, seen, known, chat="here", complete_since=since)


def test_the_limits_are_as_long_as_they_say() -> None:
    assert (length(GREETING), length(AWAY)) == (20, 30)


# -- greetings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "seen", "automatic"),
    [
        (own(), [before()], True),
        (own(after_ms=0), [before()], True),
        (own(after_ms=3 * SECOND), [before()], True),
        (own(after_ms=4 * SECOND), [before()], False),
        (own(after_ms=-SECOND), [before()], False),
        (own(GREETING[1:]), [before()], False),
        (own(GREETING[1:] + " \u200b\n "), [before()], False),
        (own(), [], False),
        (own(), [before(from_me=True)], False),
        (own(), [before(-15 * DAY), before()], True),
        (own(), [before(-14 * DAY), before()], True),
        (own(), [before(-14 * DAY + SECOND), before()], False),
        (own(), [before(-13 * DAY, from_me=True), before()], False),
        (own(), [before(-13 * DAY, skipped=SkipReason.PAUSED, text=""), before()], False),
        (own(after_ms=2 * SECOND), [before(), before(SECOND)], True),
        (own(after_ms=5 * SECOND), [before(), before(3 * SECOND)], False),
        (own(after_ms=2 * SECOND), [before(), before(SECOND, from_me=True)], False),
        (own(after_ms=2 * SECOND), [before(), before(SECOND, from_me=True, skipped=SkipReason.AUTOMATIC)], True),
        (own(), [before(kind=MessageKind.VOICE, text="")], True),
        (own(), [before(from_me=True, at="0"), before()], False),  # the owner began, in the same second
    ],
)
def test_a_greeting_answers_the_first_message_in_14_days_within_3_seconds(
    message: Message, seen: Sequence[StoredMessage], automatic: bool
) -> None:
    assert judged(message, *seen).automatic is automatic


@pytest.mark.parametrize(
    ("chat_since", "complete_since", "automatic"),
    [
        (None, NOW, True),  # a runner of a former release
        (NOW, NOW, True),  # the page has nothing older
        (NOW - 20 * DAY, NOW - 30 * DAY, True),  # the line has everything of the last 14 days
        (NOW - 20 * DAY, NOW - 14 * DAY, True),
        (NOW - 20 * DAY, NOW - 13 * DAY, False),  # it does not, and nobody knows
        (NOW - 13 * DAY, NOW - 30 * DAY, False),
    ],
)
def test_a_silence_that_nobody_can_know_of_is_none(
    chat_since: int | None, complete_since: int, automatic: bool
) -> None:
    assert judged(own(chat_since_ms=chat_since), before(), since=complete_since).automatic is automatic


@pytest.mark.parametrize(
    "more",
    [
        {"chat": "1-2@g.us", "sender": "1@lid"},
        {"kind": "image", "caption": GREETING},
        {"kind": "voice", "text": ""},
        {"quote": {"text": "How much?"}},
        {"edited_at_ms": NOW + 5_000},
        {"deleted": True, "text": ""},
    ],
)
def test_the_app_sends_plain_text_to_one_contact_only(more: dict[str, Any]) -> None:
    assert judged(own(**more), before()) == FORGOTTEN
    assert judged(own(**{"text": AWAY, **more}), before(-DAY), before(), known=ELSEWHERE) == FORGOTTEN


# -- away messages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "known", "judgement"),
    [
        (own(AWAY), ELSEWHERE, AUTOMATIC),
        (own(AWAY, 15 * SECOND), ELSEWHERE, AUTOMATIC),
        (own(AWAY, 16 * SECOND), ELSEWHERE, FORGOTTEN),
        (own(AWAY[1:]), ELSEWHERE, FORGOTTEN),
        (own(AWAY), replace(ELSEWHERE, chats=frozenset({"one", "here"})), REMEMBERED),
        (own(AWAY), replace(ELSEWHERE, chats=frozenset({"one", "two", "here"})), AUTOMATIC),
        (own(AWAY), None, REMEMBERED),
    ],
)
def test_an_away_message_was_seen_in_two_other_chats(
    message: Message, known: SeenText | None, judgement: Judgement
) -> None:
    assert judged(message, before(-DAY), before(), known=known) == judgement


def test_an_own_message_that_nobody_asked_for_is_a_persons() -> None:
    assert judged(own(AWAY), before(SECOND, from_me=True), known=ELSEWHERE) == FORGOTTEN


# -- WhatsApp and the operator decide first -------------------------------------------------------------------------


def test_what_whatsapp_marks_is_automatic() -> None:
    assert judged(own("ok", 99 * SECOND, automatic=True)) == Judgement(True)


@pytest.mark.parametrize("message", [own(), own("ok", 99 * SECOND), own(chat="1-2@g.us", sender="1@lid")])
def test_the_operator_decides_before_the_rules(message: Message) -> None:
    marked = replace(ELSEWHERE, mark=TextMark.AUTOMATIC)
    assert judged(message, before(), known=marked).automatic
    assert not judged(message, before(), known=replace(marked, mark=TextMark.PERSON)).automatic


def test_a_mark_of_a_later_release_leaves_it_to_the_rules() -> None:
    unknown = replace(ELSEWHERE, mark=TextMark.UNKNOWN)
    assert judged(own(), before(), known=unknown).automatic
    assert not judged(own(after_ms=9 * SECOND), before(), known=unknown).automatic


# -- equal texts --------------------------------------------------------------------------------------------------

ORDER = "Hola Ana, tu pedido 4712 está listo para recoger."


@pytest.mark.parametrize(
    ("one", "name", "other", "other_name"),
    [
        (ORDER, "Ana", "Hola Luis, tu pedido 4 está listo para recoger.", "Luis Gómez"),
        (ORDER, "", "Hola Luis Alberto, tu pedido 12.345 está listo para recoger.", ""),
        (ORDER, "ANA  🌷", "hola! tu pedido está listo para recoger", ""),
        ("Your order is ready, Bob! See you soon.", "Bob", "Your order is ready, Mia! See you soon.", "Mia Wu"),
        ("Sehr geehrte Frau Dr. Maier, wir haben heute zu.", "", "Sehr geehrte, wir haben heute zu.", "Dr. Maier"),
        ("张伟您好,感谢您联系我们的花店,今天休息。", "张伟", "王芳您好,感谢您联系我们的花店,今天休息。", "王芳"),
        ("We answer at 9:30 on the 24th, thank you!", "", "We answer at ٩:٣٠ on the ٢٤th, thank you!", ""),
        ("Cafe\u0301 is closed now, come back later", "", "Caf\u00e9 is  closed now,\ncome back later", ""),
        ("Closed for holidays ☀️ until Monday", "", "Closed for holidays ☀ until Monday", ""),
    ],
)
def test_equal_texts_differ_in_names_numbers_and_signs_only(one: str, name: str, other: str, other_name: str) -> None:
    assert fingerprint("tenantaaaa", one, [name]) == fingerprint("tenantaaaa", other, [other_name])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("We are closed right now and answer tomorrow.", "We are closed right now and answer today."),
        ("DE89 3704 0044 0532 0130 00 / 1234567", "DE02 1203 0000 0000 2020 51 / 7654321"),
        ("🏖️🌴☀️🏖️🌴☀️🏖️🌴☀️🏖️🌴☀️🏖️🌴☀️🏖️", "🎄🎅🎄🎅🎄🎅🎄🎅🎄🎅🎄🎅🎄🎅🎄🎅"),
        ("Anabel's shop is closed until Monday", "bel's shop is closed until Monday"),
    ],
)
def test_other_texts_are_not_equal(one: str, other: str) -> None:
    assert fingerprint("tenantaaaa", one, ["Ana"]) != fingerprint("tenantaaaa", other, ["Ana"])
    assert fingerprint("tenantaaaa", one, []) != fingerprint("tenantbbbb", one, [])


def test_a_sighting_adds_to_what_is_remembered() -> None:
    first = see_again(None, "f", chat="one", text="", now=5)
    assert first == SeenText("f", frozenset({"one"}), 1, 5, 5)
    later = first
    for number, chat in enumerate(("one", "two", "three", "four")):
        later = see_again(later, "f", chat=chat, text="", now=6 + number)
    assert later == SeenText("f", frozenset({"one", "two", "three"}), 5, 5, 9)
    recognised = see_again(later, "f", chat="two", text="x" * (MAX_TEXT + 1), now=10)
    assert recognised.text == "x" * MAX_TEXT == see_again(recognised, "f", chat="two", text="", now=11).text
