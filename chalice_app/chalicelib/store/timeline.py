"""The timeline of a tenant, which is also its audit log: append-only; events expire after 400 days."""

import itertools
import secrets
from collections.abc import Callable
from datetime import timedelta

from chalicelib.model import Event, EventKind, milliseconds
from chalicelib.store.table import Item, Put, Table

#: An event expires after this.
EVENTS_KEPT_FOR = timedelta(days=400)


class Timeline:
    """The events of all tenants.

    Args:
        table: the one table.
        new_id: makes two events of the same millisecond distinct.
    """

    def __init__(self, table: Table, new_id: Callable[[], str] = lambda: secrets.token_hex(4)) -> None:
        self._table = table
        self._new_id = new_id
        #: orders the events that one process records within a millisecond
        self._numbers = itertools.count()

    def record(self, event: Event) -> None:
        """Stores an event."""
        self._table.put(self.write_of(event))

    def write_of(self, event: Event) -> Put:
        """Returns the write of an event, for the transaction of the change that it records."""
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
        """Returns the latest events, the newest first."""
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
    """Returns the seconds of an instant: the unit of DynamoDB's TTL."""
    return instant // 1000
