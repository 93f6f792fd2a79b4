"""Checks the disk under a running browser: one that saw a moment without room is spoiled.

Such a browser goes on in memory, while it may give up its databases on disk. Nothing of it is saved, and its profile is
marked suspect until a browser that was started on it with room came online.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from runner.clock import Clock
from runner.disk import Disk
from runner.log_events import LogEvent
from runner.logs import log
from runner.profile.directory import Profile

CHECK_INTERVAL_SECONDS = 1.0
#: Between two checks that are further apart (the runner stood still, its browsers did not) the disk may have been full.
MAX_UNCHECKED_SECONDS = 5.0

#: A browser whose directory takes more of the disk that all sessions share is closed. Its databases have a limit of
#: their own, which is lower, and so has its cache: this is for a browser that was broken into.
MAX_PROFILE_BYTES = 3 << 30
SIZE_CHECK_SECONDS = 15.0
BLOCK_BYTES = 512


class JournalCounters(Protocol):
    """The counters of the session's journal: messages that came, and writes that the disk refused."""

    seen_count: int
    write_errors: int


class DiskCheck:
    """The checks of one session's browsers, one browser after the other."""

    def __init__(self, profile: Profile, journal: JournalCounters, disk: Disk, clock: Clock) -> None:
        #: The disk had no room since this browser was started.
        self.spoiled = False
        self._profile = profile
        self._journal = journal
        self._disk = disk
        self._clock = clock
        self._write_errors = 0
        #: When the disk was last checked, while it is checked regularly.
        self._checked_at: float | None = None

    def new_browser(self) -> None:
        """Starts over with a browser that is started on the profile."""
        if self.spoiled and not self._profile.is_suspect:
            self._spoil()
        self.spoiled = False
        self._write_errors = self._journal.write_errors
        self.check()

    async def run(self) -> None:
        """Checks every second, until cancelled."""
        try:
            while True:
                self.check()
                self._checked_at = self._clock.now()
                await self._clock.sleep(CHECK_INTERVAL_SECONDS)
        finally:
            self._checked_at = None

    async def watch_size(self, directory: Path, on_too_large: Callable[[], None]) -> None:
        """Calls back once the browser's directory takes too much of the disk; such a profile is not opened again."""
        while await asyncio.to_thread(_allocated_bytes, directory) <= MAX_PROFILE_BYTES:
            await self._clock.sleep(SIZE_CHECK_SECONDS)
        log(LogEvent.PROFILE_TOO_LARGE, level=logging.WARNING, tenant=self._profile.tenant)
        self.spoiled = True
        self._profile.reject()
        on_too_large()

    def check(self) -> None:
        """Spoils the browser if the disk has no room; a failure between two checks shows in the journal's writes."""
        if self._journal.write_errors != self._write_errors:
            self._write_errors = self._journal.write_errors
            self.refused()
        elif (
            self._stood_still()
            or not self._disk.has_room_to_write()
            or (self.spoiled and not self._profile.is_suspect)  # the disk refused the mark itself
        ):
            self._spoil()

    def refused(self) -> None:
        """Spoils the browser: the disk refused a write, however much room there seems to be."""
        self._disk.refused_write()
        self._spoil()

    def _stood_still(self) -> bool:
        """Returns whether this runner was stopped, and the disk may have been full meanwhile."""
        return self._checked_at is not None and self._clock.now() - self._checked_at > MAX_UNCHECKED_SECONDS

    def _spoil(self) -> None:
        if not self.spoiled:
            log(LogEvent.PROFILE_SUSPECT, level=logging.WARNING, tenant=self._profile.tenant)
        self.spoiled = True
        with suppress(OSError):  # the next check tries again
            self._profile.mark_suspect()


def _allocated_bytes(directory: Path) -> int:
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):  # deleted meanwhile
                total += Path(place, name).lstat().st_blocks * BLOCK_BYTES
    return total
