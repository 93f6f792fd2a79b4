"""Room on this machine's disk: without it nothing new is saved, then nothing new is hosted."""

import errno
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from runner.log_events import LogEvent
from runner.logs import log

#: Chromium gives up whole databases when the disk is nearly full.
ROOM_TO_SAVE_BYTES = 1 << 30
ROOM_TO_HOST_BYTES = 2 << 30
#: Below this a browser's writes may have failed between two looks.
ROOM_TO_WRITE_BYTES = 1 << 28
#: What a disk says that cannot be written, however much room it claims to have.
REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


class Disk:
    """The disk under ``directory``; says in the log when it becomes full, and when it is well again."""

    def __init__(self, directory: Path, free: Callable[[Path], int] | None = None) -> None:
        self._directory = directory
        self._free = free or _free
        self._short: dict[str, bool] = {}

    def has_room_to_write(self) -> bool:
        """Whether browsers can write what they have to."""
        return self._has("profiles in use are suspect", ROOM_TO_WRITE_BYTES)

    def has_room_to_save(self) -> bool:
        """Whether a snapshot may be taken."""
        return self._has("no new snapshots", ROOM_TO_SAVE_BYTES)

    def capacity(self, wanted: int) -> int:
        """How many sessions may be hosted; those that are hosted stay."""
        return wanted if self._has("no new sessions", ROOM_TO_HOST_BYTES) else 0

    def _has(self, consequence: str, needed: int) -> bool:
        free = self._free(self._directory)
        short = free < needed
        if short != self._short.get(consequence, False):
            self._short[consequence] = short
            level = logging.WARNING if short else logging.INFO
            event = LogEvent.DISK_NEARLY_FULL if short else LogEvent.DISK_RECOVERED
            log(event, level=level, consequence=consequence, free_mb=free >> 20, needed_mb=needed >> 20)
        return not short


def _free(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return shutil.disk_usage(directory).free
