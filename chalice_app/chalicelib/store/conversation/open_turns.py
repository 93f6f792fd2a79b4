"""Turns as they are read: one, or the lists of open ones, each of which yields candidates, a moment old."""

from chalicelib.model import Turn, TurnState
from chalicelib.store.conversation.items import chat_key, turn_from, turn_or_rest_from
from chalicelib.store.fleet import waiting_index
from chalicelib.store.records.reader import each
from chalicelib.store.runners import TurnToTake, turn_to_take
from chalicelib.store.table import Table


class OpenTurns:
    """The turns of all chats, and those that are not done.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, tenant: str, chat: str, turn: str) -> Turn | None:
        """Returns the turn; None if it expired or is unknown."""
        item = self._table.get(chat_key(tenant, chat), f"TURN#{turn}")
        return turn_or_rest_from(item) if item else None

    def open_turns_of(self, tenant: str, limit: int = 200) -> list[Turn]:
        """Returns the open turns of a tenant that can be read, the oldest first, a moment old; reads nobody else's."""
        partition = waiting_index.turns_partition(tenant)
        keys = self._table.query(partition, limit=limit, **waiting_index.QUERY)
        items = self._table.get_many([(item["pk"], item["sk"]) for item in keys])
        return sorted(each(items, turn_from), key=lambda turn: (turn.created_at, turn.id))

    def deliverable_of(self, tenant: str) -> list[TurnToTake]:
        """Returns the turns of a tenant that are ready or were being sent: the holder of its session takes them."""
        turns = self.open_turns_of(tenant)
        return [turn_to_take(turn) for turn in turns if turn.state in (TurnState.READY, TurnState.SENDING)]

    def open_turns(self, *, due_before: int, limit: int = 200) -> list[Turn]:
        """Returns open turns that are due by then and can be read, the earliest first, a moment old."""
        items = self._table.query(
            "OPEN",
            index="open_turns",
            keys=("open_turns", "due_at"),
            between=(0, due_before),
            limit=limit,
            consistent=False,
        )
        return list(each(items, turn_from))
