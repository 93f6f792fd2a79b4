"""The gate for all that boots a page: as many boots at once as there are processors, on a machine or in a process.

A booting page uses a whole processor for seconds. Too many at once take so long that each is taken for broken and
begins again, which is more work still. So a session has a slot from the start of its browser, or of a load of its page,
until wa-js answers in it.
"""

import fcntl
import os
from pathlib import Path

from runner.clock import Clock

#: A boot that takes longer leaves its slot to the next one.
BOOT_TIMEOUT_SECONDS = 40.0
#: The descriptor of a slot without a file.
NO_FILE = -1


class BootGate:
    """The slots that all sessions of a runner share; with a directory, those of all runners that name the same.

    A slot is a locked file: the kernel frees those of a process that was killed. One that is locked for longer than a
    boot may take counts as free.
    """

    def __init__(self, slots: int, clock: Clock, directory: Path | None = None) -> None:
        self.clock = clock
        self._slots = slots
        self._directory = directory
        self._inside: list[BootPlace] = []
        self._waiting: list[BootPlace] = []

    def place(self) -> "BootPlace":
        """Returns a session's place, outside the gate."""
        return BootPlace(self)

    def enter(self, place: "BootPlace", *, urgent: bool) -> bool:
        """Returns whether the place is inside now; otherwise it waits in line, an urgent one before the others."""
        if place in self._inside:
            return True
        for other in list(self._inside):
            if other.is_overdue():
                self.leave(other)
        if place not in self._waiting:
            urgent_ones = sum(other.urgent for other in self._waiting)
            self._waiting.insert(urgent_ones if urgent else len(self._waiting), place)
            place.urgent = urgent
        if self._waiting[0] is not place or (descriptor := self._lock_slot()) is None:
            return False
        self._waiting.remove(place)
        self._inside.append(place)
        place.entered_at, place.descriptor = self.clock.now(), descriptor
        return True

    def leave(self, place: "BootPlace") -> None:
        """Takes a place out of the gate, or out of the line."""
        if place in self._waiting:
            self._waiting.remove(place)
        if place in self._inside:
            self._inside.remove(place)
            if place.descriptor != NO_FILE:
                os.close(place.descriptor)

    def _lock_slot(self) -> int | None:
        """Returns the locked file of a free slot, or NO_FILE; None if all are taken."""
        if len(self._inside) >= self._slots:
            return None
        if self._directory is None:
            return NO_FILE
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for slot in range(self._slots):
                if (descriptor := _lock(self._directory / f"slot-{slot}", self.clock.wall_ms())) is not None:
                    return descriptor
        except OSError:
            return NO_FILE  # what cannot be shared must keep no line from booting
        return None


class BootPlace:
    """The place of one session: outside the gate, in line, or inside for one boot."""

    def __init__(self, gate: BootGate) -> None:
        self.urgent = False
        self.entered_at: float | None = None
        self.descriptor = NO_FILE
        self._gate = gate

    def enter(self, *, urgent: bool = False) -> bool:
        """Returns whether the session may boot now; to be asked again until then."""
        return self._gate.enter(self, urgent=urgent)

    def leave(self) -> None:
        """Lets the next one boot; nothing to do for a place outside."""
        self._gate.leave(self)

    def is_overdue(self) -> bool:
        """Returns whether the last boot that began has had its time."""
        return self.entered_at is not None and self._gate.clock.now() - self.entered_at >= BOOT_TIMEOUT_SECONDS


def _lock(path: Path, now_ms: int) -> int | None:
    """Returns the file's descriptor, locked; None if another process has it.

    A process that is stopped never gives its slot away: NO_FILE for one that was locked longer than a boot may take.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.utime(descriptor, ns=(now_ms * 1_000_000, now_ms * 1_000_000))
    except BlockingIOError:
        is_overdue = now_ms - os.fstat(descriptor).st_mtime_ns / 1_000_000 >= BOOT_TIMEOUT_SECONDS * 1000
        os.close(descriptor)
        return NO_FILE if is_overdue else None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
