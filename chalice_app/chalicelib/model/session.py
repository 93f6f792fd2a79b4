"""The session of a tenant: its WhatsApp Web login as its runner reports it, and the rules for it. Pure; takes `now`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.session_news import open_after_report
from chalicelib.model.snapshot import SnapshotVersion
from chalicelib.model.tenant import Problem, TenantState
from chalicelib.model.times import milliseconds
from wire import Phase, ProblemCode, SessionReport

#: An open page of the owner keeps an unlinked session awake for this long.
AWAKE_FOR = timedelta(minutes=15)
#: The runner asks WhatsApp for the pairing codes of one order within this time, also after a failover.
PAIRING_ORDER_FOR = timedelta(minutes=15)
#: After the same number is linked again, messages of so long before are read: nobody answered them.
MISSED_FOR = timedelta(days=7)
#: A runner reports a linking at most this long after the scan.
LINKING_REPORTED_WITHIN = timedelta(seconds=5)
#: The phases in which the owner's page shows the next step of the linking.
SHOWN_TO_OWNERS = frozenset({Phase.QR, Phase.PAIRING, Phase.PASSKEY_REQUIRED, Phase.SYNCING})
#: Backoff: a session that a runner gave up is placed again after this, doubled each time that it never came up, …
RETRY_BACKOFF = timedelta(seconds=10)
#: … up to this. A jitter of a quarter keeps sessions that failed together from being retried together.
MAX_RETRY_BACKOFF = timedelta(minutes=10)

#: The end of the year 9999: a page may name a later end of a restriction.
LAST_INSTANT_MS = 253_402_300_799_000


@dataclass(frozen=True, slots=True)
class ExpiringCode:
    """A QR string or a pairing code, and the instant at which it expires. Never logged."""

    code: str = field(repr=False)
    expires_at: int

    def is_alive(self, now: int) -> bool:
        """True if the code can still be used."""
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class Session:
    """A tenant's WhatsApp Web login as it was last reported, and the runner that holds it."""

    tenant: str
    phase: Phase = Phase.IDLE
    #: the instant at which the phase began
    since: int = 0
    #: the fencing token: grows whenever a runner claims or releases the session
    epoch: int = 1
    runner: str | None = None
    #: order of the runner's reports; an older report is ignored
    sequence: int = 0
    #: when the report came that ``apply_report`` applied; not stored
    reported_at: int = 0
    problem: Problem | None = None
    #: the news about it that is open; a notice of each is stored with it
    open_news: frozenset[NoticeKind] = frozenset()
    #: news that a former release has not mailed to the owner: ``reconcile`` makes notices of it
    former_notice: NoticeKind | None = None
    detail: str = ""
    qr: ExpiringCode | None = None
    pairing: ExpiringCode | None = None
    number: str | None = None
    linked_at: int | None = None
    #: the number that is linked or was linked last, and since when no other was: the same one linked again goes on
    last_number: str | None = None
    account_since: int | None = None
    #: when the last login of the number before that one ended: what came until then is another account's
    former_until: int | None = None
    #: when the last login ended; snapshots that were taken before are useless
    logged_out_at: int | None = None
    #: WhatsApp time from which messages may have come while no account was linked, until another number is linked
    missed_since: int | None = None
    #: WhatsApp time from which a person wants those messages to be answered all the same
    answers_missed_since: int | None = None
    #: since when the phone asks for a passkey: until an account is linked, whatever the page shows meanwhile
    passkey_since: int | None = None
    #: WhatsApp time up to which no message waits to be handed in
    caught_up_to: int | None = None
    #: until when the session runs although it is not linked
    awake_until: int = 0
    #: until when the owner is taken to look at the page, and reads there what a mail would say
    owner_until: int = 0
    #: when a person last asked the runner to try again: to take the login back, or to ask for a new code
    try_again_at: int = 0
    #: digits of the phone that asked for a pairing code
    pair_with: str | None = None
    #: when it was asked for; None: by a former release
    pair_ordered_at: int | None = None
    #: why the runner shows none: a ``PairingProblem``, or one of a later release
    pairing_problem: str = ""
    #: the runner that held it last, and the epoch of that hold (a runner may reuse its local profile)
    last_runner: str | None = None
    last_epoch: int | None = None
    #: when each runner gave it up that held it lately; None: no release that records this has freed it yet
    former_holders: Mapping[str, int] | None = None
    #: it was online, or showed a code, since it was claimed
    came_up: bool = False
    #: how often in a row runners gave it up without that, and the instant before which it is not placed again
    failures: int = 0
    next_try_at: int = 0
    #: since when it is not ``up`` while a runner holds it or gave it up, and since when it waits for a runner
    down_since: int | None = None
    unplaced_since: int | None = None
    last_message_at: int | None = None
    last_reply_at: int | None = None
    #: archived browser profiles, newest first
    snapshots: tuple[SnapshotVersion, ...] = ()

    @property
    def linked(self) -> bool:
        """True if a WhatsApp account is linked."""
        return self.number is not None

    @property
    def disconnected(self) -> bool:
        """True from the end of a login until an account is linked again, whatever code is shown meanwhile."""
        return not self.linked and (self.logged_out_at is not None or self.phase is Phase.LOGGED_OUT)

    @property
    def waits_for_passkey(self) -> bool:
        """True from the phone's demand for a passkey until an account is linked."""
        asks = self.phase is Phase.PASSKEY_REQUIRED or self.passkey_since is not None
        return not self.linked and (asks or (self.problem is not None and self.problem.code is ProblemCode.PASSKEY))

    @property
    def up(self) -> bool:
        """True if it serves its purpose: it answers, or shows the owner the next step of the linking."""
        return self.phase is Phase.ONLINE or (not self.linked and self.phase in SHOWN_TO_OWNERS)

    @property
    def answers_since(self) -> int | None:
        """WhatsApp time before which each message is history; None before the first linking.

        Not ``caught_up_to``: a message may arrive long after WhatsApp's time of it, and is answered all the same.
        """
        return None if self.linked_at is None else self._not_of_former(_scan_time(self.linked_at))

    @property
    def replies_since(self) -> int | None:
        """WhatsApp time from which messages may be replied to: those that came while disconnected once a person asked.

        None while no account is linked.
        """
        since, missed = self.answers_since, self.answers_missed_since
        return since if since is None or missed is None else min(since, max(missed, self.history_since))

    def missed(self, sent_at: int) -> bool:
        """True for WhatsApp's time of a message that came to the account that is linked now while it was not."""
        since, missed = self.answers_since, self.missed_since
        return since is not None and missed is not None and missed <= sent_at < since

    @property
    def history_since(self) -> int:
        """WhatsApp time before which each line belongs to another account: the model never reads it."""
        since = self.account_since or self.linked_at
        return 0 if since is None else self._not_of_former(_scan_time(since))

    def _not_of_former(self, scan_time: int) -> int:
        """Returns the scan's earliest time, but not one at which the account of before was still linked."""
        return max(scan_time, self.former_until or 0)

    def is_awake(self, now: int) -> bool:
        """True while an open page, the owner's or an operator's, keeps it awake."""
        return now < self.awake_until

    def is_owner_looking(self, now: int) -> bool:
        """True while the owner's own browser has the page open; an operator's does not count."""
        return now < self.owner_until


