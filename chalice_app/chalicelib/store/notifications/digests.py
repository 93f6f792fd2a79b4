"""The record of the daily digest: one item, claimed by one sender at a time."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chalicelib.model import milliseconds
from chalicelib.store.notifications.claims import is_over
from chalicelib.store.records.reader import one, readable, value_of
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update

#: A sender that is not done within this time is dead: another one sends.
CLAIMED_FOR: Final = timedelta(minutes=2)
_KEY: Final = ("NOTICES", "DIGEST")


@dataclass(frozen=True, slots=True)
class DigestAttempts:
    """The attempts at the digest of one day, before this one."""

    day: str
    failures: int = 0
    #: the channels that are done: they got it, or never will
    done: frozenset[str] = frozenset()


class Digests:
    """The digest of each day.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, day: str, now: int) -> DigestAttempts | None:
        """Claims the digest of this day; returns the attempts at it. None if it was sent, or if it is not due."""
        changes = {"not_before": now + milliseconds(CLAIMED_FOR)}
        due = is_over("not_before", now) & Attr("day").ne(day)
        try:
            item = self._table.update(Update(*_KEY, set=changes, when=due))
        except ConditionFailed:
            return None
        former = one(item, _attempts_from)
        return former if former is not None and former.day == day else DigestAttempts(day)

    def record_done(self, day: str, done: Collection[str]) -> None:
        """Records the channels that are done with the digest of this day."""
        self._table.update(Update(*_KEY, set={"tried_day": day, "done": sorted(done)}))

    def record_sent(self, day: str) -> None:
        """Records that no channel is owed the digest of this day any more."""
        ended = dict.fromkeys(("not_before", "failures", "tried_day", "done"))
        self._table.update(Update(*_KEY, set={**ended, "day": day}))

    def record_failure(self, day: str, failures: int, next_at: int) -> None:
        """Records that some channels did not get it, and when they are tried again."""
        self._table.update(Update(*_KEY, set={"tried_day": day, "failures": failures, "not_before": next_at}))


@readable
def _attempts_from(item: Item) -> DigestAttempts:
    attempts = {"failures": item.get("failures") or 0, "done": item.get("done") or ()}
    return value_of(DigestAttempts, day=item.get("tried_day") or "", **attempts)
