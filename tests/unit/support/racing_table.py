"""The table in memory, where another process acts just before an operation: the races that conditions decide."""

from collections import Counter
from collections.abc import Callable

from tests.simulation.memory_table import MemoryTable


class RacingTable(MemoryTable):
    """Counts its operations, and lets a test interrupt the next one of a kind: get, query, put, update or transact."""

    def __init__(self) -> None:
        super().__init__(before=self._begin)
        self.operations: Counter[str] = Counter()
        self._races: dict[str, Callable[[], object]] = {}

    def before_next(self, operation: str, act: Callable[[], object]) -> None:
        """Lets ``act`` happen once, between the caller's read and this operation."""
        self._races[operation] = act

    def _begin(self, operation: str) -> None:
        act = self._races.pop(operation, None)
        if act is not None:
            act()
        self.operations[operation] += 1
