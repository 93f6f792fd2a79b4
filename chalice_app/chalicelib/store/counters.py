"""Counters of a tenant in windows of time, for caps, rate limits and usage; they expire by themselves."""

from collections.abc import Sequence
from datetime import timedelta

from chalicelib.model import milliseconds
from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Item, Table, Update
from chalicelib.store.timeline import seconds


class Counters:
    """Counts by tenant, name and window; a window is the minute, day or month that it names.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self, tenant: str, name: str, window: str, add: int, *, expires_at: int) -> int:
        """Adds to a counter and returns its total; DynamoDB deletes it some time after ``expires_at``."""
        key = f"TENANT#{tenant}", f"COUNTER#{name}#{window}"
        item = self._table.update(Update(*key, set={"expires_at": seconds(expires_at)}, add={"counted": add}))
        return int(item["counted"])

    def count_in_window(self, tenant: str, name: str, window: timedelta, now: int, *, add: int = 1) -> int:
        """Counts one more and returns the total of this window; windows of the same length follow each other."""
        length = milliseconds(window)
        return self.count(tenant, name, str(now // length), add, expires_at=now + 2 * length)

    def total_in_window(self, tenant: str, name: str, window: timedelta, now: int) -> int:
        """Returns the total of this window."""
        return self.total(tenant, name, str(now // milliseconds(window)))

    def total(self, tenant: str, name: str, window: str) -> int:
        """Returns the total of one counter."""
        item = self._table.get(f"TENANT#{tenant}", f"COUNTER#{name}#{window}")
        return one(item, _counted_from) or 0

    def totals(self, tenants: Sequence[str], name: str, window: str) -> dict[str, int]:
        """Returns the totals of many tenants, a moment old; tenants that counted nothing are not in it."""
        sk = f"COUNTER#{name}#{window}"
        items = self._table.get_many([(f"TENANT#{tenant}", sk) for tenant in tenants])
        counted = {item["pk"].removeprefix("TENANT#"): one(item, _counted_from) for item in items}
        return {tenant: total for tenant, total in counted.items() if total is not None}


@readable
def _counted_from(item: Item) -> int:
    return int(item["counted"])
