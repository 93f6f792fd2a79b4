"""A turn of a chat in any state, on a table that a test interrupts; a runner holds the session."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Chat, StoredMessage, Turn, TurnState
from chalicelib.store.conversation.items import chat_key, turn_item
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.table import Put
from tests.unit.support.racing_table import RacingTable
from wire import MessageKind

NOW = 1_790_000_000_000
CHAT = Chat("tenantaaaa", "4711@lid")
KEY = chat_key(CHAT.tenant, CHAT.id)
RUNNER, EPOCH = "runneraaaa", 4


def a_message(number: int = 1) -> StoredMessage:
    return StoredMessage(
        id=f"M{number}",
        chat=CHAT.id,
        sender=None,
        from_me=False,
        kind=MessageKind.TEXT,
        text="Are you open?",
        sent_at=NOW,
        received_at=NOW,
        at=f"{NOW + number:013d}#000",
    )


TURN = Turn(
    id="turnaaaa",
    tenant=CHAT.tenant,
    chat=CHAT.id,
    state=TurnState.THINKING,
    revision=3,
    messages=(a_message().key,),
    first_message="4711@lid|M1",
    last_message="M1",
    created_at=NOW,
    at=a_message().at,
    oldest_sent_at=NOW,
    due_at=NOW + 60_000,
    calls=1,
)


@pytest.fixture
def table() -> RacingTable:
    """A table with the chat, whose turn is open, and the session that RUNNER holds."""
    table = RacingTable()
    table.put(Put({"pk": KEY, "sk": "CHAT", "id": CHAT.id, "open_turn": TURN.id}))
    table.put(Put({"pk": "TENANT#tenantaaaa", "sk": "SESSION", "runner": RUNNER, "epoch": EPOCH}))
    return table


@pytest.fixture
def turns(table: RacingTable) -> Turns:
    return Turns(table)


def stored(table: RacingTable, state: TurnState, **more: Any) -> Turn:
    """Stores the turn in this state, and returns it as a process reads it."""
    turn = replace(TURN, state=state, **more)
    table.put(Put({**turn_item(turn, 30, NOW), "open_turns": "OPEN"}, when=None))
    return turn


def item(table: RacingTable) -> dict[str, Any]:
    return table.get(KEY, f"TURN#{TURN.id}") or {}
