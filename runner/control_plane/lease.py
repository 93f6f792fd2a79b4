"""How long this runner may believe that its sessions are its own, and who ends it when it cannot stop itself."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

#: The control plane gives our sessions to others after this (docs/design/placement.md).
LEASE = timedelta(seconds=60)
#: We stop this long after *sending* the last sync that was answered. The 15 s in between pay for a clock that runs
#: up to a third too fast and for an answer that travelled slowly.
DEADLINE = timedelta(seconds=45)
#: The process is ended this long after the deadline if the event loop did not park its sessions.
EXIT_AFTER = timedelta(seconds=10)
#: A send is not started with less than this left.
SEND_MARGIN = timedelta(seconds=10)
LOOK_EVERY = 0.5
#: A machine that slept wakes up long past the deadline: its event loop gets this many looks to park by itself.
LOOKS_BEFORE_THE_END = 3
#: The exit code of a runner that ended itself (EX_SOFTWARE).
EXIT_WEDGED = 70


@dataclass(frozen=True, slots=True)
class Durations:
    """The three durations that must fit into one another."""

    lease: timedelta = LEASE
    deadline: timedelta = DEADLINE
    exit_after: timedelta = EXIT_AFTER

    def __post_init__(self) -> None:
        if not SEND_MARGIN < self.deadline < self.lease:
            raise ValueError("the deadline lies after the send margin and before the end of the lease")
        if self.deadline + self.exit_after >= self.lease:
            raise ValueError("a wedged process is ended before the lease runs out")


class Lease:
    """Counts from the moment before a sync was sent; only an answer can renew it.

    It is no proof: a process stopped between the check and the send still sends. The fence at the control plane,
    the message ids and WhatsApp's own conflict rule bound what that can do.
    """

    def __init__(self, clock: Callable[[], float], durations: Durations | None = None) -> None:
        self.durations = durations or Durations()
        self._clock = clock
        self._renewed_at: float | None = None
        #: Set by the event loop once no session can send; the guard thread then leaves the process alone.
        self.parked = False

    def renew(self, sent_at: float) -> None:
        """A sync sent at ``sent_at`` was answered."""
        self._renewed_at = max(sent_at, self._renewed_at or sent_at)

    def forget(self) -> None:
        """Nothing is held any more."""
        self._renewed_at = None
        self.parked = False

    def remaining(self) -> float:
        """Seconds to the deadline; negative after it, or when nothing was ever renewed."""
        if self._renewed_at is None:
            return -1.0
        return self._renewed_at + self.durations.deadline.total_seconds() - self._clock()

    def allows_sending(self) -> bool:
        """Whether a send may be started now."""
        return self.remaining() >= SEND_MARGIN.total_seconds()

    def is_over(self) -> bool:
        """Whether the sessions must be parked."""
        return self.remaining() <= 0

    def is_wedged(self) -> bool:
        """Whether the event loop failed to park in time."""
        if self._renewed_at is None or self.parked:
            return False
        return self.remaining() < -self.durations.exit_after.total_seconds()


class Guard(threading.Thread):
    """Ends the process if the event loop is stuck past the deadline: the one stop that needs nobody's help."""

    def __init__(
        self,
        lease: Lease,
        kill_everything: Callable[[], None],
        *,
        end: Callable[[int], None] = os._exit,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(name="lease guard", daemon=True)
        self._lease = lease
        self._kill_everything = kill_everything
        self._end = end
        self._sleep = sleep

    def run(self) -> None:
        wedged = 0
        while wedged < LOOKS_BEFORE_THE_END:
            self._sleep(LOOK_EVERY)
            wedged = wedged + 1 if self._lease.is_wedged() else 0
        try:
            self._kill_everything()
        finally:
            self._end(EXIT_WEDGED)
