"""The candidates for a placement: a bounded read of the runners with most room, however many runners there are."""

from typing import Final

from chalicelib.model import Runner, RunnerState, Session
from chalicelib.store.runners import Runners

#: Runners that are listed with room and are silent are taken from the list, and it is read again, so many times.
ATTEMPTS: Final = 4


class Candidates:
    """Runners that may be given a session.

    Args:
        runners: the lists of runners.
    """

    def __init__(self, runners: Runners) -> None:
        self._runners = runners

    def find(self, session: Session | None, now: int) -> list[Runner]:
        """Returns runners that may be given a session, a moment old: those with most room, however many there are.

        Runners of other releases are read only if ours have no room, or if ours may be why the session failed.

        Args:
            session: None for any session.
        """
        found = self._with_room(now, is_current=True)
        failed = session is not None and session.failures > 0
        if failed or session is None or not found:
            found += self._with_room(now, is_current=False)
        if session is not None and failed and session.last_runner not in {None, *(each.id for each in found)}:
            gave_up = self._runners.get(str(session.last_runner))
            found += [gave_up] if gave_up is not None and gave_up.state is not RunnerState.DEAD else []
        return found

    def remembered(self) -> "Candidates":
        """Returns candidates that are read once, for sessions that are placed at one moment."""
        return _Remembered(self._runners)

    def _with_room(self, now: int, *, is_current: bool) -> list[Runner]:
        """Reads again if all that were read are silent: they must not hide the others."""
        for _ in range(ATTEMPTS):
            found = self._runners.with_room(is_current=is_current)
            silent = [runner for runner in found if runner.lease_until <= now]
            for runner in silent:
                self._runners.forget_room(runner)
            if len(silent) < len(found) or not found:
                break
        return [runner for runner in found if runner not in silent]

    def rivals(self, session: Session, runner: Runner, now: int) -> list[Runner]:
        """Returns the candidates beside this one."""
        return [each for each in self.find(session, now) if each.id != runner.id]


class _Remembered(Candidates):
    """Candidates that are read once, those of this release and the others."""

    def __init__(self, runners: Runners) -> None:
        super().__init__(runners)
        self._read: dict[bool, list[Runner]] = {}

    def _with_room(self, now: int, *, is_current: bool) -> list[Runner]:
        if is_current not in self._read:
            self._read[is_current] = super()._with_room(now, is_current=is_current)
        return [*self._read[is_current]]
