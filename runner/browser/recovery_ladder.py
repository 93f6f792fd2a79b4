"""Recovers a page that does not answer: retries first, then a reload, then a new browser; pure decisions."""

from dataclasses import dataclass
from enum import Enum

FAILURES_BEFORE_RELOAD = 2
RELAUNCH_AFTER_SECONDS = 60.0
MAX_RELAUNCHES = 3
RELAUNCH_WINDOW_SECONDS = 900.0


class Step(Enum):
    """What the ladder says to do."""

    WAIT = "wait"
    RELOAD = "reload"
    RELAUNCH = "relaunch"


@dataclass
class RecoveryLadder:
    """Two failures in a row: reload. Still bad a minute later: a new browser."""

    failures: int = 0
    reloaded_at: float | None = None

    def succeeded(self) -> None:
        """The page answered well."""
        self.failures = 0
        self.reloaded_at = None

    def failed(self, now: float) -> Step:
        """The page did not answer, or its proof failed."""
        self.failures += 1
        if self.reloaded_at is not None:
            return Step.RELAUNCH if now - self.reloaded_at >= RELAUNCH_AFTER_SECONDS else Step.WAIT
        if self.failures < FAILURES_BEFORE_RELOAD:
            return Step.WAIT
        self.reloaded_at = now
        return Step.RELOAD

    def reload_again(self, now: float, apart: float) -> Step:
        """Where a new browser would not help: another reload, but not often."""
        if self.reloaded_at is not None and now - self.reloaded_at < apart:
            return Step.WAIT
        self.reloaded_at = now
        return Step.RELOAD


class Relaunches:
    """How often a browser was started again; too often means: let another runner try."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def count(self, now: float) -> int:
        """Note one more and say how many there were lately."""
        self._at = [at for at in self._at if now - at < RELAUNCH_WINDOW_SECONDS] + [now]
        return len(self._at)

    @staticmethod
    def too_many(count: int) -> bool:
        """Whether the session should be given up here."""
        return count > MAX_RELAUNCHES
