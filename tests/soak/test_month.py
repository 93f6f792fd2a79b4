"""A recorded month is what the product stores of it: all is answered, none is open, and a copy is another client's."""

import json
from collections import Counter
from typing import Any

import pytest

from chalicelib.model import SkipReason, TurnState
from chalicelib.store.expressions import stored
from tests.soak.month import NAME, SEALED_KEY, Month, copy_for
from tests.soak.plan import TAKEOVERS_PER_DAY, Size, client_id, contact_number, phone_number
from wire import Phase

END = 1_790_000_000_000
SIZE = Size(1, days=3, messages_per_day=30)


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    return list(Month(1, SIZE, END, seed=1).record())


def of_kind(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in items if item["sk"].partition("#")[0] == kind]


def test_each_message_is_stored_and_answered_unless_the_owner_took_the_chat_over(items: list[dict[str, Any]]) -> None:
    messages, turns = of_kind(items, "MESSAGE"), of_kind(items, "TURN")
    assert Counter(item["from_me"] for item in messages) == {
        False: SIZE.messages,
        True: SIZE.days * TAKEOVERS_PER_DAY,
    }
    assert {turn["state"] for turn in turns} <= {TurnState.SENT, TurnState.DISCARDED}
    answered = {key for turn in turns for key in turn["messages"]}
    texts = [item for item in messages if not item["from_me"] and "skipped" not in item]
    assert {item["sk"].removeprefix("MESSAGE#") for item in texts} <= answered
    assert len(texts) > SIZE.messages * 0.8
    assert {item["skipped"] for item in messages if "skipped" in item} <= set(SkipReason)


def test_nothing_is_left_open_and_the_line_waits_for_a_runner(items: list[dict[str, Any]]) -> None:
    assert not [item["sk"] for item in items if "open_turns" in item or "open_turn" in item]
    (session,) = of_kind(items, "SESSION")
    assert (session["phase"], session["number"]) == (Phase.IDLE, phone_number(1))
    assert session["unplaced"]
    assert "runner" not in session
    assert len(session["snapshots"]) >= SIZE.days
    assert len(of_kind(items, "EVENT")) > SIZE.days
    assert {item["pk"].partition("#")[0] for item in items} == {"TENANT", "CHAT"}


def test_every_item_expires_as_the_product_says_and_none_has_expired(items: list[dict[str, Any]]) -> None:
    kept = {item["sk"].partition("#")[0] for item in items if "expires_at" not in item}
    assert kept == {"TENANT", "SESSION", "ASSISTANT", "CHAT"}
    assert min(item["expires_at"] for item in items if "expires_at" in item) * 1000 >= END


def test_a_copy_is_another_clients_and_can_be_written(items: list[dict[str, Any]]) -> None:
    copied = copy_for(json.dumps(items), 1, 7, sealed_key="sealed-for-7")
    assert len(copied) == len(items)
    text = json.dumps(copied)
    for name in (client_id(1), phone_number(1), contact_number(1, 0)[:-4], SEALED_KEY, NAME):
        assert name not in text
    (tenant,) = of_kind(copied, "TENANT")
    assert (tenant["id"], tenant["key_ciphertext"], tenant["name"]) == (client_id(7), "sealed-for-7", "Client 007")
    assert {(item["pk"], item["sk"]) for item in copied}.isdisjoint({(item["pk"], item["sk"]) for item in items})
    assert all(stored(value) for item in copied for value in item.values())
