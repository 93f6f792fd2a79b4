"""Drains of runners (graceful shutdown of the fleet): protected while in use, then drained, then free.

``protected_until`` is what ECS confirmed, by ECS's own clock. The rules are ``model/scaling.py``.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from operator import and_

from chalicelib.log_events import LogEvent
from chalicelib.model import Assignment, RunnerState
from chalicelib.store.fleet import waiting_index
from chalicelib.store.records.reader import one, readable
from chalicelib.store.runners import Runners
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update
from wire import Wanted

log = logging.getLogger(__name__)


class Drains:
    """The drains in the runners' records, and the state of the autoscaler in the fleet's.

    Args:
        table: the one table.
        runners: their bells are rung.
    """

    def __init__(self, table: Table, runners: Runners) -> None:
        self._table = table
        self._runners = runners

    def record_protection(self, runner: str, until: int) -> None:
        """Records until when ECS may not stop the runner's task; 0 if it may."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(f"RUNNER#{runner}", "RUNNER", set={"protected_until": until}, when=Attr("pk").exists())
            )

    def start(self, runner: str, now: int) -> bool:
        """Starts a runner's drain: it is given no session from now on. False if it is not alive or drains already."""
        try:
            self._table.update(
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    set={"state": RunnerState.DRAINING, "draining": {"since": now}, **waiting_index.UNLISTED},
                    when=Attr("state").eq(RunnerState.ALIVE),
                )
            )
        except ConditionFailed:
            return False
        log.info(LogEvent.RUNNER_DRAINING, extra={"runner": runner})
        return True

    def request_release(
        self, runner: str, assignments: Sequence[Assignment], now: int, *, moving: Sequence[str] = ()
    ) -> bool:
        """Requests that the runner release these sessions. False if one moved meanwhile: the next round tries again."""
        held = [Attr(f"assigned.{each.tenant}.epoch").eq(each.epoch) for each in assignments]
        try:
            self._table.update(
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    set={
                        ("draining", "asked_at"): now,
                        ("draining", "moving"): [*moving],
                        **{("assigned", each.tenant, "wanted"): Wanted.RELEASE for each in assignments},
                    },
                    when=reduce(and_, held, Attr("state").eq(RunnerState.DRAINING)),
                )
            )
        except ConditionFailed:
            return False
        self._runners.ring(runner)
        return True

    def mark_free(self, runner: str, now: int) -> None:
        """Records that the drained runner holds no session and that its protection ended."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    set={"protected_until": 0, ("draining", "free_since"): now},
                    when=Attr("state").eq(RunnerState.DRAINING),
                )
            )

    def request_end(self, runner: str) -> None:
        """Requests that the runner release all its sessions at once and that its process end."""
        self._table.update(Update(f"RUNNER#{runner}", "RUNNER", set={"drain": True}, when=Attr("pk").exists()))
        self._runners.ring(runner)

    def surplus_since(self) -> int | None:
        """Returns since when fewer runners would be enough; None if all are needed."""
        return one(self._table.get("FLEET", "FLEET"), _surplus_from)

    def record_surplus(self, since: int | None) -> None:
        """Records since when fewer runners would be enough."""
        self._table.update(Update("FLEET", "FLEET", set={"surplus_since": since}))

    def left_behind(self) -> dict[str, str]:
        """Returns the tenants whose sessions did not come online after a move and hold no drain, with that release."""
        return one(self._table.get("FLEET", "FLEET"), _left_behind_from) or {}

    def record_left_behind(self, tenants: Mapping[str, str], before: Collection[str]) -> None:
        """Records the sessions that hold no drain any more; logs those that are new since ``before``."""
        self._table.update(Update("FLEET", "FLEET", set={"left_behind": {**tenants}}))
        new = sorted({*tenants} - {*before})
        if new:
            log.warning(LogEvent.SESSIONS_LEFT_BEHIND, extra={"tenants": new})


@readable
def _surplus_from(item: Item) -> int | None:
    since = item.get("surplus_since")
    return int(since) if since is not None else None


@readable
def _left_behind_from(item: Item) -> dict[str, str]:
    return {str(tenant): str(release) for tenant, release in item.get("left_behind", {}).items()}
