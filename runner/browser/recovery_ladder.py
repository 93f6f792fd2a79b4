"""Recovers a page that does not answer: retries, then a reload, then a new browser; pure decisions with a backoff."""

from dataclasses import dataclass
from enum import StrEnum

FAILURES_BEFORE_RELOAD = 2
RELAUNCH_AFTER_SECONDS = 60.0
#: A browser that was started again more often than this …
MAX_RELAUNCHES = 3
#: … within this time cannot be helped on this runner.
RELAUNCH_WINDOW_SECONDS = 900.0


class Step(StrEnum):
    """A step of the ladder: the action that the session's supervisor takes."""

    #: Nothing yet.
    WAIT = "wait"
    #: Load the page again.
    RELOAD = "reload"
    #: Start a new browser.
    RELAUNCH = "relaunch"


@dataclass
class RecoveryLadder:
    """The failures of one page: after two in a row a reload; if they last a minute longer, a new browser."""

    failures: int = 0
    reloaded_at: float | None = None

    def succeeded(self) -> None:
        """Resets the ladder: the page answered well."""
        self.failures = 0
        self.reloaded_at = None

    def failed(self, now: float) -> Step:
        """Counts a call that was not answered, or a failed proof of being online; returns the step to take."""
        self.failures += 1
        if self.reloaded_at is not None:
            return Step.RELAUNCH if now - self.reloaded_at >= RELAUNCH_AFTER_SECONDS else Step.WAIT
        if self.failures < FAILURES_BEFORE_RELOAD:
            return Step.WAIT
        self.reloaded_at = now
        return Step.RELOAD

    def reload_again(self, now: float, interval_seconds: float) -> Step:
        """Returns another reload, at most one in each interval: for a page that a new browser would not help."""
        if self.reloaded_at is not None and now - self.reloaded_at < interval_seconds:
            return Step.WAIT
        self.reloaded_at = now
        return Step.RELOAD


class Relaunches:
    """The circuit breaker of one session's browsers: too many new ones, and another runner should try."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def count(self, now: float) -> int:
        """Counts one more; returns how many there were within the window."""
        self._at = [at for at in self._at if now - at < RELAUNCH_WINDOW_SECONDS] + [now]
        return len(self._at)

    @staticmethod
    def too_many(count: int) -> bool:
        """Returns whether this runner should give the session up."""
        return count > MAX_RELAUNCHES
