"""The saved state of a line's login: how far its snapshots are behind, and why, in a sentence. Pure; takes `now`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chalicelib.model.runner import Runner
from chalicelib.model.session import Session
from chalicelib.model.times import milliseconds
from wire import Phase, SaveProblem

#: A line that is online and has unsaved changes for longer than this raises an alarm.
SAVED_WITHIN = timedelta(hours=1)
#: A line that came online saves what is unsaved within this; before, an old save is no reason for an alarm.
ONLINE_FOR = timedelta(minutes=10)
#: An unsaved minute is nothing to speak of: a snapshot comes at most so long after a message (a large one: 15 min).
SAVED_SOON = timedelta(minutes=20)

#: What each problem means, and what to do.
REASONS: Final[Mapping[str, str]] = {
    SaveProblem.DISK_FULL: "the disk of its runner is or was full; make room, or start a runner on another disk",
    SaveProblem.TOO_LARGE: "its profile is too large to be archived; link WhatsApp again to begin a small one",
    SaveProblem.TOO_SLOW: "its browser cannot be copied at one instant; the disk of its runner may be too slow",
    SaveProblem.NOT_STORED: "the runner cannot store it; see whether it reaches the control plane and S3",
    SaveProblem.FAILED: "an error of the runner; its log says which",
}
LATER_RELEASE: Final = "the log of its runner says why"
DISK_FULL: Final = (
    "The disk of its runner is full: make room there, or start a runner on another disk, and the line moves to it. "
    "Until then it goes on, but is not saved, and its browser is not restarted"
)


@dataclass(frozen=True, slots=True)
class SavedState:
    """The snapshots of a line's login, compared with the login."""

    #: when the newest snapshot was committed
    newest_at: int | None
    #: for how long the login of a line that is online has had changes that no snapshot has; zero if it has none
    unsaved_for: timedelta
    #: a ``SaveProblem``, or one of a later release; empty while saving works
    problem: str
    disk_full: bool

    @property
    def is_behind(self) -> bool:
        """True if an operator should know."""
        return self.unsaved_for > SAVED_WITHIN

    @property
    def needs_attention(self) -> bool:
        """True if the sentence says more than that it is saved."""
        return self.disk_full or bool(self.problem) or self.unsaved_for > SAVED_SOON

    def sentence(self, now: int) -> str:
        """Returns the state in a sentence: ``Saved 2 minutes ago.``, ``Not saved for 3 hours: …``."""
        if not self.needs_attention:
            if self.newest_at is None:
                return "Not saved yet; the first snapshot follows within minutes."
            return f"Saved {in_words(timedelta(milliseconds=now - self.newest_at))} ago."
        since = f"Not saved for {in_words(self.unsaved_for)}" if self.unsaved_for else "Not saved the last time"
        if self.disk_full:
            return f"{DISK_FULL}. {since}."
        return f"{since}: {REASONS.get(self.problem, LATER_RELEASE)}."


def saved_state(session: Session, runner: Runner | None, now: int) -> SavedState | None:
    """Returns what is saved of a session's login; None if it is not linked, or if nothing is known of it.

    Args:
        runner: the one that holds the session, if one does.
    """
    held = next((each for each in runner.assigned if each.tenant == session.tenant), None) if runner else None
    if not session.linked or runner is None or runner.id != session.runner or held is None:
        return None
    newest_at = session.snapshots[0].taken_at if session.snapshots else None
    if held.epoch != session.epoch or held.saved_at is None:
        return None
    settled = session.phase is Phase.ONLINE and now - session.since > milliseconds(ONLINE_FOR)
    unsaved_for = timedelta(milliseconds=max(0, now - held.saved_at)) if settled else timedelta()
    return SavedState(newest_at, unsaved_for, held.save_problem, runner.disk_full)


def in_words(duration: timedelta) -> str:
    """Returns ``2 minutes``, ``3 hours``, ``5 days``."""
    seconds = max(0, round(duration.total_seconds()))
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "a moment"
