"""The lists of runners: all of them, the silent ones, those with room. Each yields candidates, a moment old."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from chalicelib.model import Runner, RunnerState, milliseconds
from chalicelib.store.fleet import waiting_index
from chalicelib.store.records.reader import each
from chalicelib.store.records.runner_items import runner_from
from chalicelib.store.table import Attr, ConditionFailed, Table, Update

#: Of each partition of runners with room, so many are read.
ROOM_READ: Final = 3
_DIRECTORY: Final[dict[str, Any]] = {
    "index": "directory",
    "keys": ("directory", "directory_order"),
    "consistent": False,
}

#: The end of a lease counts in the directory by so much: an entry that moves is written twice, and not each renewal
#: moves it. A runner that renews its lease is never listed as silent for it, because it renews earlier.
ORDERED_BY: Final = timedelta(seconds=30)


def directory_order(runner: str, lease_until: int) -> str:
    """Returns the sort key of a runner in the directory: the runner that was silent for longest comes first."""
    return f"{lease_until // milliseconds(ORDERED_BY) * milliseconds(ORDERED_BY):013d}#{runner}"


class RunnerListing:
    """Runners by what they are looked for.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def alive(self) -> Iterator[Runner]:
        """Yields the runners that are not dead, a moment old."""
        return (runner for runner in self.listed() if runner.state is not RunnerState.DEAD)

    def listed(self) -> Iterator[Runner]:
        """Yields the runners that are alive, or dead and not known to be freed of their sessions, a moment old.

        Those that cannot be read are left out, here and in each list.
        """
        return each(self._table.query("RUNNER", **_DIRECTORY), runner_from)

    def silent(self, now: int) -> list[Runner]:
        """Returns the runners whose lease is over, and dead ones that are not known to be freed; a moment old.

        It does not read the others. One that an earlier release wrote last may be missing: ``listed`` has it.
        """
        latest = directory_order("~", now)
        return list(each(self._table.query("RUNNER", between=("0", latest), **_DIRECTORY), runner_from))

    def with_room(self, *, is_current: bool) -> list[Runner]:
        """Returns some of the runners with room, those with most of it; a moment old. Reads so many at most.

        Args:
            is_current: of the release that the stack runs, else of others.
        """
        found = [
            (item["pk"], "RUNNER")
            for partition in waiting_index.room_partitions(is_current=is_current)
            for item in self._table.query(
                partition,
                between=(1, waiting_index.MOST_ROOM),
                newest_first=True,
                limit=ROOM_READ,
                **waiting_index.QUERY,
            )
        ]
        return list(each(self._table.get_many(found), runner_from))

    def count_current(self) -> int:
        """Returns how many runners of the stack's release were given capacity; reads their keys only, a moment old."""
        return sum(
            1
            for partition in waiting_index.room_partitions(is_current=True)
            for _ in self._table.query(partition, **waiting_index.QUERY)
        )

    def forget_room(self, silent: Runner) -> None:
        """Takes a runner out of the list of those with room, because its lease is over; a renewal lists it again."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(
                    f"RUNNER#{silent.id}",
                    "RUNNER",
                    set=waiting_index.UNLISTED,
                    when=Attr("lease_until").eq(silent.lease_until),
                )
            )