def restorable_snapshots(session: Session) -> tuple[SnapshotVersion, ...]:
    """Returns the snapshots of the login that is linked now: those of an earlier login would only show a code."""
    if not session.linked:
        return ()
    return tuple(each for each in session.snapshots if each.taken_at > (session.logged_out_at or 0))


def is_order_open(pair_ordered_at: int | None, now: int) -> bool:
    """True while WhatsApp may be asked for a code of an order that was made then; None: by a former release."""
    return pair_ordered_at is None or now - pair_ordered_at < milliseconds(PAIRING_ORDER_FOR)


def should_run(state: TenantState, session: Session, now: int) -> bool:
    """True for a session of an active tenant that is linked or kept awake; availability is measured over these."""
    return state is TenantState.ACTIVE and (session.linked or session.is_awake(now))


def downtime(session: Session, now: int) -> timedelta | None:
    """Returns for how long a session that should run has not been ``up``; None if it is.

    A restart does not reset it: a session that is moved from runner to runner is down all the while.
    """
    if session.up:
        return None
    known = (now, session.down_since or now, session.unplaced_since or now)
    return timedelta(milliseconds=now - min(known))


def apply_report(session: Session, report: SessionReport, now: int) -> Session:
    """Returns the session after a report; the codes' remaining times become instants of the control plane's clock."""
    number = session.number if report.number is None else report.number
    linked_at, logged_out_at, caught_up_to = session.linked_at, session.logged_out_at, session.caught_up_to
    last_number = session.number or session.last_number
    account_since, former_until = session.account_since or session.linked_at, session.former_until
    missed_since, answers_missed_since = session.missed_since, session.answers_missed_since
    if report.phase is Phase.LOGGED_OUT:
        missed_since, answers_missed_since = _missed_since(session, now), None
        number, linked_at, logged_out_at = None, None, now
    if number is not None and session.number is None:
        # History is never answered; the scan was a few seconds ago.
        linked_at, caught_up_to = now, _scan_time(now)
        if number == last_number:
            # What came meanwhile is read, so that people see who got no answer.
            missed_since = max(_missed_since(session, now) or caught_up_to, now - milliseconds(MISSED_FOR))
            caught_up_to = min(caught_up_to, missed_since)
        else:
            account_since, former_until, missed_since = now, logged_out_at, None
    elif report.caught_up_to_ms is not None and number is not None:
        caught_up_to = max(caught_up_to or 0, min(report.caught_up_to_ms, now))
    problem = problem_of(report, now)
    if problem is not None and session.problem is not None and session.problem.code is problem.code:
        problem = replace(problem, since=session.problem.since)
    up = report.phase is Phase.ONLINE or report.qr is not None or report.pairing is not None
    after = replace(
        session,
        came_up=session.came_up or up,
        failures=0 if up else session.failures,
        next_try_at=0 if up else session.next_try_at,
        phase=report.phase,
        since=session.since if report.phase is session.phase else now,
        sequence=report.sequence,
        reported_at=now,
        problem=problem,
        open_news=open_after_report(
            session.open_news,
            phase=report.phase,
            problem=problem.code if problem is not None else None,
            was_linked=session.linked,
        ),
        detail=report.detail,
        qr=ExpiringCode(report.qr.code, now + report.qr.expires_in_ms) if report.qr else None,
        pairing=ExpiringCode(report.pairing.code, now + report.pairing.expires_in_ms) if report.pairing else None,
        pairing_problem=report.pairing_problem,
        number=number,
        linked_at=linked_at,
        last_number=number or last_number,
        account_since=account_since,
        former_until=former_until,
        logged_out_at=logged_out_at,
        missed_since=missed_since,
        answers_missed_since=answers_missed_since,
        passkey_since=_passkey_since(session, report, number, now),
        caught_up_to=caught_up_to,
        pair_with=None if number is not None else session.pair_with,
    )
    return replace(after, down_since=None if after.up else session.down_since or now)


