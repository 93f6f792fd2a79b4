"""The record of the daily digest: one item, claimed by one sender at a time."""

from datetime import timedelta
from typing import Final

from chalicelib.model import milliseconds
from chalicelib.store.table import Attr, ConditionFailed, Table, Update

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
        due = Attr("not_before").not_exists() | Attr("not_before").lte(now)
        try:
            item = self._table.update(Update(*_KEY, set=changes, when=due & Attr("day").ne(day)))
        except ConditionFailed:
            return None
        return int(item.get("failures", 0))

    def record_sent(self, day: str) -> None:
        """Records that the digest of this day was sent."""
        self._table.update(Update(*_KEY, set={"day": day, "not_before": None, "failures": None}))

    def record_failure(self, failures: int, next_at: int) -> None:
        """Records that nobody got it, and when it is tried again."""
        self._table.update(Update(*_KEY, set={"failures": failures, "not_before": next_at}))
