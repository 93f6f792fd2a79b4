"""How runners leave the fleet: protected while they may be given sessions, then drained, then free.

What stands here as protected was confirmed by ECS, and ended by ECS's own clock; the rules are ``model/fleet.py``.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from operator import and_

from chalicelib.log_events import LogEvent
from chalicelib.model import Assignment, RunnerState
from chalicelib.store.runners import Runners
from chalicelib.store.table import Attr, ConditionFailed, Table, Update
from wire import Wanted

log = logging.getLogger(__name__)


class Drains:
    """Marks in the runners' own records, since when the fleet is too large, and whom nobody waits for.

    Args:
        table: the one table.
        runners: whose bells are rung.
    """

    def __init__(self, table: Table, runners: Runners) -> None:
        self._table = table
        self._runners = runners

    def record_protection(self, runner: str, until: int) -> None:
        """Notes until when ECS may not end its task."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(f"RUNNER#{runner}", "RUNNER", set={"protected_until": until}, when=Attr("pk").exists())
            )

    def start(self, runner: str, now: int) -> bool:
        """From now on it is given nothing more, for good. False if it is not alive, or was chosen before."""
        try:
            self._table.update(
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    set={"state": RunnerState.DRAINING, "draining": {"since": now}},
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
        """These sessions are to be released by it now. False if one moved meanwhile: the next round asks again."""
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
        """It holds nothing, never will again, and is not protected any more."""
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
        """Its process is to release what it still holds, all at once, and end."""
        self._table.update(Update(f"RUNNER#{runner}", "RUNNER", set={"drain": True}, when=Attr("pk").exists()))
        self._runners.ring(runner)

    def surplus_since(self) -> int | None:
        """Since when fewer runners would do."""
        item = self._table.get("FLEET", "FLEET") or {}
        return item.get("surplus_since")

    def record_surplus(self, since: int | None) -> None:
        self._table.update(Update("FLEET", "FLEET", set={"surplus_since": since}))

    def left_behind(self) -> dict[str, str]:
        """Sessions that moved and did not come online, that nobody waits for any more, and under which release."""
        item = self._table.get("FLEET", "FLEET") or {}
        return {**item.get("left_behind", {})}

    def record_left_behind(self, tenants: Mapping[str, str], before: Collection[str]) -> None:
        """From now on nobody waits for these; who was not among those before is told, once."""
        self._table.update(Update("FLEET", "FLEET", set={"left_behind": {**tenants}}))
        new = sorted({*tenants} - {*before})
        if new:
            log.warning(LogEvent.SESSIONS_LEFT_BEHIND, extra={"tenants": new})
