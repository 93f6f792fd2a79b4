"""The timeline of a tenant, which is also its audit log: append-only, forgotten after 400 days."""

import itertools
import secrets
from collections.abc import Callable
from datetime import timedelta

from chalicelib.model import Event, EventKind, milliseconds
from chalicelib.store.table import Item, Put, Table

EVENTS_KEPT_FOR = timedelta(days=400)


class Timeline:
    """Events of one tenant, in order.

    Args:
        table: the one table.
        new_id: tells apart two events of the same millisecond.
    """

    def __init__(self, table: Table, new_id: Callable[[], str] = lambda: secrets.token_hex(4)) -> None:
        self._table = table
        self._new_id = new_id
        #: keeps what one process does within a millisecond in order
        self._numbers = itertools.count()

    def record(self, event: Event) -> None:
        self._table.put(self.line(event))

    def line(self, event: Event) -> Put:
        """The event as a write, for the transaction of what happened."""
        stamp = f"{event.at:015d}"  # a string, because by_time orders by `at`
        return Put(
            {
                "pk": f"TENANT#{event.tenant}",
                "sk": f"EVENT#{stamp}#{next(self._numbers):09d}-{self._new_id()}",
                "expires_at": seconds(event.at + milliseconds(EVENTS_KEPT_FOR)),
                "tenant": event.tenant,
                "at": stamp,
                "happened": event.kind,
                "detail": event.detail,
                "by": event.by,
            }
        )

    def latest(self, tenant: str, limit: int = 50) -> list[Event]:
        """Newest first."""
        items = self._table.query(f"TENANT#{tenant}", begins_with="EVENT#", newest_first=True, limit=limit)
        return [_event_from(item) for item in items]


def _event_from(item: Item) -> Event:
    return Event(
        item["tenant"],
        int(item["at"]),
        EventKind(item["happened"]),
        item.get("detail", ""),
        item.get("by", "answerline"),
    )


def seconds(instant: int) -> int:
    """DynamoDB's clock for forgetting counts seconds."""
    return instant // 1000
