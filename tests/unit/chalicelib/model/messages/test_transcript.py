"""The lines that the model reads: whose they are, where the chat begins, and how much of it fits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model import SkipReason, StoredMessage, Turn, TurnState, history
from chalicelib.model.messages.token_estimate import estimate_tokens, last_tokens
from chalicelib.model.messages.transcript import MAX_HISTORY_TOKENS, Writer
from wire import MessageKind

CHAT = "4711@lid"


def message(number: int, text: str, **more: Any) -> StoredMessage:
    fields = {"id": f"M{number}", "chat": CHAT, "sender": None, "from_me": False, "kind": MessageKind.TEXT}
    at = {"sent_at": number * 1000, "received_at": number * 1000, "at": f"{number:013d}#000"}
    return StoredMessage(**{**fields, **at, "text": text, **more})


def reply(number: int, parts: tuple[str, ...], markdown: str = "", state: TurnState = TurnState.SENT) -> Turn:
    return Turn(
        id=f"turn{number:04d}",
        tenant="tenantaaaa",
        chat=CHAT,
        state=state,
        revision=1,
        messages=(f"contact#M{number}",),
        first_message=f"{CHAT}|contact#M{number}",
        last_message=f"M{number}",
        created_at=number * 1000,
        at=f"{number:013d}#000",
        oldest_sent_at=number * 1000,
        parts=parts,
        markdown=markdown,
    )


def test_the_model_reads_its_own_markdown_and_not_what_whatsapp_showed() -> None:
    waiting = message(3, "And on Sunday?")
    lines = history([message(1, "Price?"), waiting], [reply(1, ("*Preis:* 3 €",), "**Preis:** 3 €")], [waiting], 20)
    assert [(line.role, line.text, line.writer) for line in lines] == [
        ("user", "Price?", Writer.CONTACT),
        ("assistant", "**Preis:** 3 €", Writer.MODEL),
        ("user", "And on Sunday?", Writer.CONTACT),
    ]


def test_a_reply_of_an_earlier_release_is_read_from_its_parts() -> None:
    lines = history([], [reply(1, ("One.", "Two."))], [message(2, "Go on")], 20)
    assert lines[0].text == "One.\n\nTwo."


def test_a_line_of_a_person_and_of_the_app_are_the_assistants_and_are_known() -> None:
    typed = message(1, "I do it myself", from_me=True)
    greeting = message(2, "Welcome! We answer soon.", from_me=True, skipped=SkipReason.AUTOMATIC)
    lines = history([typed, greeting], [], [message(3, "Hello")], 20)
    assert [(line.role, line.writer) for line in lines[:2]] == [
        ("assistant", Writer.PERSON),
        ("assistant", Writer.APP),
    ]


def test_each_line_of_a_group_begins_with_its_writer() -> None:
    first = message(1, "Who comes?", sender="1@lid", author="Ada [admin]\n")
    second = message(2, "Me", sender="2@lid")
    assert [line.text for line in history([first], [], [second], 20)] == [
        "Ada admin: Who comes?",
        "A member of the group: Me",
    ]


@pytest.mark.parametrize("skipped", [SkipReason.BROADCAST, SkipReason.NOT_DECRYPTED, SkipReason.NEVER_DECRYPTED])
def test_what_nobody_wrote_here_is_not_read(skipped: SkipReason) -> None:
    assert len(history([message(1, "x", skipped=skipped)], [], [message(2, "y")], 20)) == 1


def test_what_another_account_was_told_is_not_read() -> None:
    former, own_reply, waiting = message(10, "My results?"), reply(10, ("They are fine.",)), message(30, "Tyres?")
    assert [line.text for line in history([former], [own_reply], [waiting], 20, since=20_000)] == ["Tyres?"]
    assert len(history([former], [own_reply], [waiting], 20, since=10_000)) == 3


def test_a_message_without_content_is_no_line() -> None:
    deleted = message(1, "", version=1)
    assert [line.text for line in history([deleted], [], [message(2, "y")], 20)] == ["y"]
    assert history([], [], [deleted], 20) == ()


def test_the_newest_lines_fit_and_the_oldest_of_them_loses_its_beginning() -> None:
    lines = history([message(1, "a" * 50_000), message(2, "b" * 30_000)], [], [message(3, "c" * 4_000)], 20)
    assert [line.text[0] for line in lines] == ["a", "b", "c"]
    assert sum(estimate_tokens(line.text) for line in lines) <= MAX_HISTORY_TOKENS


@given(st.text(max_size=300), st.integers(0, 200))
def test_the_end_of_a_text_fits_and_is_as_long_as_it_can_be(text: str, tokens: int) -> None:
    end = last_tokens(text, tokens)
    assert text.endswith(end) and estimate_tokens(end) <= tokens
    longer = text[len(text) - len(end) - 1 :]
    assert end == text or estimate_tokens(longer) > tokens
