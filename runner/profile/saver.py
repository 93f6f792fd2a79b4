"""Saves a session's profile: while it is online, whenever it is due, and once more after its browser was closed.

Nothing here is needed to be online: when a snapshot cannot be taken or stored, the session does not notice, and the
next one is tried later.

A browser on a disk without room goes on in memory, while its databases on disk may be given up. So from the moment
when there was none the profile is **suspect**: nothing is saved of it, and the good snapshots stay, until a browser
was started anew on it, with room, and came online.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from runner.browser.process_freeze import Frozen
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Stale
from runner.disk import WRITE_ERRORS, Disk
from runner.log_events import LogEvent
from runner.logs import log
from runner.profile.archive import CopyStopped, Manifest, Packed, copy_profile, fingerprint, list_files, pack
from runner.profile.directory import Profile
from runner.profile.schedule import SnapshotSchedule
from wire import SNAPSHOT_AT_MOST_BYTES, CommitRequest, Hold, UploadRequest

CHECK_INTERVAL_SECONDS = 1.0
#: The last snapshot, of a browser that was closed: part of the time a drain has.
FINAL_SNAPSHOT_TIMEOUT_SECONDS = 40.0
FINAL_SNAPSHOT_ATTEMPTS = 3
FINAL_SNAPSHOT_RETRY_SECONDS = 1.0

#: Stops the browser for as long as it is entered; used in another thread.
Freeze = Callable[[], AbstractContextManager[Frozen]]


class Signs(Protocol):
    """What the session's journal tells by the way."""

    seen_count: int
    write_errors: int


@dataclass(frozen=True, slots=True)
class SharedResources:
    """What all sessions of this runner have in common."""

    disk: Disk
    #: Packing takes a processor for a moment; the replies of all sessions need one too.
    packing: asyncio.Semaphore
    chromium: str
    wa_js: str
    #: By tenant: the epoch of the snapshot begun last, and its sequence.
    begun: dict[str, tuple[int, int]] = field(default_factory=dict)

    def next_sequence(self, tenant: str, epoch: int) -> int:
        """A session that was killed and started again at the same epoch goes on where it was, not at nought."""
        last_epoch, last_sequence = self.begun.get(tenant, (epoch, 0))
        sequence = last_sequence + 1 if last_epoch == epoch else 1
        self.begun[tenant] = epoch, sequence
        return sequence


class NotNewest(Exception):
    """The control plane has a later snapshot of this holding: it counts this one for nothing."""


class NotOnline(Exception):
    """The page was found to be not online any more: what was copied may be a login that is over."""


class Suspect(Exception):
    """The disk had no room meanwhile: what was copied may be what Chromium had given up."""


class Taken(NamedTuple):
    """A snapshot on this disk."""

    packed: Packed | None  #: None: nothing changed since the last one
    fingerprint: str
    stood_still: float


