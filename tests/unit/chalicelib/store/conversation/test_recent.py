"""The end of a chat as a check reads it: what may wait for an answer, and what came since."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Chat, milliseconds
from chalicelib.store.conversation.chats import LATE_ARRIVALS_MS, WAITS_FOR_A_REASON, Chats, arrival
from chalicelib.store.conversation.items import chat_key
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.table import Update
from tests.unit.support.racing_table import RacingTable
from tests.unit.support.recorded_chats import LID, NOW, T, a_message, hand_in, recorded, stored


@pytest.fixture
def chats(racing: RacingTable) -> Chats:
    return Chats(racing)


# -- what a check reads ----------------------------------------------------------------------------------------------

OLDEST = NOW - milliseconds(WAITS_FOR_A_REASON)


def read(chats: Chats, chat: Chat, **options: Any) -> list[str]:
    return [each.id for each in chats.read_recent(chat, now=NOW, **{"depth": 0, **options}).messages]


@pytest.mark.parametrize(
    ("arrived", "answered", "since", "depth", "seen"),
    [
        (OLDEST, None, None, 0, True),
        (OLDEST - 1, None, None, 0, False),
        (OLDEST - 1, None, None, 1, True),
        (NOW - LATE_ARRIVALS_MS, NOW, None, 0, True),
        (NOW - LATE_ARRIVALS_MS - 1, NOW, None, 0, False),
        (OLDEST - 1, OLDEST, None, 0, False),  # what is answered does not make older messages young
        (NOW - LATE_ARRIVALS_MS - 9, NOW, NOW - LATE_ARRIVALS_MS - 9, 0, True),
        (NOW - LATE_ARRIVALS_MS - 9, NOW, NOW - LATE_ARRIVALS_MS - 8, 0, False),
        (OLDEST - 5, None, OLDEST - 5, 0, True),
        (NOW - 1, None, NOW, 0, False),  # it may wait, and is not asked for
        (OLDEST - 1, None, -1, 0, True),
    ],
)
def test_a_check_reads_what_may_wait_or_what_came_since(
    chats: Chats, arrived: int, answered: int | None, since: int | None, depth: int, seen: bool
) -> None:
    chat = recorded(chats, a_message())
    hand_in(chats, chat, a_message(), at=arrived)
    chat = replace(chat, answered_to=arrival(answered, 0) if answered is not None else "")
    assert bool(read(chats, chat, since=since, depth=depth)) is seen


def test_a_check_reads_entries_oldest_first_and_turns_apart(chats: Chats, racing: RacingTable) -> None:
    chat = recorded(chats, a_message())
    for number in (1, 2, 3):
        hand_in(chats, chat, a_message(number), at=NOW - 10 + number)
    batch = chats.read_recent(chat, depth=0, now=NOW).messages
    turn = Turns(racing).freeze(chat, batch[:2], retention_days=30, now=NOW)
    recent = chats.read_recent(chat, depth=0, now=NOW)
    assert [each.id for each in recent.messages] == ["M1", "M2", "M3"]
    assert recent.turns == (turn,)


def test_what_expired_is_not_read_although_it_is_still_stored(chats: Chats, racing: RacingTable) -> None:
    chat = recorded(chats, a_message())
    for number, expires_at in ((1, NOW // 1000 - 1), (2, NOW // 1000), (3, None)):
        hand_in(chats, chat, a_message(number))
        key = stored(chat, a_message(number)).key
        racing.update(Update(chat_key(T, LID), f"MESSAGE#{key}", set={"expires_at": expires_at}))
    assert sorted(read(chats, chat)) == ["M2", "M3"]


def test_a_turn_is_found_by_the_id_of_its_part(chats: Chats, racing: RacingTable) -> None:
    chat = recorded(chats, a_message())
    hand_in(chats, chat, a_message())
    turns = Turns(racing)
    turn = turns.freeze(chat, chats.read_recent(chat, depth=0, now=NOW).messages, retention_days=30, now=NOW)
    assert turn is not None
    turns.store_text(turn, ("One.", "Two."), NOW)
    hand_in(chats, chat, a_message(2), at=NOW + 1)
    around: dict[str, int] = {"now": NOW, "since": NOW - 1, "until": NOW + 1, "most": 9}
    for known in (chat, chats.get(T, LID)):
        assert known is not None
        found = chats.find_turn_with_part(known, turn.part_id(1), **around)
        assert found is not None and found.id == turn.id
        assert chats.find_turn_with_part(known, turn.part_id(2), **around) is None
    for outside in ({"since": NOW + 1}, {"until": NOW - 1}, {"most": 1}):
        assert chats.find_turn_with_part(chat, turn.part_id(1), **{**around, **outside}) is None, outside


def test_messages_of_one_hand_in_are_ordered_by_their_place_in_it() -> None:
    arrivals = [arrival(NOW, 9), arrival(NOW, 10), arrival(NOW + 1, 0)]
    assert sorted(arrivals) == arrivals
