"""Checks of chats that are due: noted in the table beside their jobs, so that losing the queue loses no message.

A note means that something in its chat was not looked at yet. Each note has a name of its own (``request``): a check
that has looked at a chat removes the note that it read before, never one that came meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.model import milliseconds
from chalicelib.store.conversation.items import chat_key
from chalicelib.store.records.reader import each, one, readable, value_of
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Item, Table, Update
from chalicelib.store.timeline import seconds

#: A note that nothing can look at, because its tenant is gone, is forgotten after this.
FORGOTTEN_AFTER = timedelta(days=1)
#: The sort key of a note, and its partition of the index ``open_turns``.
_SORT_KEY = "CHECK"
_PARTITION = "CHECK"


@dataclass(frozen=True, slots=True)
class DueCheck:
    """A note that a chat must be checked."""

    tenant: str
    #: the id by which the check was requested
    chat: str
    #: epoch milliseconds; after it, the queue has lost the job
    due_at: int
    request: str
    #: since when a contact writes without a look, in epoch milliseconds; None where that is not known
    since: int | None = None


class DueChecks:
    """The notes of all chats.

    Args:
        table: the one table.
        new_request: names a note.
    """

    def __init__(self, table: Table, new_request: Callable[[], str]) -> None:
        self._table = table
        self._new_request = new_request

    def note(self, tenant: str, chat: str, due_at: int, *, now: int) -> DueCheck:
        """Notes that a chat must be checked; replaces its former note, but keeps since when nothing looked."""
        new = self._new(tenant, chat, due_at)
        if not self._change(tenant, chat, {**new, "since": now}, Attr("request").not_exists()):
            self._table.update(Update(chat_key(tenant, chat), _SORT_KEY, set=new))
        return DueCheck(tenant, chat, due_at, new["request"])

    def note_after(self, tenant: str, chat: str, due_at: int, *, seen: DueCheck | None) -> DueCheck | None:
        """Notes another check of a chat that was looked at; None if one was requested since ``seen`` was read."""
        when = Attr("request").not_exists() if seen is None else Attr("request").eq(seen.request)
        new = {**self._new(tenant, chat, due_at), "since": None}
        return DueCheck(tenant, chat, due_at, new["request"]) if self._change(tenant, chat, new, when) else None

    def get(self, tenant: str, chat: str) -> DueCheck | None:
        """Returns the chat's note, if there is one that can be read."""
        item = self._table.get(chat_key(tenant, chat), _SORT_KEY)
        return one({**item, "tenant": tenant, "chat": chat}, _note_from) if item and "request" in item else None

    def postpone(self, noted: DueCheck, due_at: int) -> None:
        """Makes a note due later, unless another one came meanwhile."""
        self._change(noted.tenant, noted.chat, {"due_at": due_at}, Attr("request").eq(noted.request))

    def remove(self, noted: DueCheck) -> None:
        """Removes a note, unless another one came meanwhile."""
        gone = dict.fromkeys(("open_turns", "due_at", "request", "since"))
        self._change(noted.tenant, noted.chat, gone, Attr("request").eq(noted.request))

    def due(self, *, due_before: int, now: int, limit: int = 200) -> list[DueCheck]:
        """Returns the notes that are due by then and can be read, the earliest first, a moment old."""
        items = self._table.query(
            _PARTITION,
            index="open_turns",
            keys=("open_turns", "due_at"),
            between=(0, due_before),
            where=Attr("expires_at").gt(seconds(now)),
            limit=limit,
            consistent=False,
        )
        return list(each(items, _note_from))

    def _new(self, tenant: str, chat: str, due_at: int) -> dict[str, Any]:
        return {
            "tenant": tenant,
            "chat": chat,
            "open_turns": _PARTITION,
            "due_at": due_at,
            "request": self._new_request(),
            "expires_at": seconds(due_at + milliseconds(FORGOTTEN_AFTER)),
        }

    def _change(self, tenant: str, chat: str, changes: dict[str, Any], when: ConditionBase) -> bool:
        try:
            self._table.update(Update(chat_key(tenant, chat), _SORT_KEY, set=changes, when=when))
        except ConditionFailed:
            return False
        return True


@readable
def _note_from(item: Item) -> DueCheck:
    return value_of(DueCheck, **item)