def _missed_since(session: Session, now: int) -> int | None:
    """Returns from when on messages may be missing: each one before was handed in while the account was linked."""
    if session.linked:
        return min(now, session.caught_up_to or now)
    if session.missed_since is not None or session.logged_out_at is None:
        return session.missed_since
    return min(session.logged_out_at, session.caught_up_to or session.logged_out_at)  # ended under an earlier release


def _passkey_since(session: Session, report: SessionReport, number: str | None, now: int) -> int | None:
    if number is not None:
        return None
    asked = report.phase is Phase.PASSKEY_REQUIRED or report.problem is ProblemCode.PASSKEY
    return session.passkey_since or (now if asked else None)


def problem_of(report: SessionReport, now: int) -> Problem | None:
    """Returns the problem of a report: the one that keeps the line from running, or else a restriction."""
    if report.problem is not None:
        return Problem(report.problem, now, report.detail)
    if report.restriction is None:
        return None
    if report.restriction.until_ms is not None:
        until = datetime.fromtimestamp(min(report.restriction.until_ms, LAST_INSTANT_MS) / 1000, UTC)
        detail = f"until {until:%Y-%m-%d %H:%M} UTC"
    else:
        detail = "until when is not known" if report.restriction.kind else "WhatsApp refuses replies in several chats"
    return Problem(ProblemCode.RESTRICTED, now, f"{detail} ({report.restriction.kind})".removesuffix(" ()"))


def apply_failure(session: Session, now: int) -> Session:
    """Returns the session after a runner gave it up, with the backoff until the next runner tries.

    A profile that crashes each browser must not keep all runners busy. A session that came up has no backoff.
    """
    if session.came_up:
        return session
    failures = session.failures + 1
    delay = min(milliseconds(MAX_RETRY_BACKOFF), milliseconds(RETRY_BACKOFF) * 2 ** min(failures - 1, 20))
    jitter = hashlib.sha256(f"{session.tenant}|{session.epoch}".encode()).digest()[0] / 256
    return replace(session, failures=failures, next_try_at=now + round(delay * (0.75 + jitter / 2)))


def _scan_time(linked_at: int) -> int:
    """Returns the earliest time of the scan; WhatsApp's clock has whole seconds."""
    return linked_at // 1000 * 1000 - milliseconds(LINKING_REPORTED_WITHIN)
