"""Runners, their leases and their bells.

A runner has one lease for all its sessions. ``dead`` is final. ``reaping.py`` frees the sessions of a dead runner,
which needs both records.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from chalicelib.errors import Unauthorised
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    DEAD_TOKEN_GRACE,
    LEASE,
    LEASE_RENEWED_EVERY,
    Runner,
    RunnerState,
    Turn,
    milliseconds,
)
from chalicelib.store.fleet import waiting_index
from chalicelib.store.fleet.fleet_commits import FleetCommits
from chalicelib.store.fleet.runner_lists import RunnerListing, directory_order
from chalicelib.store.records.reader import each, readable, value_of
from chalicelib.store.records.runner_items import runner_from
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Item, Put, Table, Update

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TurnToTake:
    """A turn that a runner should take."""

    turn: str
    tenant: str
    chat: str
    revision: int
    #: WhatsApp's time of the oldest message that it answers, in epoch milliseconds
    sent_at: int = 0


def turn_to_take(turn: Turn) -> TurnToTake:
    """Returns what a runner must know of a turn to take it."""
    return TurnToTake(turn.id, turn.tenant, turn.chat, turn.revision, turn.oldest_sent_at)


@dataclass(frozen=True, slots=True)
class Bell:
    """The notification of a runner, for which its held call waits: a counter, and the turns to take."""

    count: int
    turns: tuple[TurnToTake, ...]


class Save(NamedTuple):
    """The instant at which a profile was last found to be saved, and the problem since; empty while saving works."""

    at: int
    problem: str


class Runners(RunnerListing):
    """The processes that host sessions.

    Args:
        table: the one table.
        release: what the stack runs: runners of this release are listed apart from others.
    """

    def __init__(self, table: Table, release: str = "") -> None:
        super().__init__(table)
        self.commits = FleetCommits(table)
        self._release = release

    def register(
        self, runner: str, token_sha256: str, capacity: int, now: int, *, task: str = "", **versions: str
    ) -> Runner:
        """Stores a new runner, which holds no session, and its bell.

        Args:
            capacity: how many sessions it may be given.
            task: its ECS task, if it has one.
            versions: what it reports of its image, commit, Chromium and wa-js.
        """
        self._table.put(Put({"pk": f"RUNNER#{runner}", "sk": "BELL", "count": 0, "rung": {}}))
        item: Item = {
            "pk": f"RUNNER#{runner}",
            "sk": "RUNNER",
            "state": RunnerState.ALIVE,
            "token_sha256": token_sha256,
            "lease_until": now + milliseconds(LEASE),
            "capacity": capacity,
            "room": capacity,
            "registered_at": now,
            "heard_since": now,
            "assigned": {},
            "task": task,
            "directory": "RUNNER",
            "directory_order": directory_order(runner, now + milliseconds(LEASE)),
            **versions,
        }
        item |= self._room(runner, versions, capacity) if capacity else {}
        self._table.put(Put(item))
        self.commits.add(versions.get("commit", ""))
        log.info(LogEvent.RUNNER_REGISTERED, extra={"runner": runner})
        return runner_from(item)

    def get(self, runner: str) -> Runner | None:
        """Returns the runner; None if it is unknown."""
        item = self._table.get(f"RUNNER#{runner}", "RUNNER")
        return runner_from(item) if item else None

    def may_hand_in(self, runner: Runner, tenant: str, now: int) -> bool:
        """True if its messages and sent parts are accepted without a fence: it holds the tenant, or did lately."""
        item = self._table.get(f"RUNNER#{runner.id}", "RUNNER")
        if item is None or tenant not in item.get("held", set()):
            return False
        gave_up_at = item.get("died_at", now)
        if tenant not in item.get("assigned", {}):
            session, unknown = self._table.get(f"TENANT#{tenant}", "SESSION") or {}, {runner.id: gave_up_at}
            gave_up_at = session.get("former_holders", unknown).get(runner.id, 0)
        return bool(now < gave_up_at + milliseconds(DEAD_TOKEN_GRACE))

    def renew_lease(
        self,
        runner: Runner,
        now: int,
        *,
        capacity: int,
        draining: bool,
        probes: Mapping[str, int],
        saves: Mapping[str, Save] = MappingProxyType({}),
        disk_full: bool = False,
        **versions: str,
    ) -> Runner:
        """Writes the heartbeat: renews the lease, at most every ten seconds. Raises Unauthorised for a dead runner.

        Args:
            capacity: how many sessions it may be given.
            probes: by tenant, when its page last answered.
            saves: by tenant, what is known of its profile's snapshots.
            disk_full: its sessions should move to another disk.
            versions: its image, commit, Chromium and wa-js, and its disk.
        """
        fresh = runner.lease_until - milliseconds(LEASE) + milliseconds(LEASE_RENEWED_EVERY) > now
        recorded = (not draining or runner.state is RunnerState.DRAINING) and disk_full == runner.disk_full
        if fresh and recorded and capacity == runner.capacity:
            return runner
        held = {assignment.tenant for assignment in runner.assigned}
        takes = not draining and runner.state is RunnerState.ALIVE and (capacity > 0 or held)
        try:
            item = self._table.update(
                Update(
                    f"RUNNER#{runner.id}",
                    "RUNNER",
                    set={
                        "lease_until": now + milliseconds(LEASE),
                        "directory_order": directory_order(runner.id, now + milliseconds(LEASE)),
                        "heard_since": runner.lease_held_since if now < runner.lease_until else now,
                        # A runner does not become alive again: a call that began before the drain does not end it.
                        **({"state": RunnerState.DRAINING} if draining else {}),
                        "capacity": capacity,
                        "witness": None,
                        "witnessed_at": None,
                        "probes": {tenant: at for tenant, at in probes.items() if tenant in held},
                        "saves": {tenant: save._asdict() for tenant, save in saves.items() if tenant in held} or None,
                        "disk_full": disk_full or None,
                        "leaving": draining or None,
                        **(self._room(runner.id, versions, capacity - len(held)) if takes else waiting_index.UNLISTED),
                        **versions,
                    },
                    add={"room": capacity - runner.capacity},
                    # Two calls at once must not both add the same change of room.
                    when=Attr("state").ne(RunnerState.DEAD) & Attr("capacity").eq(runner.capacity),
                )
            )
        except ConditionFailed as failure:
            if failure.item is None or failure.item["state"] == RunnerState.DEAD:
                raise Unauthorised("This runner was declared dead.") from None
            return runner_from(failure.item)  # another call of the same runner was faster
        return runner_from(item)

    def record_witness(self, silent: Runner, by: str, now: int) -> None:
        """Records the runner that synced after this runner's lease ran out, unless one is recorded."""
        with suppress(ConditionFailed):
            self._table.update(
                Update(
                    f"RUNNER#{silent.id}",
                    "RUNNER",
                    set={"witness": by, "witnessed_at": now},
                    when=Attr("lease_until").eq(silent.lease_until) & Attr("witness").not_exists(),
                )
            )

    def declare_dead(self, runner: str, now: int, *, silent_since: int | None = None) -> Runner | None:
        """Declares the runner dead, for good, and returns it, also if another process was faster.

        None if it is unknown, or if its lease is not ``silent_since`` any more, because it was renewed meanwhile.
        """
        lives: ConditionBase = Attr("pk").exists() & Attr("state").ne(RunnerState.DEAD)
        try:
            item = self._table.update(
                Update(
                    f"RUNNER#{runner}",
                    "RUNNER",
                    set={
                        "state": RunnerState.DEAD,
                        "died_at": now,
                        "expires_at": _expiry(now),
                        "directory_order": directory_order(runner, 0),
                        **waiting_index.UNLISTED,
                    },
                    when=lives if silent_since is None else lives & Attr("lease_until").eq(silent_since),
                )
            )
        except ConditionFailed as failure:
            stood = runner_from(failure.item) if failure.item is not None else None
            return stood if stood is not None and stood.state is RunnerState.DEAD else None
        if item.get("leaving") or "free_since" in item.get("draining", {}):
            log.info(LogEvent.RUNNER_ENDED, extra={"runner": runner})
        else:
            log.warning(LogEvent.RUNNER_LOST, extra={"runner": runner})
        with suppress(ConditionFailed):
            self._table.update(
                Update(f"RUNNER#{runner}", "BELL", set={"expires_at": _expiry(now)}, when=Attr("pk").exists())
            )
        with suppress(ConditionFailed):
            still = Attr("runner").eq(runner)
            self._table.update(Update(f"TASK#{item.get('task')}", "TASK", set={"expires_at": _expiry(now)}, when=still))
        return runner_from(item)

    def unlist(self, runner: str) -> None:
        """Removes a dead runner that holds no session from the list; until then each round frees its sessions."""
        dead = Attr("state").eq(RunnerState.DEAD)
        with suppress(ConditionFailed):
            self._table.update(Update(f"RUNNER#{runner}", "RUNNER", remove=("directory", "directory_order"), when=dead))

    def _room(self, runner: str, versions: Mapping[str, str], room: int) -> Item:
        release = versions.get("image") or versions.get("commit", "")
        return waiting_index.room_of(runner, is_current=release == self._release, room=room)

    # -- bells -----------------------------------------------------------------------------------------------

    def ring(self, runner: str, turn: TurnToTake | None = None) -> None:
        """Wakes the runner's held call; a turn is listed until it is silenced."""
        changes: dict[Any, Any] = {}
        if turn is not None:
            entry = {"tenant": turn.tenant, "chat": turn.chat, "revision": turn.revision, "sent_at": turn.sent_at}
            changes["rung", turn.turn] = entry
        try:
            self._table.update(
                Update(f"RUNNER#{runner}", "BELL", set=changes, add={"count": 1}, when=Attr("pk").exists())
            )
        except ConditionFailed:
            log.warning(LogEvent.BELL_MISSING, extra={"runner": runner})

    def silence(self, runner: str, turn: str, revision: int) -> None:
        """Removes a turn from the bell, unless it rang again for a later revision."""
        known = Attr(f"rung.{turn}.revision").lte(revision)
        with suppress(ConditionFailed):
            self._table.update(Update(f"RUNNER#{runner}", "BELL", remove=(("rung", turn),), when=known))

    def bell(self, runner: str) -> Bell:
        """Returns the runner's bell."""
        item = self._table.get(f"RUNNER#{runner}", "BELL") or {}
        rung = ({"pk": item["pk"], "sk": "BELL", "turn": turn, "rung": it} for turn, it in item.get("rung", {}).items())
        return Bell(item.get("count", 0), tuple(each(rung, _turn_to_take_from)))


@readable
def _turn_to_take_from(entry: Item) -> TurnToTake:
    return value_of(TurnToTake, turn=entry["turn"], **entry["rung"])


def _expiry(now: int) -> int:
    """Returns the TTL of a dead runner, in seconds: one week."""
    return now // 1000 + 7 * 24 * 3600
