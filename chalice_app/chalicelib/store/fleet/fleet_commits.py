"""The commits that runners run, in one record: each page of the admin shows them, and reads no runner for it."""

from collections.abc import Iterable
from typing import Final

from pydantic import TypeAdapter

from chalicelib.model import Runner
from chalicelib.store.records.reader import each, readable
from chalicelib.store.table import Item, Table, Update

_KEY: Final = ("FLEET", "COMMITS")
#: Of a runner that does not say.
UNKNOWN: Final = "unknown"

_commits = TypeAdapter(frozenset[str])


class FleetCommits:
    """The record of the commits.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self) -> frozenset[str]:
        """Returns the commits, a minute old; empty before the first runner."""
        partition, sort_key = _KEY
        items = self._table.query(partition, begins_with=sort_key, consistent=False)
        return frozenset(commit for commits in each(items, _commits_from) for commit in commits)

    def add(self, commit: str) -> None:
        """Adds the commit of a runner that registers."""
        self._table.update(Update(*_KEY, add={"commits": {commit or UNKNOWN}}))

    def record(self, alive: Iterable[Runner], now: int) -> None:
        """Records the commits of the runners that hold their lease, unless they are recorded so."""
        commits = {runner.commit or UNKNOWN for runner in alive if now < runner.lease_until}
        if commits != self.get():
            self._table.update(Update(*_KEY, set={"commits": commits or None}))


@readable
def _commits_from(item: Item) -> frozenset[str]:
    return _commits.validate_python(item.get("commits", ()))
