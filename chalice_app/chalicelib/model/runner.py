"""Runners, their leases and their drains, and the rules of reaping. Pure; every rule takes `now`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.model.stored_enum import StoredEnum
from chalicelib.model.times import milliseconds
from wire import Wanted

#: A runner that does not renew its lease for this long must have stopped its sessions.
LEASE = timedelta(seconds=60)
#: The lease is written at most this often, however often the runner syncs.
LEASE_RENEWED_EVERY = timedelta(seconds=10)
#: A runner is reaped when another one synced at least twice, this far apart, after the lease ran out …
REAP_WITNESS_SPAN = timedelta(seconds=15)
#: … or when it was silent for this many leases, whichever runners there are.
REAP_AFTER_LEASES = 3
#: A session whose page answered no probe for this long is wedged, though its runner syncs.
PROBE_STALE_AFTER = timedelta(minutes=3)
#: A runner that gave a session up, or was declared dead, may still hand in messages and mark turns sent for this long.
DEAD_TOKEN_GRACE = timedelta(hours=24)
#: A session that goes from runner to runner all day remembers so many of them.
MAX_FORMER_HOLDERS = 20


class RunnerState(StoredEnum):
    """The life of a runner: each state may only be followed by a later one."""

    ALIVE = "alive"  #: hosts sessions and may be given more
    DRAINING = "draining"  #: releases the sessions that it holds, and is given none
    DEAD = "dead"  #: final; the same process registers again under a new id
    UNKNOWN = "unknown"  #: written by a later release: keeps its sessions while its lease lasts, and is given none


@dataclass(frozen=True, slots=True)
class Assignment:
    """A session in the record of the runner that holds it: a copy, so that a sync reads one item."""

    tenant: str
    epoch: int
    wanted: Wanted = Wanted.RUN
    sequence: int = 0
    awake_until: int = 0
    pair_with: str | None = None
    pair_ordered_at: int | None = None
    number: str | None = None
    caught_up_to: int | None = None
    last_epoch: int | None = None
    try_again_at: int = 0
    claimed_at: int = 0
    #: when its page last answered a probe, as this runner reported
    probed_at: int = 0
    #: when its profile was last found to be saved; None if its runner does not report it
    saved_at: int | None = None
    #: why its profile is not saved: a ``SaveProblem``, or one of a later release; empty while saving works
    save_problem: str = ""


@dataclass(frozen=True, slots=True)
class Draining:
    """The state of a runner's drain: it leaves the fleet for good, a few sessions at a time."""

    since: int
    #: sessions that were online when their release was requested: the next ones wait until these are online again
    moving: tuple[str, ...] = ()
    #: when the release of sessions was last requested
    asked_at: int = 0
    #: since when it holds no session and is not protected any more
    free_since: int | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """A process that hosts sessions, and its lease."""

    id: str
    state: RunnerState
    token_sha256: str
    lease_until: int
    capacity: int
    registered_at: int
    #: since when its lease has not run out
    lease_held_since: int = 0
    assigned: tuple[Assignment, ...] = ()
    task: str = ""
    image: str = ""
    commit: str = ""
    chromium: str = ""
    wa_js: str = ""
    #: the same for all runners that share a disk; empty if it is not known
    disk: str = ""
    #: its disk has no room: its sessions should move to another disk
    disk_full: bool = False
    #: another runner that synced after this one's lease ran out, and when it first did
    witness: tuple[str, int] | None = None
    #: until when ECS may not stop its task; 0 if it may
    protected_until: int = 0
    #: set if the autoscaler chose it to leave the fleet
    draining: Draining | None = None
    #: its process should end
    end_requested: bool = False

    @property
    def free(self) -> int:
        """The number of sessions that it may still be given."""
        return max(0, self.capacity - len(self.assigned)) if self.state is RunnerState.ALIVE else 0

    @property
    def release(self) -> str:
        """The release that it was started from: its image with its settings if it reports one, otherwise its commit."""
        return self.image or self.commit


def may_reap(runner: Runner, now: int, witness: str | None = None) -> bool:
    """True once the sessions of a silent runner may be given to other runners.

    An outage of the control plane silences all runners at once. So another runner, the witness, must have synced for a
    while after the lease ran out, or three leases must have passed.

    Args:
        witness: the runner that syncs now, if one does.
    """
    if runner.state is RunnerState.DEAD or now < runner.lease_until:
        return False
    if now >= runner.lease_until + (REAP_AFTER_LEASES - 1) * milliseconds(LEASE):
        return True
    return (
        witness is not None
        and runner.witness is not None
        and runner.witness[1] >= runner.lease_until
        and now - runner.witness[1] >= milliseconds(REAP_WITNESS_SPAN)
    )


def former_holders(before: Mapping[str, int] | None, runner: str, now: int) -> dict[str, int]:
    """Returns when each runner gave a session up that held it lately, once this runner gives it up, too."""
    others = sorted(((at, each) for each, at in (before or {}).items() if each != runner), reverse=True)
    recent = [(at, each) for at, each in others if now - at < milliseconds(DEAD_TOKEN_GRACE)]
    return {runner: now, **{each: at for at, each in recent[: MAX_FORMER_HOLDERS - 1]}}


def is_wedged(runner: Runner, assignment: Assignment, now: int) -> bool:
    """Liveness check of a session: True if its page answers no probe although its runner holds its lease.

    Neither the runner's own recovery nor its lease notices this. After a silence the runner needs time to probe its
    pages again: its first reports are old.
    """
    last_sign = max(assignment.claimed_at, assignment.probed_at, runner.lease_held_since)
    return now < runner.lease_until and now - last_sign > milliseconds(PROBE_STALE_AFTER)
