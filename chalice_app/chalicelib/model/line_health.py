"""Where every line stands at one moment: what the console shows and what becomes metrics. Pure; takes `now`."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from chalicelib.model.conversation import Turn, TurnState
from chalicelib.model.runner import Runner, RunnerState
from chalicelib.model.session import Session, downtime, should_run
from chalicelib.model.tenant import Problem, Tenant
from wire import Phase

#: A session that should run and is down for longer than this is not running, and the operators hear of it.
NOT_RUNNING_AFTER = timedelta(minutes=5)
#: An owner who opens the page sees a code, or what else to do, within this.
CODE_SHOWN_WITHIN = timedelta(seconds=45)
#: A contact who waits for longer than this waits too long.
ANSWERED_WITHIN = timedelta(minutes=2)


class LineHealth(IntEnum):
    """How much a line needs a person's eyes; the worst comes first."""

    NOT_RUNNING = 0  #: should run, and is down for too long
    NEEDS_ACTION = 1  #: has a problem that only a person can mend
    SLOW = 2  #: somebody waits too long for an answer
    PENDING = 3  #: should run, and is being started, or waits for its owner's scan
    HEALTHY = 4  #: online
    IDLE = 5  #: paused, or not linked and nobody looks

    @property
    def needs_attention(self) -> bool:
        return self <= LineHealth.SLOW


@dataclass(frozen=True, slots=True)
class Line:
    """One tenant's line."""

    tenant: Tenant
    session: Session
    should_run: bool
    #: None if it is up, or need not be
    downtime: timedelta | None
    #: messages without an answer, and since when the first of them waits
    unanswered: int
    oldest_unanswered_at: int | None
    #: the same of those for whom nobody has to mend anything first
    overdue_for: timedelta

    @property
    def paused(self) -> bool:
        return self.tenant.paused

    @property
    def online(self) -> bool:
        return self.should_run and self.session.phase is Phase.ONLINE

    @property
    def problem(self) -> Problem | None:
        return first_problem(self.tenant, self.session)

    @property
    def not_running(self) -> bool:
        return self.downtime is not None and self.downtime > NOT_RUNNING_AFTER

    @property
    def code_late(self) -> bool:
        """Its owner looks at the page and sees no code yet."""
        late = self.downtime is not None and self.downtime > CODE_SHOWN_WITHIN
        return late and not self.session.linked and self.session.problem is None

    @property
    def health(self) -> LineHealth:
        if self.not_running:
            return LineHealth.NOT_RUNNING
        if self.problem is not None or (self.session.phase is Phase.LOGGED_OUT and not self.paused):
            return LineHealth.NEEDS_ACTION
        if self.overdue_for > ANSWERED_WITHIN:
            return LineHealth.SLOW
        if self.online:
            return LineHealth.HEALTHY
        return LineHealth.PENDING if self.should_run else LineHealth.IDLE


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All of them, the worst first, and the runners."""

    lines: tuple[Line, ...]
    #: should run, and no runner has room for them
    without_room: int
    #: those that are heard, and those that should be
    runners: int
    runners_not_heard: int

    @property
    def should_run(self) -> int:
        return sum(line.should_run for line in self.lines)

    @property
    def online(self) -> int:
        return sum(line.online for line in self.lines)

    @property
    def not_running(self) -> int:
        return sum(line.not_running for line in self.lines)

    @property
    def codes_late(self) -> int:
        return sum(line.code_late for line in self.lines)

    @property
    def oldest_unanswered(self) -> timedelta:
        """How long the longest wait is, of those for whom nobody has to mend anything first."""
        return max((line.overdue_for for line in self.lines), default=timedelta())


def first_problem(tenant: Tenant, session: Session) -> Problem | None:
    """What a person must mend first."""
    return session.problem or tenant.assistant_problem or tenant.mail_problem


def health_report(
    listed: Iterable[tuple[Tenant, Session]], open_turns: Iterable[Turn], runners: Iterable[Runner], now: int
) -> HealthReport:
    """What the directory, the open turns and the runners come to."""
    turns: defaultdict[str, list[Turn]] = defaultdict(list)
    for turn in open_turns:
        turns[turn.tenant].append(turn)
    lines = [_line(tenant, session, turns[tenant.id], now) for tenant, session in listed]
    lines.sort(key=lambda line: (line.health, line.tenant.name.casefold(), line.tenant.id))
    alive = [runner for runner in runners if runner.state is not RunnerState.DEAD]
    heard = sum(now < runner.lease_until for runner in alive)
    return HealthReport(
        lines=tuple(lines),
        without_room=sum(_waits_for_room(line, now) for line in lines),
        runners=heard,
        runners_not_heard=len(alive) - heard,
    )


def _line(tenant: Tenant, session: Session, turns: list[Turn], now: int) -> Line:
    run = should_run(tenant.state, session, now)
    overdue = (turn.oldest_sent_at for turn in turns if turn.state is not TurnState.WAITING)
    return Line(
        tenant=tenant,
        session=session,
        should_run=run,
        downtime=downtime(session, now) if run else None,
        unanswered=sum(len(turn.messages) for turn in turns),
        oldest_unanswered_at=min((turn.oldest_sent_at for turn in turns), default=None),
        overdue_for=timedelta(milliseconds=max(0, now - min(overdue, default=now))),
    )


def _waits_for_room(line: Line, now: int) -> bool:
    session = line.session
    listed = session.unplaced_since is not None and session.unplaced_since <= now
    return line.should_run and session.runner is None and listed
