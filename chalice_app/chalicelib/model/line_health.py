"""The health check of all lines at one moment, for the console and the metrics. Pure; takes `now`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from chalicelib.model.conversation import Turn, TurnState
from chalicelib.model.runner import Runner, RunnerState
from chalicelib.model.saved_state import SavedState, saved_state
from chalicelib.model.session import Session, downtime, should_run
from chalicelib.model.tenant import Problem, Tenant
from chalicelib.model.turn_rules.outcomes import NO_TURNS, TurnOutcomes
from wire import Phase, ProblemCode

#: A session that should run and is down for longer than this is not running, and raises an alarm.
NOT_RUNNING_AFTER = timedelta(minutes=5)
#: Problems of a session that end by what its owner does at the phone; of the others we have to hear.
ENDED_AT_PHONE = frozenset({ProblemCode.PASSKEY, ProblemCode.CONFLICT, ProblemCode.BLOCKED})
#: With these, replies wait for the owner, or for the end of a restriction of WhatsApp's.
KEEPING_REPLIES = ENDED_AT_PHONE | {ProblemCode.RESTRICTED}
#: An owner who opens the page sees a code, or the next step, within this.
CODE_SHOWN_WITHIN = timedelta(seconds=45)
#: A contact who waits for longer than this waits too long.
ANSWERED_WITHIN = timedelta(minutes=2)


class LineHealth(IntEnum):
    """The health of a line; the worst comes first."""

    DISCONNECTED = 0  #: its login ended: it answers nobody until its owner links an account again
    NOT_RUNNING = 1  #: should run, and is down for too long
    NEEDS_ACTION = 2  #: has a problem that only a person can fix
    SLOW = 3  #: a contact waits too long for an answer
    PENDING = 4  #: should run, and is being started, or waits for its owner's scan
    HEALTHY = 5  #: online
    IDLE = 6  #: paused, or neither linked nor awake

    @property
    def needs_attention(self) -> bool:
        """True for the healths that the console lists first."""
        return self <= LineHealth.SLOW


@dataclass(frozen=True, slots=True)
class Line:
    """The line of a tenant: its session, and the contacts that wait."""

    tenant: Tenant
    session: Session
    should_run: bool
    #: None if it is up, or should not run
    downtime: timedelta | None
    #: the number of messages without an answer, and when the first of them was sent
    unanswered: int
    oldest_unanswered_at: int | None
    #: the longest wait of those messages that wait for no person to do something
    overdue_for: timedelta
    #: what is saved of its login; None if that is not known
    saved: SavedState | None = None

    @property
    def paused(self) -> bool:
        """True if its tenant should be silent."""
        return self.tenant.paused

    @property
    def disconnected(self) -> bool:
        """True if it should answer, and its login ended: also while its owner is shown a new code."""
        return self.session.disconnected and not self.paused

    @property
    def waits_for_passkey(self) -> bool:
        """True if the phone of its owner asked for a passkey, and no account was linked since."""
        return self.session.waits_for_passkey and not self.paused

    @property
    def since(self) -> int:
        """The instant since which it is as people see it: a disconnected line since its login ended."""
        lasting = self.session.logged_out_at if self.session.disconnected else self.session.passkey_since
        return (None if self.session.linked else lasting) or self.session.since

    @property
    def online(self) -> bool:
        """True if it should run, and answers."""
        return self.should_run and self.session.phase is Phase.ONLINE

    @property
    def problem(self) -> Problem | None:
        """The problem that a person should fix first."""
        return first_problem(self.tenant, self.session)

    @property
    def needs_action(self) -> bool:
        """True if it has a problem that a person must fix, and nobody paused it."""
        return self.problem is not None and not self.paused

    @property
    def waits_for_person(self) -> bool:
        """True if nobody here can make it answer: it is paused, its login ended, or its owner must act at the phone."""
        return self.paused or self.disconnected or _has_problem(self.session, ENDED_AT_PHONE)

    @property
    def not_running(self) -> bool:
        """True if it is down for too long, and waits for no person: an outage, for which an alarm rings."""
        return self.downtime is not None and self.downtime > NOT_RUNNING_AFTER and not self.waits_for_person

    @property
    def code_late(self) -> bool:
        """True if its owner's page is open and shows no code after CODE_SHOWN_WITHIN."""
        late = self.downtime is not None and self.downtime > CODE_SHOWN_WITHIN
        return late and not self.session.linked and not _has_problem(self.session, ENDED_AT_PHONE)

    @property
    def health(self) -> LineHealth:
        """The worst health that applies."""
        if self.disconnected:
            return LineHealth.DISCONNECTED
        if self.not_running:
            return LineHealth.NOT_RUNNING
        if self.problem is not None or self.waits_for_passkey:
            return LineHealth.NEEDS_ACTION
        if self.overdue_for > ANSWERED_WITHIN:
            return LineHealth.SLOW
        if self.online:
            return LineHealth.HEALTHY
        return LineHealth.PENDING if self.should_run else LineHealth.IDLE


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The health of all lines, the worst first, and of the runners."""

    lines: tuple[Line, ...]
    #: sessions that should run and that no runner has room for
    without_room: int
    #: runners whose lease holds, and runners whose lease ran out
    runners: int
    runners_silent: int
    #: runners whose lease holds and whose disk is full
    disks_full: int = 0
    #: of the turns that ended lately
    outcomes: TurnOutcomes = NO_TURNS

    @property
    def should_run(self) -> int:
        """The number of lines that should run."""
        return sum(line.should_run for line in self.lines)

    @property
    def online(self) -> int:
        """The number of lines that answer."""
        return sum(line.online for line in self.lines)

    @property
    def not_running(self) -> int:
        """The number of lines that are down for too long."""
        return sum(line.not_running for line in self.lines)

    @property
    def need_action(self) -> int:
        """The number of lines with a problem that a person must fix."""
        return sum(line.needs_action for line in self.lines)

    @property
    def logged_out(self) -> int:
        """The number of lines that were linked and are not any more."""
        return sum(line.disconnected for line in self.lines)

    @property
    def waiting_for_passkey(self) -> int:
        """The number of owners whose phone asked for a passkey."""
        return sum(line.waits_for_passkey for line in self.lines)

    @property
    def not_saved(self) -> int:
        """The number of lines whose login has not been saved for too long."""
        return sum(line.saved is not None and line.saved.is_behind for line in self.lines)

    @property
    def codes_late(self) -> int:
        """The number of owners who wait too long for a code."""
        return sum(line.code_late for line in self.lines)

    @property
    def oldest_unanswered(self) -> timedelta:
        """The longest wait for an answer that waits for no person to do something."""
        return max((line.overdue_for for line in self.lines), default=timedelta())


def first_problem(tenant: Tenant, session: Session) -> Problem | None:
    """Returns the problem that a person should fix first."""
    return session.problem or tenant.assistant_problem or tenant.mail_problem


def health_report(
    listed: Iterable[tuple[Tenant, Session]],
    open_turns: Iterable[Turn],
    runners: Iterable[Runner],
    now: int,
    outcomes: TurnOutcomes = NO_TURNS,
) -> HealthReport:
    """Checks the health of all lines.

    Args:
        listed: each tenant with its session.
        open_turns: the turns of all tenants that are not done.
        runners: the runners that are not known to be freed.
        outcomes: of the turns that ended lately.
    """
    turns: defaultdict[str, list[Turn]] = defaultdict(list)
    for turn in open_turns:
        turns[turn.tenant].append(turn)
    alive = [runner for runner in runners if runner.state is not RunnerState.DEAD]
    known = {runner.id: runner for runner in alive}
    lines = [
        line_of(tenant, session, turns[tenant.id], known.get(session.runner or ""), now) for tenant, session in listed
    ]
    lines.sort(key=lambda line: (line.health, line.tenant.name.casefold(), line.tenant.id))
    syncing = [runner for runner in alive if now < runner.lease_until]
    return HealthReport(
        lines=tuple(lines),
        without_room=sum(_waits_for_room(line, now) for line in lines),
        runners=len(syncing),
        runners_silent=len(alive) - len(syncing),
        disks_full=sum(runner.disk_full for runner in syncing),
        outcomes=outcomes,
    )


def line_of(tenant: Tenant, session: Session, turns: Sequence[Turn], runner: Runner | None, now: int) -> Line:
    """Returns one line.

    Args:
        turns: its turns that are not done.
        runner: the one that holds its session; None if it is not known.
    """
    run = should_run(tenant.state, session, now)
    overdue = (turn.oldest_sent_at for turn in turns if not _waits_for_person(tenant, session, turn))
    return Line(
        tenant=tenant,
        session=session,
        should_run=run,
        downtime=downtime(session, now) if run else None,
        unanswered=sum(len(turn.messages) for turn in turns),
        oldest_unanswered_at=min((turn.oldest_sent_at for turn in turns), default=None),
        overdue_for=timedelta(milliseconds=max(0, now - min(overdue, default=now))),
        saved=saved_state(session, runner, now),
    )


def _waits_for_person(tenant: Tenant, session: Session, turn: Turn) -> bool:
    """Returns whether this reply comes only after a person did something: at OpenAI, at the phone, or in the admin."""
    retried = turn.state is TurnState.THINKING and tenant.assistant_problem is not None
    line_waits = tenant.paused or not session.linked or _has_problem(session, KEEPING_REPLIES)
    return line_waits or retried or turn.state is TurnState.WAITING


def _has_problem(session: Session, codes: frozenset[ProblemCode]) -> bool:
    return session.problem is not None and session.problem.code in codes


def _waits_for_room(line: Line, now: int) -> bool:
    session = line.session
    listed = session.unplaced_since is not None and session.unplaced_since <= now
    return line.should_run and session.runner is None and listed
