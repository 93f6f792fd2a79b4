"""The errors of a snapshot's taking, and the problem that each means to people."""

from runner.control_plane.client import ControlPlaneError
from runner.disk import WRITE_ERRORS
from runner.profile.archive import LinkedFileChanged, NoRoomToPack
from runner.profile.manifest import SnapshotTooLarge
from runner.profile.staged_copy import CopyStopped
from wire import SaveProblem


class SnapshotAbandoned(Exception):
    """The snapshot must not be stored, or was not accepted.

    SnapshotAbandoned
    ├── SnapshotSuperseded  the control plane has a later one
    ├── NotOnline           the copy may be of a login that is over
    └── BrowserSpoiled      the copy may be of databases that Chromium had given up
    """


class SnapshotSuperseded(SnapshotAbandoned):
    """The control plane has a later snapshot of this epoch and ignores this one."""


class NotOnline(SnapshotAbandoned):
    """The page is not online any more."""


class BrowserSpoiled(SnapshotAbandoned):
    """The disk had no room meanwhile."""


#: A session does not notice any of these.
FAILURES = (
    *(ControlPlaneError, CopyStopped, LinkedFileChanged, NoRoomToPack, SnapshotAbandoned, SnapshotTooLarge),
    *(OSError, ValueError),
)


def problem_of(error: Exception) -> SaveProblem | None:
    """Returns the problem that this error of an attempt means; None if only the page is not online any more."""
    match error:
        case NotOnline():
            return None
        case BrowserSpoiled() | NoRoomToPack():
            return SaveProblem.DISK_FULL
        case SnapshotTooLarge():
            return SaveProblem.TOO_LARGE
        case CopyStopped() | LinkedFileChanged():
            return SaveProblem.TOO_SLOW
        case ControlPlaneError() | SnapshotSuperseded():
            return SaveProblem.NOT_STORED
    full = isinstance(error, OSError) and error.errno in WRITE_ERRORS
    return SaveProblem.DISK_FULL if full else SaveProblem.FAILED
