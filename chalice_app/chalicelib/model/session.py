"""What runners see: sessions, runners, leases. Pure; every rule takes `now`."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

from chalicelib.model.snapshot import SnapshotVersion
from chalicelib.model.stored_enum import StoredEnum
from chalicelib.model.tenant import Problem, TenantState
from chalicelib.model.times import milliseconds
from wire import Phase, SessionReport, Wanted

#: How long a runner may host its sessions without being heard.
LEASE = timedelta(seconds=60)
#: The lease is written at most this often, however often the runner calls.
LEASE_RENEWED_EVERY = timedelta(seconds=10)
#: A runner is reaped when another one synced at least twice, this far apart, after the lease ran out …
REAP_WITNESS_SPAN = timedelta(seconds=15)
#: … or when it was silent for this many leases, whoever else is there.
REAP_AFTER_LEASES = 3
#: A runner that is heard, but whose page answered no probe for this long, has lost hold of that session.
PROBE_STALE_AFTER = timedelta(minutes=3)
#: A runner declared dead may still hand in messages and mark turns sent for this long.
DEAD_TOKEN_GRACE = timedelta(hours=24)
#: An unlinked session runs while somebody looked at its page this recently.
AWAKE_FOR = timedelta(minutes=15)
#: A linking is reported at most this long after the scan.
LINKING_REPORTED_WITHIN = timedelta(seconds=5)
#: What an owner who is about to link sees on the page, one after the other.
SHOWN_TO_OWNERS = frozenset({Phase.QR, Phase.PAIRING, Phase.PASSKEY_REQUIRED, Phase.SYNCING})
#: A session that a runner gave up is given to a runner again after this, doubled each time it never came up, …
RETRY_BACKOFF = timedelta(seconds=10)
#: … and a quarter more or less, so that what failed together does not come back together.
MAX_RETRY_BACKOFF = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ExpiringCode:
    """A QR string or pairing code and when it dies. Never logged."""

    code: str = field(repr=False)
    expires_at: int

    def is_alive(self, now: int) -> bool:
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class Session:
    """A tenant's WhatsApp Web login as it was last seen, and who holds it."""

    tenant: str
    phase: Phase = Phase.IDLE
    since: int = 0
    epoch: int = 1
    runner: str | None = None
    #: order of the runner's reports; an older one is ignored
    sequence: int = 0
    problem: Problem | None = None
    #: what the owner is still to be told of by mail: ``Phase.LOGGED_OUT``, or the problem's code
    unsent_notice: str | None = None
    detail: str = ""
    qr: ExpiringCode | None = None
    pairing: ExpiringCode | None = None
    number: str | None = None
    linked_at: int | None = None
    #: when the last login ended; what was archived before is of no use
    logged_out_at: int | None = None
    #: WhatsApp time up to which nothing waits for an answer
    caught_up_to: int | None = None
    awake_until: int = 0
    #: digits of the phone that asked for a pairing code
    pair_with: str | None = None
    #: who held it last, and at which epoch (a runner may reuse its local profile)
    last_runner: str | None = None
    last_epoch: int | None = None
    #: it was online, or showed a code, since it was claimed
    came_up: bool = False
    #: how often in a row runners gave it up without that, and until when nobody tries again
    failures: int = 0
    next_try_at: int = 0
    #: since when it is not ``up`` while somebody holds it or gave it up, and since when it waits for a runner
    down_since: int | None = None
    unplaced_since: int | None = None
    last_message_at: int | None = None
    last_reply_at: int | None = None
    #: archived browser profiles, newest first
    snapshots: tuple[SnapshotVersion, ...] = ()

    @property
    def linked(self) -> bool:
        return self.number is not None

    @property
    def up(self) -> bool:
        """It does what it runs for: answers, or shows the owner what to scan or to mend."""
        return self.phase is Phase.ONLINE or (not self.linked and self.phase in SHOWN_TO_OWNERS)

    @property
    def answers_since(self) -> int | None:
        """WhatsApp time before which everything is history; None before the first linking.

        Not ``caught_up_to``: a message may arrive long after WhatsApp's time of it, and is answered all the same.
        """
        return None if self.linked_at is None else _a_moment_before(self.linked_at)

    def is_awake(self, now: int) -> bool:
        return now < self.awake_until


def restorable_snapshots(session: Session) -> tuple[SnapshotVersion, ...]:
    """The snapshots of the login that is linked now: an earlier login's would only show a code."""
    if not session.linked:
        return ()
    return tuple(each for each in session.snapshots if each.taken_at > (session.logged_out_at or 0))


def should_run(state: TenantState, session: Session, now: int) -> bool:
    """Every promise speaks of this: active, and linked or watched."""
    return state is TenantState.ACTIVE and (session.linked or session.is_awake(now))


def downtime(session: Session, now: int) -> timedelta | None:
    """For how long a session that should run has not been ``up``; None if it is.

    Restarts do not make it young again: a session that is given from runner to runner is down all the while.
    """
    if session.up:
        return None
    known = (now, session.down_since or now, session.unplaced_since or now)
    return timedelta(milliseconds=now - min(known))


