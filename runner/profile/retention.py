"""Deletes the profiles that nobody used on this disk for a while: they hold logins, and their sessions moved away."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.journal_owner import OWNER_FILE
from runner.profile.directory import Profile, ProfileBusy

#: A profile that a snapshot has, or that is not linked, is kept for so long after its last use …
SAVED_KEPT_FOR = timedelta(hours=24)
#: … and one that may be the only copy of a login for so long: then WhatsApp itself ends the link of an unused device.
UNSAVED_KEPT_FOR = timedelta(days=30)
INTERVAL_SECONDS = 3_600.0


class Retention:
    """The profiles below one data directory."""

    def __init__(self, directory: Path, profile_of: Callable[[str], Profile], clock: Clock) -> None:
        self._directory = directory
        self._profile_of = profile_of
        self._clock = clock

    async def run(self) -> None:
        """Deletes once an hour, until cancelled; the first hour is for the sessions to come back."""
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            await asyncio.to_thread(self.sweep)

    def sweep(self) -> None:
        """Deletes what is due. A profile in use is locked, and one whose journal waits to be handed in is kept."""
        for marker in sorted(self._directory.glob("*/marker.json")):
            profile = self._profile_of(marker.parent.name)
            try:
                with profile.locked():
                    discarded = profile.discard() if self._is_due(profile) else []
            except (ProfileBusy, OSError):
                continue
            for each in discarded:
                shutil.rmtree(each, ignore_errors=True)
            if discarded:
                log(LogEvent.PROFILE_DELETED, tenant=profile.tenant)

    def _is_due(self, profile: Profile) -> bool:
        marker = profile.marker()
        if (profile.home / OWNER_FILE).exists():
            return False
        safe = marker is not None and (marker.saved or not marker.linked)
        unused_for = timedelta(milliseconds=self._clock.wall_ms() - _last_use_ms(profile.home))
        return unused_for >= (SAVED_KEPT_FOR if safe else UNSAVED_KEPT_FOR)


def _last_use_ms(home: Path) -> int:
    """Returns when a file of the profile was written last, by the clock that dates files."""
    return max(path.lstat().st_mtime_ns for path in home.rglob("*") if path.name != "lock") // 1_000_000
