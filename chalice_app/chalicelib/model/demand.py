"""The demand on the fleet of runners: the sessions that should run, and what a plan needs to know of them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.model.runner import Runner, RunnerState
from chalicelib.model.session import Session, downtime
from chalicelib.model.times import milliseconds
from wire import Phase

#: A runner of another release is outdated, and not the first of the next release, once it is registered this long …
OLD_AFTER = timedelta(minutes=10)
#: … and a runner of the current release is given sessions of outdated ones after this.
STABLE_AFTER = timedelta(minutes=2)
#: A session that was online, moved, and does not come online holds the drain for this long; then it is left behind.
MOVE_TIMEOUT = timedelta(minutes=5)
#: The values of a release that is not known.
UNKNOWN_RELEASES = frozenset({"", "unknown"})


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand on the fleet: the sessions that should run, and the state that the next plan continues."""

    #: the sessions that should run, by tenant
    sessions: Mapping[str, Session]
    capacity: int
    #: the smallest number of runners
    at_least: int
    #: the release that the stack runs now
    release: str
    #: since when fewer runners would be enough
    surplus_since: int | None = None
    #: sessions that moved, did not come online, and hold no drain any more, with the release that failed to start them
    left_behind: Mapping[str, str] = field(default_factory=dict)

    @property
    def runners(self) -> int:
        """The number of runners that the sessions need."""
        return max(self.at_least, -(-len(self.sessions) // max(1, self.capacity)))

    def is_other_release(self, runner: Runner) -> bool:
        """True if the runner is known to be of another release."""
        return not UNKNOWN_RELEASES & {self.release, runner.release} and runner.release != self.release

    def is_outdated(self, runner: Runner, now: int) -> bool:
        """True if the runner is of another release for long enough not to be the first of the next one."""
        return self.is_other_release(runner) and now - runner.registered_at >= milliseconds(OLD_AFTER)

    def is_online(self, tenant: str) -> bool:
        """True if the tenant's session answers."""
        session = self.sessions.get(tenant)
        return session is not None and session.linked and session.phase is Phase.ONLINE

    def is_down(self, tenant: str) -> bool:
        """True if the tenant's session is linked, should run, and does not answer."""
        session = self.sessions.get(tenant)
        return session is not None and session.linked and session.phase is not Phase.ONLINE

    def is_overdue(self, tenant: str, now: int) -> bool:
        """True if the tenant's session is down for longer than a move takes."""
        down = downtime(self.sessions[tenant], now) if self.is_down(tenant) else None
        return down is not None and down >= MOVE_TIMEOUT

    def targets(self, runner: Runner, others: Iterable[Runner], now: int) -> list[Runner]:
        """Returns the runners that may take a runner's sessions.

        Those of an outdated one move only to runners of the current release, so that no session moves twice.
        """
        alive = [each for each in others if each.state is RunnerState.ALIVE]
        if not self.is_other_release(runner):
            return alive
        stable_since = now - milliseconds(STABLE_AFTER)
        return [each for each in alive if each.release == self.release and each.registered_at <= stable_since]

    @property
    def without_runner(self) -> int:
        """The number of sessions that wait for room or for the end of their backoff."""
        return sum(each.runner is None for each in self.sessions.values())
