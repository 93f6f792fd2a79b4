"""Saves snapshots of a session's profile: whenever one is due while it is online, and one after its browser was closed.

A session needs no snapshot to be online: when one cannot be taken or stored, the session does not notice, and the
saver retries later.

Nothing is saved of a browser that is spoiled by a full disk (``disk_check.py``): the good snapshots stay.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from runner.browser.process_freeze import FrozenBrowser
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, StaleEpoch
from runner.disk import WRITE_ERRORS, Disk
from runner.log_events import LogEvent
from runner.logs import log
from runner.profile.archive import LinkedFileChanged, PackedArchive, pack
from runner.profile.directory import Profile
from runner.profile.disk_check import DiskCheck, JournalCounters
from runner.profile.manifest import Manifest
from runner.profile.save_errors import FAILURES, BrowserSpoiled, NotOnline, SnapshotSuperseded, problem_of
from runner.profile.schedule import SnapshotSchedule
from runner.profile.staged_copy import CopyStopped, StagedCopy, copy_profile
from wire import CommitRequest, Hold, SaveProblem, UploadRequest

CHECK_INTERVAL_SECONDS = 1.0
#: For the snapshot of a closed browser: part of the time that a drain has.
FINAL_SNAPSHOT_TIMEOUT_SECONDS = 40.0
FINAL_SNAPSHOT_ATTEMPTS = 3
FINAL_SNAPSHOT_RETRY_SECONDS = 1.0

#: Freezes the browser within its context; used in another thread.
Freeze = Callable[[], AbstractContextManager[FrozenBrowser]]


@dataclass(frozen=True, slots=True)
class SharedResources:
    """The parts that all sessions of this runner share."""

    disk: Disk
    #: Packing takes a processor for a moment; the replies of all sessions need one too.
    packing: asyncio.Semaphore
    chromium: str
    wa_js: str
    #: By tenant: the epoch and the sequence of the snapshot whose upload was begun last.
    begun: dict[str, tuple[int, int]] = field(default_factory=dict)

    def next_sequence(self, tenant: str, epoch: int) -> int:
        """Returns the next sequence; it goes on for a session that was killed and started again at the same epoch."""
        last_epoch, last_sequence = self.begun.get(tenant, (epoch, 0))
        return last_sequence + 1 if last_epoch == epoch else 1


class StagedSnapshot(NamedTuple):
    """A snapshot on this disk."""

    packed: PackedArchive
    sequence: int
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
        self._shared = shared
        self._clock = clock
        self._disk_check = DiskCheck(profile, journal, shared.disk, clock)
        self._schedule = SnapshotSchedule()
        self._saved_fingerprint: str | None = None
        #: Files that changed although their database never changes such: they are copied from then on.
        self._never_link: frozenset[str] = frozenset()
        self._began_at = clock.now()
        #: Why the last attempt failed.
        self.problem: SaveProblem | None = None

    @property
    def saved_at(self) -> float:
        """Returns when the profile was last found to be saved; the session's begin, if it never was."""
        return self._schedule.saved_at(self._clock.now()) or self._began_at

    def linked(self) -> None:
        """Records that the account was linked just now."""
        self._schedule.linked()

    def new_browser(self) -> None:
        """Begins anew with a browser that is started on the profile."""
        self._disk_check.new_browser()

    def online(self, online: bool) -> None:
        """Records whether the page is proven to be online with the expected account."""
        self._schedule.online(online, self._clock.now())
        if online and not self._disk_check.spoiled and self._profile.is_suspect:
            self._profile.clear_suspect()
            log(LogEvent.PROFILE_TRUSTED, tenant=self.tenant)

    def needs_new_browser(self) -> bool:
        """Returns whether only a new browser can show if the files are sound: there is room now, and there was none."""
        return self._disk_check.spoiled and not self._shared.disk.is_full()

    def may_restart(self) -> bool:
        """Returns whether a browser that works may start again: on a full disk it goes on in memory, and only there."""
        return not self._shared.disk.is_full()

    async def run(
        self,
        directory: Path,
        freeze: Freeze,
        is_online: Callable[[], Awaitable[bool]],
        on_too_large: Callable[[], None] = lambda: None,
    ) -> None:
        """Saves a running browser whenever that is due, until cancelled; calls back if it is too large for the disk."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._disk_check.run())
            group.create_task(self._disk_check.watch_size(directory, on_too_large))
            group.create_task(self._save_when_due(directory, freeze, is_online))

    async def save_final(self, directory: Path) -> None:
        """Saves the profile of a browser that was online and closed normally: the best snapshot there can be."""
        self._disk_check.check()
        if self._disk_check.spoiled or not self._shared.disk.has_room_to_save():
            log(LogEvent.FINAL_SNAPSHOT_SKIPPED, tenant=self.tenant)
            return
        try:
            async with asyncio.timeout(FINAL_SNAPSHOT_TIMEOUT_SECONDS):
                for _ in range(FINAL_SNAPSHOT_ATTEMPTS):
                    if await self._save(directory):
                        if self.problem is None:
                            self._profile.mark_saved()
                        return
                    await self._clock.sleep(FINAL_SNAPSHOT_RETRY_SECONDS)
        except TimeoutError:
            log(LogEvent.FINAL_SNAPSHOT_TIMED_OUT, tenant=self.tenant)

    async def _save_when_due(self, directory: Path, freeze: Freeze, is_online: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await self._clock.sleep(CHECK_INTERVAL_SECONDS)
            seen = self._journal.seen_count
            if seen != self._seen_count:
                self._seen_count = seen
                self._schedule.active(self._clock.now())
            if self._disk_check.spoiled:
                if self.problem is not SaveProblem.DISK_FULL:
                    self.problem = SaveProblem.DISK_FULL
                    self._schedule.active(self._clock.now())  # what its next browser finds is to be saved
            elif self._schedule.is_due(self._clock.now()):
                await self._save(directory, freeze, is_online)

    async def _save(
        self, directory: Path, freeze: Freeze | None = None, is_online: Callable[[], Awaitable[bool]] | None = None
    ) -> bool:
        """Takes, packs, stores and commits a snapshot; returns whether nothing is left to save."""
        begun_at = self._clock.now()
        if not self._shared.disk.has_room_to_save():
            self.problem = SaveProblem.DISK_FULL
            self._schedule.failed(begun_at)
            return False
        try:
            async with self._shared.packing:
                staged = await self._stage(directory, freeze)
            # After the copy: a page that is logged in now was so while it was frozen.
            if is_online is not None and not await is_online():
                raise NotOnline
            self._disk_check.check()
            if self._disk_check.spoiled:
                raise BrowserSpoiled
            changed = staged.packed.fingerprint != self._saved_fingerprint
            if changed:
                await self._store(staged)
        except FAILURES as error:
            return self._failed(error)
        finally:
            await asyncio.to_thread(self._profile.clear_scratch)
        self._saved(staged, begun_at, changed)
        return True

    def _failed(self, error: Exception) -> bool:
        """Notes a failure; returns whether nothing is left to save: the hold is another runner's, or the files bad."""
        problem = problem_of(error)
        if not self._schedule.failures or problem is not self.problem:
            level = logging.WARNING if problem is SaveProblem.TOO_LARGE else logging.INFO
            code = getattr(error, "code", "")
            log(LogEvent.SNAPSHOT_FAILED, level=level, tenant=self.tenant, problem=problem, error=error, code=code)
        self.problem = problem
        self._schedule.failed(self._clock.now())
        if isinstance(error, LinkedFileChanged):
            self._never_link |= {error.path}
        if isinstance(error, OSError) and error.errno in WRITE_ERRORS:
            self._disk_check.refused()
        self._disk_check.check()
        return isinstance(error, StaleEpoch) or self._disk_check.spoiled

    def _saved(self, staged: StagedSnapshot, begun_at: float, changed: bool) -> None:
        if self._schedule.failures:
            log(LogEvent.SNAPSHOTS_RECOVERED, tenant=self.tenant)
        now, size_bytes = self._clock.now(), staged.packed.size_bytes
        self.problem = None
        self._saved_fingerprint = staged.packed.fingerprint
        self._schedule.saved(begun_at, now, size_bytes)
        if changed:
            log(
                LogEvent.SNAPSHOT_TAKEN,
                tenant=self.tenant,
                snapshot=f"{self.epoch}-{staged.sequence}",
                bytes=size_bytes,
                frozen_ms=round(staged.frozen_seconds * 1000),
                seconds=round(now - begun_at, 2),
            )

    async def _stage(self, directory: Path, freeze: Freeze | None) -> StagedSnapshot:
        staging = await asyncio.to_thread(self._profile.new_scratch_path)
        copy, frozen_seconds = await asyncio.to_thread(self._copy, directory, staging, freeze)
        sequence = self._shared.next_sequence(self.tenant, self.epoch)
        manifest = Manifest(
            tenant=self.tenant,
            epoch=self.epoch,
            sequence=sequence,
            chromium=self._shared.chromium,
            wa_js=self._shared.wa_js,
            files=copy.files,
        )
        archive = staging.with_suffix(".tar.zst")
        packing = partial(pack, linked=copy.linked, has_room=self._shared.disk.has_room_to_pack)
        packed = await asyncio.to_thread(packing, staging, manifest, archive)
        return StagedSnapshot(packed, sequence, frozen_seconds)

    def _copy(self, directory: Path, staging: Path, freeze: Freeze | None) -> tuple[StagedCopy, float]:
        """Copies the profile; returns for how many seconds the browser was frozen, too."""
        staging.mkdir(mode=0o700)
        begun_at, begun_at_ms = self._clock.now(), self._clock.wall_ms()
        with freeze() if freeze is not None else nullcontext() as frozen:
            copy = copy_profile(
                directory,
                staging,
                lambda: frozen is None or frozen.still,
                frozen_at_ms=begun_at_ms,
                never_link=self._never_link,
            )
            if frozen is not None and not frozen.still:
                raise CopyStopped("the copy took too long")
        return copy, 0.0 if freeze is None else self._clock.now() - begun_at

    async def _store(self, staged: StagedSnapshot) -> None:
        packed = staged.packed
        self._shared.begun[self.tenant] = self.epoch, staged.sequence
        upload = UploadRequest(
            tenant=self.tenant,
            epoch=self.epoch,
            sequence=staged.sequence,
            sha256=packed.sha256,
            size_bytes=packed.size_bytes,
        )
        target = await self._client.upload(upload)
        await self._client.put(target.url, target.headers, packed.path)
        versions = {"chromium": self._shared.chromium, "wa_js": self._shared.wa_js}
        answer = await self._client.commit(CommitRequest(**{**upload.model_dump(), **versions}))
        if not answer.committed:
            raise SnapshotSuperseded
