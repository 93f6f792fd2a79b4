"""Counters of a tenant in windows of time, for caps, rate limits and usage; they expire by themselves."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from chalicelib.model import milliseconds
from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update
from chalicelib.store.timeline import seconds

#: A count that collides with another one is tried this many times.
ATTEMPTS: Final = 5


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

    def take(self, tenant: str, name: str, *, limit: int, within: timedelta, now: int) -> bool:
        """Counts one more; False, and nothing is counted, if there were ``limit`` in the time ``within`` before.

        It holds for any such time, wherever it begins: the instants of the last ones are stored.
        """
        key = f"TENANT#{tenant}", f"COUNTER#{name}#latest"
        for _ in range(ATTEMPTS):
            item = self._table.get(*key)
            recent = [at for at in one(item, _instants_from) or [] if at > now - milliseconds(within)]
            if len(recent) >= limit:
                return False
            stored = (item or {}).get("instants")
            unchanged = Attr("instants").not_exists() if stored is None else Attr("instants").eq(stored)
            taken = {"instants": [*recent, now], "expires_at": seconds(now + milliseconds(within))}
            with suppress(ConditionFailed):
                self._table.update(Update(*key, set=taken, when=unchanged))
                return True
        return False  # others count all the time: the limit is reached at this moment

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


@readable
def _instants_from(item: Item) -> list[int]:
    return [int(instant) for instant in item["instants"]]