class Saver:
    """One session's. Used only while the profile's lock is held."""

    def __init__(
        self,
        *,
        hold: Hold,
        client: ControlPlaneClient,
        profile: Profile,
        signs: Signs,
        shared: SharedResources,
        clock: Clock,
    ) -> None:
        self.tenant = hold.tenant
        self.epoch = hold.epoch
        self._client = client
        self._profile = profile
        self._signs = signs
        self._counted = 0
        self._errors = 0
        self._shared = shared
        self._clock = clock
        self._schedule = SnapshotSchedule()
        self._sequence = 0
        self._saved = ""
        #: The disk had no room since this browser was started; and so it was for the one before, which left its files.
        self._spoiled = False
        self._suspect = False

    def linked(self) -> None:
        """The account was linked just now."""
        self._schedule.linked()

    def new_browser(self) -> None:
        """A browser is started on the profile."""
        self._spoiled = False
        self._suspect = self._profile.is_suspect
        self._errors = self._signs.write_errors
        self._look_at_disk()

    def online(self, online: bool) -> None:
        """Proven online with the expected account, or not any more."""
        self._schedule.online(online, self._clock.now())
        if online and self._suspect and not self._spoiled:
            self._suspect = False
            self._profile.clear_suspect()
            log(LogEvent.PROFILE_TRUSTED, tenant=self.tenant)

    def needs_new_browser(self) -> bool:
        """Whether only a new browser can tell if the files are sound: there is room now, and there was none."""
        return self._suspect and self._shared.disk.has_room_to_save()

    async def run(self, directory: Path, freeze: Freeze, is_online: Callable[[], Awaitable[bool]]) -> None:
        """Save the profile of a running browser whenever it is due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_disk())
            group.create_task(self._save_when_due(directory, freeze, is_online))

    async def save_final(self, directory: Path) -> None:
        """The browser was online and closed in peace: what it left is the best snapshot there can be."""
        self._look_at_disk()
        if self._suspect:
            log(LogEvent.FINAL_SNAPSHOT_SKIPPED, tenant=self.tenant)
            return
        try:
            async with asyncio.timeout(FINAL_SNAPSHOT_TIMEOUT_SECONDS):
                for _ in range(FINAL_SNAPSHOT_ATTEMPTS):
                    if await self._save(directory):
                        return
                    await self._clock.sleep(FINAL_SNAPSHOT_RETRY_SECONDS)
        except TimeoutError:
            log(LogEvent.FINAL_SNAPSHOT_TIMED_OUT, tenant=self.tenant)

    async def _watch_disk(self) -> None:
        while True:
            self._look_at_disk()
            await self._clock.sleep(CHECK_INTERVAL_SECONDS)

    async def _save_when_due(self, directory: Path, freeze: Freeze, is_online: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await self._clock.sleep(CHECK_INTERVAL_SECONDS)
            seen = self._signs.seen_count
            if seen != self._counted:
                self._counted = seen
                self._schedule.active(self._clock.now())
            if not self._suspect and self._schedule.is_due(self._clock.now()):
                await self._save(directory, freeze, is_online)

    async def _save(
        self, directory: Path, freeze: Freeze | None = None, is_online: Callable[[], Awaitable[bool]] | None = None
    ) -> bool:
        """Take, pack, store and commit one; whether nothing is left to save."""
        begun = self._clock.now()
        if not self._shared.disk.has_room_to_save():
            self._schedule.failed(begun)
            return False
        try:
            async with self._shared.packing:
                taken = await self._take(directory, freeze)
            # After the copy: a page that is logged in now was so when it stood still.
            if is_online is not None and not await is_online():
                raise NotOnline
            self._look_at_disk()
            if self._suspect:
                raise Suspect
            if taken.packed is not None:
                await self._store(taken.packed)
        except (ControlPlaneError, CopyStopped, NotNewest, NotOnline, Suspect, OSError, ValueError) as trouble:
            if not self._schedule.failures:
                log(LogEvent.SNAPSHOT_FAILED, tenant=self.tenant, error=trouble, code=getattr(trouble, "code", ""))
            self._schedule.failed(self._clock.now())
            if isinstance(trouble, OSError) and trouble.errno in WRITE_ERRORS:
                self._doubt()
            return isinstance(trouble, Stale) or self._suspect  # somebody else holds the session, or it is no good
        finally:
            await asyncio.to_thread(self._profile.clear_scratch)
        if self._schedule.failures:
            log(LogEvent.SNAPSHOTS_RECOVERED, tenant=self.tenant)
        now = self._clock.now()
        self._saved = taken.fingerprint
        self._schedule.saved(begun, now)
        if taken.packed is not None:
            log(
                LogEvent.SNAPSHOT_TAKEN,
                tenant=self.tenant,
                snapshot=f"{self.epoch}-{self._sequence}",
                bytes=taken.packed.size_bytes,
                still_ms=round(taken.stood_still * 1000),
                seconds=round(now - begun, 2),
            )
        return True

    def _look_at_disk(self) -> None:
        """Often enough to see also what lasts a moment; what the disk refused in between it refused the journal too."""
        if self._signs.write_errors != self._errors or not self._shared.disk.has_room_to_write():
            self._errors = self._signs.write_errors
            self._doubt()
        elif self._spoiled and not self._profile.is_suspect:  # the mark itself was refused
            self._doubt()

    def _doubt(self) -> None:
        if not self._suspect:
            log(LogEvent.PROFILE_SUSPECT, level=logging.WARNING, tenant=self.tenant)
        self._spoiled = self._suspect = True
        with suppress(OSError):  # the next look tries again
            self._profile.mark_suspect()

    async def _take(self, directory: Path, freeze: Freeze | None) -> Taken:
        staging = await asyncio.to_thread(self._profile.new_scratch_path)
        stood_still = await asyncio.to_thread(self._copy, directory, staging, freeze)
        files = await asyncio.to_thread(list_files, staging)
        print_of_it = fingerprint(files)
        if print_of_it == self._saved:
            return Taken(None, print_of_it, stood_still)
        self._sequence = self._shared.next_sequence(self.tenant, self.epoch)
        manifest = Manifest(
            tenant=self.tenant,
            epoch=self.epoch,
            sequence=self._sequence,
            chromium=self._shared.chromium,
            wa_js=self._shared.wa_js,
            files=files,
        )
        packed = await asyncio.to_thread(pack, staging, manifest, staging.with_suffix(".tar.zst"))
        if packed.size_bytes > SNAPSHOT_AT_MOST_BYTES:
            raise CopyStopped("the archive is too large")
        return Taken(packed, print_of_it, stood_still)

    def _copy(self, directory: Path, staging: Path, freeze: Freeze | None) -> float:
        staging.mkdir(mode=0o700)
        if freeze is None:
            copy_profile(directory, staging, lambda: True)
            return 0.0
        begun = self._clock.now()
        with freeze() as frozen:
            copy_profile(directory, staging, lambda: frozen.still)
            if not frozen.still:
                raise CopyStopped("the copy took too long")
        return self._clock.now() - begun

    async def _store(self, packed: Packed) -> None:
        upload = UploadRequest(
            tenant=self.tenant,
            epoch=self.epoch,
            sequence=self._sequence,
            sha256=packed.sha256,
            size_bytes=packed.size_bytes,
        )
        place = await self._client.upload(upload)
        await self._client.put(place.url, place.headers, packed.path)
        versions = {"chromium": self._shared.chromium, "wa_js": self._shared.wa_js}
        answer = await self._client.commit(CommitRequest(**{**upload.model_dump(), **versions}))
        if not answer.committed:
            raise NotNewest
