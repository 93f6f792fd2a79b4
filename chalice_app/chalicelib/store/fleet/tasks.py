"""The runner of each ECS task: at most one that is not dead.

A runner names its task itself; ``aws/ecs.py`` checks that the task exists.
"""

from pydantic import TypeAdapter

from chalicelib.errors import TransientError
from chalicelib.model import RunnerState
from chalicelib.store.records.reader import one, readable
from chalicelib.store.runners import Runners
from chalicelib.store.table import Attr, ConditionFailed, Item, Put, Table

_names = TypeAdapter(str)


class Tasks:
    """A record for each task, which expires with its last runner.

    Args:
        table: the one table.
        runners: the runners, which may be dead.
    """

    def __init__(self, table: Table, runners: Runners) -> None:
        self._table = table
        self._runners = runners

    def claim(self, task: str, runner: str, now: int) -> bool:
        """Records this runner as the one of the task. False while another one is.

        Another one without capacity and sessions is declared dead: the answer to its registration was lost, and the
        same process registers again. Raises TransientError if a third one claimed the task at this moment.
        """
        item = self._table.get(f"TASK#{task}", "TASK")
        former = one(item, _runner_from)
        if former is not None and not self._makes_way(former, now):
            return False
        stored = (item or {}).get("runner")
        as_seen = Attr("runner").not_exists() if stored is None else Attr("runner").eq(stored)
        try:
            self._table.put(Put({"pk": f"TASK#{task}", "sk": "TASK", "runner": runner}, when=as_seen))
        except ConditionFailed:
            raise TransientError("Another registration for this task was faster; register again.") from None
        return True

    def runner_of(self, task: str) -> str | None:
        """Returns the runner that claimed the task last; None if none did."""
        item = self._table.get(f"TASK#{task}", "TASK")
        return one(item, _runner_from)

    def _makes_way(self, runner: str, now: int) -> bool:
        former = self._runners.get(runner)
        if former is None or former.state is RunnerState.DEAD:
            return True
        if former.capacity or former.assigned:
            return False
        # Not if it renewed its lease just now.
        return self._runners.declare_dead(runner, now, silent_since=former.lease_until) is not None


@readable
def _runner_from(item: Item) -> str:
    return _names.validate_python(item["runner"])
