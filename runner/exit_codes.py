"""The exit codes of the runner's process, as the container's log and its supervisor show them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The reason why the process ended; numbers from 64 on are those of sysexits.h."""

    #: The runner was drained: every session was released.
    DRAINED = 0
    #: The runner ended itself: the event loop was stuck past the lease, Playwright's driver died, or a bug.
    FAILED = 70
    #: The control plane does not accept the bootstrap token, or not from this task.
    REGISTRATION_REFUSED = 77
    #: The environment is incomplete, or there is no Chromium.
    MISCONFIGURED = 78
