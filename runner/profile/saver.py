"""Saves snapshots of a session's profile: whenever one is due while it is online, and one after its browser was closed.

A session needs no snapshot to be online: when one cannot be taken or stored, the session does not notice, and the
saver retries later.

A browser on a disk without room goes on in memory, while it may give up its databases on disk. So from the moment
without room the profile is **suspect**: the saver saves nothing of it, and the good snapshots stay, until a new
browser was started on it, with room, and came online.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from runner.browser.process_freeze import FrozenBrowser
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, StaleEpoch
from runner.disk import WRITE_ERRORS, Disk
from runner.log_events import LogEvent
from runner.logs import log
from runner.profile.archive import CopyStopped, Manifest, PackedArchive, copy_profile, fingerprint, list_files, pack
from runner.profile.directory import Profile
from runner.profile.schedule import SnapshotSchedule
from wire import MAX_SNAPSHOT_BYTES, CommitRequest, Hold, UploadRequest

CHECK_INTERVAL_SECONDS = 1.0
#: Between two checks that are further apart (the runner stood still, its browsers did not) the disk may have been full.
MAX_UNCHECKED_SECONDS = 5.0
#: For the snapshot of a closed browser: part of the time that a drain has.
FINAL_SNAPSHOT_TIMEOUT_SECONDS = 40.0
FINAL_SNAPSHOT_ATTEMPTS = 3
FINAL_SNAPSHOT_RETRY_SECONDS = 1.0

#: Freezes the browser within its context; used in another thread.
Freeze = Callable[[], AbstractContextManager[FrozenBrowser]]


class JournalCounters(Protocol):
    """The counters of the session's journal: messages that came, and writes that the disk refused."""

    seen_count: int
    write_errors: int


@dataclass(frozen=True, slots=True)
class SharedResources:
    """The parts that all sessions of this runner share."""

    disk: Disk
    #: Packing takes a processor for a moment; the replies of all sessions need one too.
    packing: asyncio.Semaphore
    chromium: str
    wa_js: str
    #: By tenant: the epoch and the sequence of the snapshot that was begun last.
    begun: dict[str, tuple[int, int]] = field(default_factory=dict)

    def next_sequence(self, tenant: str, epoch: int) -> int:
        """Returns the next sequence; it goes on for a session that was killed and started again at the same epoch."""
        last_epoch, last_sequence = self.begun.get(tenant, (epoch, 0))
        sequence = last_sequence + 1 if last_epoch == epoch else 1
        self.begun[tenant] = epoch, sequence
        return sequence


class SnapshotAbandoned(Exception):
    """The snapshot must not be stored, or was not accepted.

    SnapshotAbandoned
    ├── SnapshotSuperseded  the control plane has a later one
    ├── NotOnline           the copy may be of a login that is over
    └── ProfileSuspect      the copy may be of databases that Chromium had given up
    """


class SnapshotSuperseded(SnapshotAbandoned):
    """The control plane has a later snapshot of this epoch and ignores this one."""


class NotOnline(SnapshotAbandoned):
    """The page is not online any more."""


class ProfileSuspect(SnapshotAbandoned):
    """The disk had no room meanwhile."""


class StagedSnapshot(NamedTuple):
    """A snapshot on this disk."""

    packed: PackedArchive | None  #: None: nothing changed since the last one
    fingerprint: str
    frozen_seconds: float


