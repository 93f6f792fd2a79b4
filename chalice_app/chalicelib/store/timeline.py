"""The timeline of a tenant, which is also its audit log: append-only but for counts; events expire after 400 days."""

import itertools
import secrets
from collections.abc import Callable
from datetime import timedelta

from chalicelib.model import Event, milliseconds
from chalicelib.model.session import LAST_INSTANT_MS
from chalicelib.store.records.instants import page_of_instants
from chalicelib.store.records.reader import each, readable, value_of
from chalicelib.store.table import ConditionFailed, Item, Put, Table, Update

#: An event expires after this.
EVENTS_KEPT_FOR = timedelta(days=400)
#: Events of a kind that is counted become one event in so long a time.
COUNTED_TOGETHER = timedelta(hours=1)


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

    def count(self, event: Event) -> None:
        """Stores the first event of its kind in an hour, or counts one more: a busy hour does not fill the timeline."""
        hour = event.at // milliseconds(COUNTED_TOGETHER) * milliseconds(COUNTED_TOGETHER)
        item = {**self.write_of(event).item, "sk": f"EVENT#{hour:015d}#{event.kind}", "counted": 1}
        try:
            self._table.put(Put(item))
        except ConditionFailed:
            self._table.update(Update(item["pk"], item["sk"], add={"counted": 1}))

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
        """Returns the latest events that can be read, the newest first."""
        return self.page(tenant, limit)[0]

    def page(self, tenant: str, limit: int, *, before: int = LAST_INSTANT_MS) -> tuple[list[Event], int | None]:
        """Returns the events before an instant that can be read, the newest first; and where the next page begins.

        Args:
            limit: so many are returned, and the others of the instant of the last one.
        """
        items = self._table.query(
            f"TENANT#{tenant}",
            between=("0", f"{before - 1:015d}"),
            index="by_time",
            keys=("pk", "at"),
            newest_first=True,
            page=limit + 1,
        )
        found, older = page_of_instants(items, limit, lambda item: str(item["at"]))
        found.sort(key=lambda item: (item["at"], item["sk"]), reverse=True)
        return list(each(found, _event_from)), int(older) if older is not None else None


@readable
def _event_from(item: Item) -> Event:
    return value_of(
        Event,
        tenant=item["tenant"],
        at=int(item["at"]),
        kind=item["happened"],
        detail=item.get("detail", ""),
        by=item.get("by", "answerline"),
        count=item.get("counted", 1),
    )


def seconds(instant: int) -> int:
    """Returns the seconds of an instant: the unit of DynamoDB's TTL."""
    return instant // 1000
