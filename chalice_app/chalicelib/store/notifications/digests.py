"""The record of the daily digest: one item, claimed by one sender at a time."""

from datetime import timedelta
from typing import Final

from chalicelib.model import milliseconds
from chalicelib.store.notifications.claims import is_over
from chalicelib.store.records.reader import one, readable
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update

#: A sender that is not done within this time is dead: another one sends.
CLAIMED_FOR: Final = timedelta(minutes=2)
_KEY: Final = ("NOTICES", "DIGEST")


class Digests:
    """The digest of each day.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, day: str, now: int) -> int | None:
        """Claims the digest of this day; returns how often it failed. None if it was sent, or if it is not due."""
        changes = {"not_before": now + milliseconds(CLAIMED_FOR)}
        due = is_over("not_before", now) & Attr("day").ne(day)
        try:
            item = self._table.update(Update(*_KEY, set=changes, when=due))
        except ConditionFailed:
            return None
        return one(item, _failures_from) or 0

    def record_sent(self, day: str) -> None:
        """Records that the digest of this day was sent."""
        self._table.update(Update(*_KEY, set={"day": day, "not_before": None, "failures": None}))

    def record_failure(self, failures: int, next_at: int) -> None:
        """Records that nobody got it, and when it is tried again."""
        self._table.update(Update(*_KEY, set={"failures": failures, "not_before": next_at}))


@readable
def _failures_from(item: Item) -> int:
    return int(item.get("failures") or 0)
