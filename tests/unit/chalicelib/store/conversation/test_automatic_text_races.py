"""Automatic texts against an operator or another sighting between a read and its write, and to the second."""

from datetime import timedelta

import pytest

from chalicelib.errors import Conflict
from chalicelib.model import Tenant
from chalicelib.model.messages.automatic_messages import SeenText, TextMark
from chalicelib.store.conversation import automatic_texts
from chalicelib.store.conversation.automatic_texts import MAX_RACES, AutomaticTexts
from chalicelib.store.table import Table, Update
from chalicelib.store.timeline import Timeline
from tests.unit.chalicelib.store.conftest import OPERATOR
from tests.unit.support.racing_table import RacingTable

NOW = 1_790_000_000_000
WEEK = timedelta(days=7)
WEEK_MS = 7 * 86_400_000
T = "hotel000"


@pytest.fixture
def table(racing: RacingTable) -> Table:
    return racing


@pytest.fixture
def texts(hotel: Tenant, table: Table, timeline: Timeline) -> AutomaticTexts:
    return AutomaticTexts(table, timeline)


def see(texts: AutomaticTexts, text: str = "", *, chat: str = "one", now: int = NOW) -> SeenText | None:
    return texts.record(T, "a", chat=chat, text=text, retention=WEEK, now=now)


def mark(texts: AutomaticTexts, mark: TextMark | None, *, now: int = NOW) -> None:
    texts.mark(T, "a", mark, retention=WEEK, now=now, by=OPERATOR)


def known(texts: AutomaticTexts, now: int = NOW) -> SeenText:
    found = texts.get(T, "a", now=now)
    assert found is not None
    return found


@pytest.mark.parametrize("text", ["", "Hello"])
def test_a_text_is_kept_to_the_second_of_its_expiry(texts: AutomaticTexts, text: str) -> None:
    see(texts, text)
    last = NOW + WEEK_MS + 999
    assert known(texts, last).seen == 1
    assert len(texts.recognised(T, now=last)) == bool(text)
    assert texts.get(T, "a", now=last + 1) is None
    assert texts.recognised(T, now=last + 1) == []


@pytest.mark.parametrize("text", ["", "Hello"])
def test_two_first_sightings_at_once_are_both_counted(texts: AutomaticTexts, racing: RacingTable, text: str) -> None:
    racing.before_next("update", lambda: see(texts, text))
    seen = see(texts, text, chat="two")
    assert seen is not None and (seen.seen, seen.chats) == (2, frozenset({"one", "two"}))
    assert known(texts).seen == 2


def test_a_first_sighting_that_was_delayed_is_counted_until_its_text_expires(
    texts: AutomaticTexts, racing: RacingTable
) -> None:
    racing.before_next("update", lambda: see(texts))
    seen = see(texts, chat="two", now=NOW + WEEK_MS)
    assert seen is not None and (seen.seen, seen.first_seen) == (2, NOW)


def test_a_sighting_of_what_expired_a_moment_ago_begins_anew(texts: AutomaticTexts) -> None:
    see(texts, "Hello")
    later = NOW + WEEK_MS + 1_000
    see(texts, "Hello", now=later)
    assert (known(texts, later).seen, known(texts, later).first_seen) == (1, later)


def test_a_mark_that_is_set_meanwhile_decides_how_long_a_text_is_kept(
    texts: AutomaticTexts, racing: RacingTable
) -> None:
    see(texts, "Hello")
    racing.before_next("update", lambda: mark(texts, TextMark.PERSON))
    see(texts, chat="two", now=NOW + 5)
    assert (known(texts).mark, known(texts).seen) == (TextMark.PERSON, 2)
    assert known(texts, NOW + 2 * WEEK_MS).mark is TextMark.PERSON


def test_a_mark_that_is_taken_back_meanwhile_is_not_kept_as_one(texts: AutomaticTexts, racing: RacingTable) -> None:
    see(texts, "Hello")
    mark(texts, TextMark.PERSON)
    racing.before_next("update", lambda: mark(texts, None))
    see(texts, chat="two", now=NOW + 5)
    assert known(texts).mark is None
    assert texts.get(T, "a", now=NOW + 2 * WEEK_MS) is None


def test_a_mark_is_set_on_the_text_as_it_was_seen_last(texts: AutomaticTexts, racing: RacingTable) -> None:
    see(texts, "Hello")
    racing.before_next("transact", lambda: see(texts, chat="two", now=NOW + WEEK_MS))
    mark(texts, TextMark.PERSON, now=NOW + WEEK_MS)
    assert (known(texts).mark, known(texts).seen, known(texts).last_seen) == (TextMark.PERSON, 2, NOW + WEEK_MS)
    item = racing.get(f"TENANT#{T}", "AUTOMATIC_TEXT#a") or {}
    assert item["expires_at"] > (NOW + WEEK_MS) // 1000 + 399 * 86_400


def test_a_text_that_lost_its_words_meanwhile_is_not_marked(texts: AutomaticTexts, racing: RacingTable) -> None:
    see(texts, "Hello")
    key = f"TENANT#{T}", "AUTOMATIC_TEXT#a"
    taken = racing.get(*key) or {}

    def loses() -> None:
        racing.update(Update(*key, remove=("text",)))
        racing.before_next("get", lambda: racing.update(Update(*key, set={"text": taken["text"]})))

    racing.before_next("transact", loses)
    mark(texts, TextMark.PERSON)
    assert racing.operations["transact"] == 3  # the tenant; the mark that failed; the mark


def test_a_text_that_is_seen_all_the_time_is_a_conflict_for_its_mark(
    texts: AutomaticTexts, racing: RacingTable
) -> None:
    see(texts, "Hello")
    moments = iter(range(1, 99))

    def again() -> None:
        see(texts, now=NOW + next(moments))
        racing.before_next("transact", again)

    racing.before_next("transact", again)
    racing.operations.clear()
    with pytest.raises(Conflict):
        mark(texts, TextMark.PERSON)
    assert racing.operations["transact"] == MAX_RACES


def test_a_surplus_text_that_is_seen_meanwhile_stays(
    texts: AutomaticTexts, racing: RacingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automatic_texts, "MAX_TEXTS", 1)
    see(texts, "Hello")

    def seen_meanwhile() -> None:
        racing.before_next("update", lambda: see(texts, chat="two", now=NOW + 9))

    racing.before_next("update", seen_meanwhile)  # the new text is written first, then the surplus is dropped
    texts.record(T, "b", chat="one", text="Closed", retention=WEEK, now=NOW + 5)
    assert known(texts, NOW + 10).text == "Hello"


def test_only_a_text_that_is_newly_recognised_drops_others(texts: AutomaticTexts, racing: RacingTable) -> None:
    see(texts, "Hello")
    racing.operations.clear()
    see(texts, "Hello", chat="two")
    assert racing.operations == {"get": 1, "update": 1}
