"""Checks the free room on this machine's disk: without it nothing new is hosted, then nothing is saved.

A runner whose disk is full says so in its heartbeat: the control plane moves its sessions to a runner on another disk
that has room. Where there is none, the pages go on in memory.
"""

import errno
import hashlib
import logging
import shutil
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from runner.log_events import LogEvent
from runner.logs import log

#: Chromium gives up whole databases when the disk is nearly full.
ROOM_TO_SAVE_BYTES = 1 << 30
ROOM_TO_HOST_BYTES = 2 << 30
#: Below this a browser's writes may have failed between two checks.
ROOM_TO_WRITE_BYTES = 1 << 28
#: What a snapshot that is being packed or restored leaves free: its archive may be as large as its profile.
ROOM_TO_PACK_BYTES = 1 << 29
#: Changes with each start of the machine's kernel, and is the same for all of its containers.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBE = ".can-be-written"
PROBE_BYTES = 1 << 16
#: Errors of a disk that cannot be written, however much room it claims to have.
WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


class Need(Enum):
    """A use of the disk: the free bytes that it needs, and the consequence in the log when they are missing."""

    #: A browser writes its profile.
    WRITE = ROOM_TO_WRITE_BYTES, "profiles in use are suspect"
    #: A snapshot is packed.
    SAVE = ROOM_TO_SAVE_BYTES, "no new snapshots"
    #: A new session gets a profile.
    HOST = ROOM_TO_HOST_BYTES, "no new sessions"


class Disk:
    """The disk under ``directory``; logs each time it becomes too full for a need, and when it recovers."""

    def __init__(self, directory: Path, free_bytes: Callable[[Path], int] | None = None) -> None:
        self._directory = directory
        self._free_bytes = free_bytes or _free_bytes
        self._short: set[Need] = set()
        self._refused = False

    @property
    def identity(self) -> str:
        """Returns the same text for all runners that share this disk, and for no others; empty if it is not known."""
        try:
            known = f"{BOOT_ID.read_text()} {self._directory.stat().st_dev}"
        except OSError:
            return ""
        return hashlib.sha256(known.encode()).hexdigest()[:16]

    def is_full(self) -> bool:
        """Returns whether sessions should leave this disk: snapshots have no room, or a write was refused."""
        if self._refused and self._can_be_written():
            self._refused = False
        return self._refused or not self.has_room_to_save()

    def refused_write(self) -> None:
        """Records that a write failed, however much room there seems to be."""
        self._refused = True

    def has_room_to_write(self) -> bool:
        """Returns whether browsers can write their files."""
        return self._has_room(Need.WRITE)

    def has_room_to_save(self) -> bool:
        """Returns whether a snapshot may be taken."""
        return self._has_room(Need.SAVE)

    def has_room_to_pack(self) -> bool:
        """Returns whether a snapshot may write more of itself; for a thread."""
        return self._free_bytes(self._directory) >= ROOM_TO_PACK_BYTES

    def has_room_to_restore(self, archive_bytes: int) -> bool:
        """Returns whether a snapshot may be fetched and unpacked, which takes about twice the size of its archive."""
        return self._free_bytes(self._directory) - 2 * archive_bytes >= ROOM_TO_PACK_BYTES

    def capacity(self, desired: int) -> int:
        """Returns how many sessions may be hosted, of the desired number; those that are hosted stay."""
        return desired if self._has_room(Need.HOST) and not self.is_full() else 0

    def _can_be_written(self) -> bool:
        probe = self._directory / PROBE
        try:
            probe.write_bytes(bytes(PROBE_BYTES))
            probe.unlink()
        except OSError:
            return False
        return True

    def _has_room(self, need: Need) -> bool:
        needed, consequence = need.value
        free = self._free_bytes(self._directory)
        short = free < needed
        if short != (need in self._short):
            self._short ^= {need}
            event = LogEvent.DISK_NEARLY_FULL if short else LogEvent.DISK_RECOVERED
            level = logging.WARNING if short else logging.INFO
            log(event, level=level, consequence=consequence, free_mb=free >> 20, needed_mb=needed >> 20)
        return not short


def _free_bytes(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return shutil.disk_usage(directory).free
