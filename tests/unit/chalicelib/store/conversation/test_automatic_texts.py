"""Texts that may be automatic, on the template's own table: hashes until they are recognised, bounded, marked."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.errors import NotFound
from chalicelib.model import EventKind, Tenant
from chalicelib.model.messages.automatic_messages import TextMark
from chalicelib.store.conversation import automatic_texts
from chalicelib.store.conversation.automatic_texts import MARKED_KEPT_FOR, AutomaticTexts
from chalicelib.store.table import ConditionFailed, Table, Update
from chalicelib.store.timeline import Timeline
from tests.unit.chalicelib.store.conftest import OPERATOR, happened

NOW = 1_790_000_000_000
WEEK = timedelta(days=7)
WEEK_MS = 7 * 86_400_000
T = "hotel000"


@pytest.fixture
def texts(hotel: Tenant, table: Table, timeline: Timeline) -> AutomaticTexts:
    return AutomaticTexts(table, timeline)


def see(texts: AutomaticTexts, text: str = "", *, id: str = "a", chat: str = "one", now: int = NOW) -> None:
    texts.record(T, id, chat=chat, text=text, retention=WEEK, now=now)


def mark(texts: AutomaticTexts, mark: TextMark | None, *, id: str = "a", now: int = NOW) -> None:
    texts.mark(T, id, mark, retention=WEEK, now=now, by=OPERATOR)


def test_before_it_is_recognised_a_text_is_two_hashes(texts: AutomaticTexts, table: Table) -> None:
    see(texts)
    see(texts, chat="two", now=NOW + 1)
    [item] = table.query(f"TENANT#{T}", begins_with="SEEN_TEXT#")
    assert item == {
        "pk": f"TENANT#{T}",
        "sk": "SEEN_TEXT#a",
        "chats": ["one", "two"],
        "seen": 2,
        "first_seen": NOW,
        "last_seen": NOW + 1,
        "expires_at": (NOW + 1 + WEEK_MS) // 1000,
    }
    assert texts.recognised(T, now=NOW) == []


def test_a_recognised_text_keeps_its_history_and_its_newest_words(texts: AutomaticTexts) -> None:
    see(texts)
    see(texts, "Closed until 8", chat="two")
    see(texts, "Closed until 9", chat="three")
    see(texts, chat="four", now=NOW + 9)
    [text] = texts.recognised(T, now=NOW)
    assert (text.text, text.seen, text.chats) == ("Closed until 9", 4, frozenset({"one", "two", "three"}))
    assert (text.first_seen, text.last_seen) == (NOW, NOW + 9)


def test_a_text_is_forgotten_when_the_retention_is_over(texts: AutomaticTexts) -> None:
    see(texts)
    see(texts, "Hello", id="b")
    later = NOW + WEEK_MS + 1_000
    assert texts.get(T, "a", now=later) is None and texts.recognised(T, now=later) == []
    see(texts, now=later)
    forgotten = texts.get(T, "a", now=later)
    assert forgotten is not None and forgotten.seen == 1


def test_a_mark_is_the_operators_stays_when_the_text_is_seen_and_may_be_taken_back(
    texts: AutomaticTexts, timeline: Timeline
) -> None:
    see(texts, "Hello")
    mark(texts, TextMark.PERSON)
    see(texts, chat="two", now=NOW + 1)
    [text] = texts.recognised(T, now=NOW)
    assert (text.mark, text.seen) == (TextMark.PERSON, 2)
    long_after = NOW + round(MARKED_KEPT_FOR.total_seconds() * 1000) - 1_000
    assert texts.recognised(T, now=long_after) and happened(timeline).count(EventKind.EDITED) == 1
    mark(texts, None)
    assert texts.recognised(T, now=NOW)[0].mark is None and texts.recognised(T, now=long_after) == []


def test_only_a_recognised_text_is_marked(texts: AutomaticTexts) -> None:
    see(texts)
    for id in ("a", "unknown"):
        with pytest.raises(NotFound):
            mark(texts, TextMark.AUTOMATIC, id=id)


def test_texts_are_bounded_and_the_marked_ones_go_last(
    texts: AutomaticTexts, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automatic_texts, "MAX_TEXTS", 6)
    for number in range(6):
        see(texts, "Hello", id=f"t{number}", now=NOW + number)
    mark(texts, TextMark.AUTOMATIC, id="t0", now=NOW + 99)
    for number in range(2):
        see(texts, "Hello", id=f"u{number}", now=NOW + 1_000 + number)
    ids = {text.fingerprint for text in texts.recognised(T, now=NOW + 1_002)}
    assert ids == {"t0", "t3", "t4", "t5", "u0", "u1"}
    dropped = table.get(f"TENANT#{T}", "AUTOMATIC_TEXT#t1")
    assert dropped is not None and "text" not in dropped


def test_sightings_at_the_same_moment_are_both_counted(
    texts: AutomaticTexts, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(texts)
    update = table.update
    raced: list[Update] = []

    def race(change: Update) -> dict[str, Any]:
        if not raced:
            raced.append(change)
            see(texts, chat="two")
        return update(change)

    monkeypatch.setattr(table, "update", race)
    see(texts, "Hello", chat="three")
    [text] = texts.recognised(T, now=NOW)
    assert text.text == "Hello" and text.seen >= 2
    raced.clear()
    see(texts, chat="three")
    [text] = texts.recognised(T, now=NOW)
    assert text.seen >= 4


def test_a_text_that_is_always_overtaken_is_left_to_the_others(
    texts: AutomaticTexts, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(change: Update) -> dict[str, Any]:
        raise ConditionFailed([None])

    monkeypatch.setattr(table, "update", fail)
    assert texts.record(T, "a", chat="one", text="", retention=WEEK, now=NOW) is None
