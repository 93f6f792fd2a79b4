"""The lease of a runner: how long it may believe that its sessions are its own, and the watchdog that enforces it."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from runner.exit_codes import ExitCode

#: The control plane gives the runner's sessions to others after this (docs/design/placement.md).
LEASE = timedelta(seconds=60)
#: The control plane writes the lease at most this often: it may end so much earlier than the last sync suggests.
LEASE_RENEWED_EVERY = timedelta(seconds=10)
#: The runner stops this long after *sending* the last sync that was answered. The 10 s between it and the earliest end
#: of the lease are for parking, for ending a stuck process, and for a clock that runs up to a fifth too slowly.
DEADLINE = timedelta(seconds=40)
#: The process is ended this long after the deadline if the event loop did not park its sessions.
EXIT_AFTER = timedelta(seconds=8)
#: A send is not started with less than this left.
SEND_MARGIN = timedelta(seconds=10)
CHECK_EVERY = timedelta(seconds=0.5)
#: A machine that slept wakes up long past the deadline: its event loop gets this many checks to park by itself.
WEDGED_CHECKS_BEFORE_EXIT = 3


@dataclass(frozen=True, slots=True)
class Durations:
    """The durations that must fit into one another."""

    lease: timedelta = LEASE
    renewed_every: timedelta = LEASE_RENEWED_EVERY
    deadline: timedelta = DEADLINE
    exit_after: timedelta = EXIT_AFTER

    def __post_init__(self) -> None:
        if self.deadline <= SEND_MARGIN:
            raise ValueError("the deadline lies after the send margin")
        ended = self.deadline + self.exit_after + WEDGED_CHECKS_BEFORE_EXIT * CHECK_EVERY
        if ended >= self.lease - self.renewed_every:
            raise ValueError("a wedged process is ended before the lease can run out")


class Lease:
    """The lease, counted from the moment before a sync was sent; only an answer renews it.

    Not guaranteed: a process that is stopped between the check and the send still sends. The fencing token at the
    control plane, the message ids and WhatsApp's own conflict rule bound what that can do.
    """

    def __init__(self, clock: Callable[[], float], durations: Durations | None = None) -> None:
        self.durations = durations or Durations()
        self._clock = clock
        self._renewed_at: float | None = None
        #: Set by the event loop once no session can send; the watchdog then leaves the process alone.
        self.parked = False

    def renew(self, sent_at: float) -> None:
        """Extends the lease: a sync sent at ``sent_at`` was answered."""
        self._renewed_at = max(sent_at, self._renewed_at or sent_at)

    def reset(self) -> None:
        """Ends the lease: nothing is held any more."""
        self._renewed_at = None
        self.parked = False

    def remaining_seconds(self) -> float:
        """Returns the seconds to the deadline; negative after it, or when nothing was ever renewed."""
        if self._renewed_at is None:
            return -1.0
        return self._renewed_at + self.durations.deadline.total_seconds() - self._clock()

    def allows_sending(self) -> bool:
        """Returns whether a send may be started now."""
        return self.remaining_seconds() >= SEND_MARGIN.total_seconds()

    def is_over(self) -> bool:
        """Returns whether the sessions must be parked."""
        return self.remaining_seconds() <= 0

    def is_wedged(self) -> bool:
        """Returns whether the event loop failed to park in time."""
        if self._renewed_at is None or self.parked:
            return False
        return self.remaining_seconds() < -self.durations.exit_after.total_seconds()


class Watchdog(threading.Thread):
    """Ends the process if the event loop is stuck past the deadline: the one stop that needs no event loop."""

    def __init__(
        self,
        lease: Lease,
        kill_everything: Callable[[], None],
        *,
        end: Callable[[int], None] = os._exit,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(name="lease watchdog", daemon=True)
        self._lease = lease
        self._kill_everything = kill_everything
        self._end = end
        self._sleep = sleep

    def run(self) -> None:
        wedged = 0
        while wedged < WEDGED_CHECKS_BEFORE_EXIT:
            self._sleep(CHECK_EVERY.total_seconds())
            wedged = wedged + 1 if self._lease.is_wedged() else 0
        try:
            self._kill_everything()
        finally:
            self._end(ExitCode.FAILED)
