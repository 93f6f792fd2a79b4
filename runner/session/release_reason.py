"""The reasons why a runner gives a session back to the control plane."""

from enum import StrEnum


class ReleaseReason(StrEnum):
    """The reason of one release; its value is sent to the control plane, which logs it."""

    #: The runner shuts down, and the session's browser was closed in peace.
    DRAINED = "drained"
    #: The runner shuts down, and the session did not end in time: it was killed.
    DRAIN_TIMED_OUT = "drain took too long"
    #: The control plane wants the session back.
    NO_LONGER_WANTED = "no longer wanted"
    #: The session was to be released, or the runner was draining, before it began.
    NEVER_STARTED = "never started"
    #: The session was released before, and the control plane did not receive it.
    RELEASED_BEFORE = "given back before"
    #: The control plane refused this epoch (the fencing token): another runner holds the session.
    STALE_EPOCH = "somebody else's"
    #: New browsers did not help; another runner should try.
    TOO_MANY_RESTARTS = "wedged: too many restarts"
    #: The disk has no room for the profile; another runner should try.
    NO_ROOM = "no room for the profile"
    #: The browser took more of the disk than it may; another runner starts it from a snapshot.
    PROFILE_TOO_LARGE = "its browser wrote more to the disk than it may"
    #: A newer Chromium than this runner's wrote the snapshot; another runner should try.
    CHROMIUM_TOO_OLD = "a newer Chromium wrote this archive"
    #: The session ended with an error that it did not handle; the error's type follows.
    CRASHED = "crashed"
    #: The session's task was cancelled. Stands in the log alone: a release then has another reason, or none.
    KILLED = "killed"