def apply_report(session: Session, report: SessionReport, now: int) -> Session:
    """The session as this report shows it. Pure; the codes' remaining times become instants of our clock."""
    number = session.number if report.number is None else report.number
    linked_at, logged_out_at, caught_up_to = session.linked_at, session.logged_out_at, session.caught_up_to
    if report.phase is Phase.LOGGED_OUT:
        number, linked_at, logged_out_at = None, None, now
    if number is not None and session.number is None:
        # History is never answered; the scan itself was a moment ago, and WhatsApp's clock has whole seconds.
        linked_at, caught_up_to = now, _a_moment_before(now)
    elif report.caught_up_to_ms is not None and number is not None:
        caught_up_to = max(caught_up_to or 0, min(report.caught_up_to_ms, now))
    problem = None
    if report.problem is not None:
        same = session.problem is not None and session.problem.code is report.problem
        since = session.problem.since if same and session.problem is not None else now
        problem = Problem(report.problem, since, report.detail)
    up = report.phase is Phase.ONLINE or report.qr is not None or report.pairing is not None
    after = replace(
        session,
        came_up=session.came_up or up,
        failures=0 if up else session.failures,
        next_try_at=0 if up else session.next_try_at,
        phase=report.phase,
        since=session.since if report.phase is session.phase else now,
        sequence=report.sequence,
        problem=problem,
        unsent_notice=_unsent_notice(session, report, number),
        detail=report.detail,
        qr=ExpiringCode(report.qr.code, now + report.qr.expires_in_ms) if report.qr else None,
        pairing=ExpiringCode(report.pairing.code, now + report.pairing.expires_in_ms) if report.pairing else None,
        number=number,
        linked_at=linked_at,
        logged_out_at=logged_out_at,
        caught_up_to=caught_up_to,
        pair_with=None if number is not None else session.pair_with,
    )
    return replace(after, down_since=None if after.up else session.down_since or now)


def _unsent_notice(session: Session, report: SessionReport, number: str | None) -> str | None:
    """News until it was told; none any more once the owner has linked again, or the problem is over."""
    if report.phase is Phase.LOGGED_OUT and session.phase is not Phase.LOGGED_OUT:
        return Phase.LOGGED_OUT
    if session.unsent_notice == Phase.LOGGED_OUT and number is None:
        return Phase.LOGGED_OUT
    if report.problem is None or (session.problem is not None and session.problem.code is report.problem):
        return session.unsent_notice if session.unsent_notice == report.problem else None
    return report.problem


def apply_failure(session: Session, now: int) -> Session:
    """The session after a runner gave it up: a profile that brings down every browser must not keep them all busy."""
    if session.came_up:
        return session
    fails = session.failures + 1
    delay = min(milliseconds(MAX_RETRY_BACKOFF), milliseconds(RETRY_BACKOFF) * 2 ** min(fails - 1, 20))
    chance = hashlib.sha256(f"{session.tenant}|{session.epoch}".encode()).digest()[0] / 256
    return replace(session, failures=fails, next_try_at=now + round(delay * (0.75 + chance / 2)))


def _a_moment_before(linked_at: int) -> int:
    return linked_at // 1000 * 1000 - milliseconds(LINKING_REPORTED_WITHIN)


class RunnerState(StoredEnum):
    """A runner's life only goes forward."""

    ALIVE = "alive"
    DRAINING = "draining"  #: releases what it holds, takes nothing new
    DEAD = "dead"  #: final; the same process comes back under a new id
    UNKNOWN = "unknown"  #: written by a later release: keeps what it holds while its lease lasts, is given nothing


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a runner's own record says of a session it holds, so that a sync reads one item."""

    tenant: str
    epoch: int
    wanted: Wanted = Wanted.RUN
    sequence: int = 0
    awake_until: int = 0
    pair_with: str | None = None
    number: str | None = None
    caught_up_to: int | None = None
    last_epoch: int | None = None
    claimed_at: int = 0
    #: when its page last answered a probe, as far as this runner told
    probed_at: int = 0


@dataclass(frozen=True, slots=True)
class Draining:
    """A runner that leaves the fleet: for good, and little by little."""

    since: int
    #: sessions that were online when they were asked to leave it: the next ones wait until these are online again
    moving: tuple[str, ...] = ()
    #: when sessions were last asked to leave it
    asked_at: int = 0
    #: since when it holds nothing and is not protected any more
    free_since: int | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """A process that hosts sessions."""

    id: str
    state: RunnerState
    token_sha256: str
    lease_until: int
    capacity: int
    registered_at: int
    #: since when its lease has never run out
    lease_held_since: int = 0
    assigned: tuple[Assignment, ...] = ()
    task: str = ""
    image: str = ""
    commit: str = ""
    chromium: str = ""
    wa_js: str = ""
    #: who synced after this runner's lease ran out: (runner, first time it did)
    witness: tuple[str, int] | None = None
    #: until when ECS may not end its task; 0: it may
    protected_until: int = 0
    #: we chose it to leave the fleet
    draining: Draining | None = None
    #: its process is told to end
    end_requested: bool = False

    @property
    def free(self) -> int:
        return max(0, self.capacity - len(self.assigned)) if self.state is RunnerState.ALIVE else 0

    @property
    def release(self) -> str:
        """What it was started from: its image with its settings, where there is one, or else its commit."""
        return self.image or self.commit


def may_reap(runner: Runner, now: int, witness: str | None = None) -> bool:
    """True once the silent runner's sessions may be given to others.

    An outage of the control plane silences every runner at once; so somebody else must have been heard for a while
    after the lease ran out, or three leases must have passed.
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


def is_wedged(runner: Runner, assignment: Assignment, now: int) -> bool:
    """True if the runner lives but this session in it does not: neither its own ladder nor its lease will tell.

    After a silence the runner needs time to look at its pages again; what it says at first is old.
    """
    last_sign = max(assignment.claimed_at, assignment.probed_at, runner.lease_held_since)
    return now < runner.lease_until and now - last_sign > milliseconds(PROBE_STALE_AFTER)