class Saver:
    """The snapshots of one session. Used only while the profile's lock is held."""

    def __init__(
        self,
        *,
        hold: Hold,
        client: ControlPlaneClient,
        profile: Profile,
        journal: JournalCounters,
        shared: SharedResources,
        clock: Clock,
    ) -> None:
        self.tenant = hold.tenant
        self.epoch = hold.epoch
        self._client = client
        self._profile = profile
        self._journal = journal
        self._seen_count = 0
        self._write_errors = 0
        self._shared = shared
        self._clock = clock
        self._schedule = SnapshotSchedule()
        self._sequence = 0
        self._saved_fingerprint: str | None = None
        #: The disk had no room since this browser was started; ``_suspect`` also covers the browsers before it.
        self._spoiled = False
        self._suspect = False
        #: When the disk was last checked, while it is checked regularly.
        self._checked_at: float | None = None

    def linked(self) -> None:
        """Records that the account was linked just now."""
        self._schedule.linked()

    def new_browser(self) -> None:
        """Begins anew with a browser that is started on the profile."""
        self._spoiled = False
        self._suspect = self._profile.is_suspect
        self._write_errors = self._journal.write_errors
        self._check_disk()

    def online(self, online: bool) -> None:
        """Records whether the page is proven to be online with the expected account."""
        self._schedule.online(online, self._clock.now())
        if online and self._suspect and not self._spoiled:
            self._suspect = False
            self._profile.clear_suspect()
            log(LogEvent.PROFILE_TRUSTED, tenant=self.tenant)

    def needs_new_browser(self) -> bool:
        """Returns whether only a new browser can show if the files are sound: there is room now, and there was none."""
        return self._suspect and self._shared.disk.has_room_to_save()

    async def run(self, directory: Path, freeze: Freeze, is_online: Callable[[], Awaitable[bool]]) -> None:
        """Saves the profile of a running browser whenever a snapshot is due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_disk_regularly())
            group.create_task(self._save_when_due(directory, freeze, is_online))

    async def save_final(self, directory: Path) -> None:
        """Saves the profile of a browser that was online and closed normally: the best snapshot there can be."""
        self._check_disk()
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

    async def _check_disk_regularly(self) -> None:
        try:
            while True:
                self._check_disk()
                self._checked_at = self._clock.now()
                await self._clock.sleep(CHECK_INTERVAL_SECONDS)
        finally:
            self._checked_at = None

    async def _save_when_due(self, directory: Path, freeze: Freeze, is_online: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await self._clock.sleep(CHECK_INTERVAL_SECONDS)
            seen = self._journal.seen_count
            if seen != self._seen_count:
                self._seen_count = seen
                self._schedule.active(self._clock.now())
            if not self._suspect and self._schedule.is_due(self._clock.now()):
                await self._save(directory, freeze, is_online)

    async def _save(
        self, directory: Path, freeze: Freeze | None = None, is_online: Callable[[], Awaitable[bool]] | None = None
    ) -> bool:
        """Takes, packs, stores and commits a snapshot; returns whether nothing is left to save."""
        begun_at = self._clock.now()
        if not self._shared.disk.has_room_to_save():
            self._schedule.failed(begun_at)
            return False
        try:
            async with self._shared.packing:
                staged = await self._stage(directory, freeze)
            # After the copy: a page that is logged in now was so while it was frozen.
            if is_online is not None and not await is_online():
                raise NotOnline
            self._check_disk()
            if self._suspect:
                raise ProfileSuspect
            if staged.packed is not None:
                await self._store(staged.packed)
        except (ControlPlaneError, CopyStopped, SnapshotAbandoned, OSError, ValueError) as error:
            if not self._schedule.failures:
                log(LogEvent.SNAPSHOT_FAILED, tenant=self.tenant, error=error, code=getattr(error, "code", ""))
            self._schedule.failed(self._clock.now())
            if isinstance(error, OSError) and error.errno in WRITE_ERRORS:
                self._mark_suspect()
            # Nothing is left to save if another runner holds the session, or the files are no good.
            return isinstance(error, StaleEpoch) or self._suspect
        finally:
            await asyncio.to_thread(self._profile.clear_scratch)
        if self._schedule.failures:
            log(LogEvent.SNAPSHOTS_RECOVERED, tenant=self.tenant)
        now = self._clock.now()
        self._saved_fingerprint = staged.fingerprint
        self._schedule.saved(begun_at, now)
        if staged.packed is not None:
            log(
                LogEvent.SNAPSHOT_TAKEN,
                tenant=self.tenant,
                snapshot=f"{self.epoch}-{self._sequence}",
                bytes=staged.packed.size_bytes,
                frozen_ms=round(staged.frozen_seconds * 1000),
                seconds=round(now - begun_at, 2),
            )
        return True

    def _check_disk(self) -> None:
        """Marks the profile if the disk has no room; a failure between two checks shows in the journal's writes."""
        refused = self._journal.write_errors != self._write_errors
        if refused or self._stood_still() or not self._shared.disk.has_room_to_write():
            self._write_errors = self._journal.write_errors
            self._mark_suspect()
        elif self._spoiled and not self._profile.is_suspect:  # the disk refused the mark itself
            self._mark_suspect()

    def _stood_still(self) -> bool:
        """Returns whether this runner was stopped, and the disk may have been full meanwhile."""
        return self._checked_at is not None and self._clock.now() - self._checked_at > MAX_UNCHECKED_SECONDS

    def _mark_suspect(self) -> None:
        if not self._suspect:
            log(LogEvent.PROFILE_SUSPECT, level=logging.WARNING, tenant=self.tenant)
        self._spoiled = self._suspect = True
        with suppress(OSError):  # the next check tries again
            self._profile.mark_suspect()

    async def _stage(self, directory: Path, freeze: Freeze | None) -> StagedSnapshot:
        staging = await asyncio.to_thread(self._profile.new_scratch_path)
        frozen_seconds = await asyncio.to_thread(self._copy, directory, staging, freeze)
        files = await asyncio.to_thread(list_files, staging)
        content = fingerprint(files)
        if content == self._saved_fingerprint:
            return StagedSnapshot(None, content, frozen_seconds)
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
        if packed.size_bytes > MAX_SNAPSHOT_BYTES:
            raise CopyStopped("the archive is too large")
        return StagedSnapshot(packed, content, frozen_seconds)

    def _copy(self, directory: Path, staging: Path, freeze: Freeze | None) -> float:
        """Copies the profile; returns for how many seconds the browser was frozen."""
        staging.mkdir(mode=0o700)
        if freeze is None:
            copy_profile(directory, staging, lambda: True)
            return 0.0
        begun_at = self._clock.now()
        with freeze() as frozen:
            copy_profile(directory, staging, lambda: frozen.still)
            if not frozen.still:
                raise CopyStopped("the copy took too long")
        return self._clock.now() - begun_at

    async def _store(self, packed: PackedArchive) -> None:
        upload = UploadRequest(
            tenant=self.tenant,
            epoch=self.epoch,
            sequence=self._sequence,
            sha256=packed.sha256,
            size_bytes=packed.size_bytes,
        )
        target = await self._client.upload(upload)
        await self._client.put(target.url, target.headers, packed.path)
        versions = {"chromium": self._shared.chromium, "wa_js": self._shared.wa_js}
        answer = await self._client.commit(CommitRequest(**{**upload.model_dump(), **versions}))
        if not answer.committed:
            raise SnapshotSuperseded
