"""Checks the free room on this machine's disk: without it nothing new is saved, then nothing new is hosted."""

import errno
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

    def has_room_to_write(self) -> bool:
        """Returns whether browsers can write their files."""
        return self._has_room(Need.WRITE)

    def has_room_to_save(self) -> bool:
        """Returns whether a snapshot may be taken."""
        return self._has_room(Need.SAVE)

    def capacity(self, desired: int) -> int:
        """Returns how many sessions may be hosted, of the desired number; those that are hosted stay."""
        return desired if self._has_room(Need.HOST) else 0

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
