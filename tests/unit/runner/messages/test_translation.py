"""Texts are truncate and cleaned so that every store and encoder on the way can carry them."""

import pytest

from runner.messages.translation import message_from, sanitize, truncate
from wire import MAX_TEXT_BYTES, MessageKind

SEEN = {
    "id": "3EB0A1",
    "chat": "4711@lid",
    "chat_alias": "49170@c.us",
    "from_me": False,
    "sent_at_s": 1_700_000_000,
    "kind": "text",
    "text": "hello",
}


def test_a_message_has_its_time_in_milliseconds() -> None:
    message = message_from(SEEN)
    assert message is not None
    assert message.sent_at_ms == 1_700_000_000_000
    assert message.kind is MessageKind.TEXT


@pytest.mark.parametrize("letter", ["a", "ü", "€", "😀"])
def test_a_long_text_is_cut_between_two_letters(letter: str) -> None:
    text = truncate("x" + letter * MAX_TEXT_BYTES)
    assert len(text.encode()) <= MAX_TEXT_BYTES
    assert len(text.encode()) > MAX_TEXT_BYTES - 4
    assert set(text) <= {"x", letter}


def test_a_text_of_just_the_right_size_is_left_alone() -> None:
    assert truncate("a" * MAX_TEXT_BYTES) == "a" * MAX_TEXT_BYTES


def test_nuls_and_half_characters_are_taken_out() -> None:
    assert sanitize("a\0b") == "ab"
    assert sanitize("a\ud83d") == "a\ufffd"
    assert sanitize("\ud83d\ude00") == "😀"
    sanitize("a\udc00\ud800b").encode()


def test_of_who_a_contact_is_no_more_than_ids_and_phone_leave_the_page() -> None:
    message = message_from({**SEEN, "name": "Ann"})
    assert message is not None
    assert "Ann" not in message.model_dump_json()


@pytest.mark.parametrize(
    "change", [{"id": "white space"}, {"chat": "nobody"}, {"kind": "unheard of"}, {"sent_at_s": "soon"}]
)
def test_what_cannot_be_a_message_is_none(change: dict[str, object]) -> None:
    assert message_from({**SEEN, **change}) is None
