"""Restores the profile that a session starts from: this machine's, or the newest snapshot that works.

A session that should start from a snapshot and cannot fetch it waits for it: an older login would come online with
older keys. A snapshot that does not work is never deleted; the one before it is tried, until there is none.
"""

import asyncio
import errno
import logging
from collections.abc import Callable

from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Refused
from runner.log_events import LogEvent
from runner.logs import log
from runner.profile.archive import ExpectedArchive, SnapshotDamaged, unpack
from runner.profile.directory import OpenedProfile, Profile
from wire import Hold, RestoreRequest, SnapshotVersion

#: A login that comes online and is lost again more often than this is lost.
MAX_STEPS_BACK = 10
#: A suspect profile is newer than any snapshot, if it works at all.
MAX_SUSPECT_OPENINGS = 2


class Restorer:
    """The restores of one session. Used only while the profile's lock is held; all sessions share ``packing``."""

    def __init__(
        self,
        *,
        hold: Hold,
        client: ControlPlaneClient,
        profile: Profile,
        packing: asyncio.Semaphore,
        chromium: str,
        clock: Clock,
        has_room: Callable[[int], bool] = lambda archive_bytes: True,
    ) -> None:
        self.tenant = hold.tenant
        self.epoch = hold.epoch
        self._client = client
        self._profile = profile
        self._packing = packing
        self._chromium = chromium
        self._clock = clock
        self._has_room = has_room
        #: Keys of snapshots that did not work; and the last one's reason, until it was reported to the control plane.
        self._failed: list[str] = []
        self._unreported_reason = ""
        #: The snapshot that the profile is a mere copy of, while it was never online.
        self._copy_of: SnapshotVersion | None = None
        self._steps = 0
        self._needs_older = False
        self._gave_up = False

    async def open(self, hold: Hold) -> OpenedProfile:
        """Opens the newest profile there is, by the rule in ``directory``.

        Raises ControlPlaneError, ChromiumTooOld or OSError when it cannot be opened just now.
        """
        if self._profile.leftover_scratch():
            await asyncio.to_thread(self._profile.clear_scratch)
        while self._needs_older or not self._is_local_newest(hold):
            versions = await self._fetch_versions()
            if not versions:
                self._needs_older = False
                break
            try:
                return await self._restore(versions[0])
            except SnapshotDamaged as damage:
                self._reject(versions[0], str(damage))
        opened = self._profile.open(hold.epoch)
        if self._profile.is_suspect:
            self._profile.count_suspect_opening()
        # If the control plane knows an account, a code on the page means that its login is lost.
        return OpenedProfile(opened.directory, opened.was_linked or (hold.number is not None and not self._gave_up))

    async def step_back(self, hold: Hold) -> bool:
        """Rejects a linked profile that shows a code; returns whether there is another to try, which ``open`` opens."""
        spoiled = self._copy_of is not None and self._profile.is_suspect
        self._steps += not spoiled
        if self._gave_up or hold.number is None or self._steps > MAX_STEPS_BACK:
            return False
        if spoiled:
            # The snapshot is as good as it was: it is restored once more.
            self._unreported_reason = "a full disk spoiled the runner's copy"
        elif self._copy_of is not None:
            self._reject(self._copy_of, "it shows a code")
        else:
            self._unreported_reason = "the runner's own copy shows a code"
        try:
            self._needs_older = bool(await self._fetch_versions())
        except ControlPlaneError:
            self._needs_older = True  # `open` retries
        return self._needs_older

    def linked(self) -> None:
        """Records that the owner scanned a code: earlier logins do not count any more."""
        self._gave_up = False
        self.came_online()

    def came_online(self) -> None:
        """Records that the profile came online: it is this machine's own now, and newer than any snapshot."""
        self._copy_of = None

    def give_up(self) -> None:
        """Records that the login is over: the next profile is a new one."""
        self._gave_up = True
        self._needs_older = False
        self._copy_of = None

    def _is_local_newest(self, hold: Hold) -> bool:
        """Returns whether no snapshot is needed: no account was ever linked, or this machine has the newest profile."""
        if hold.number is None or self._gave_up:
            return True
        if self._profile.suspect_openings >= MAX_SUSPECT_OPENINGS:
            return False
        marker = self._profile.marker()
        return marker is not None and marker.linked and self._profile.is_newest(hold.last_epoch)

    async def _fetch_versions(self) -> tuple[SnapshotVersion, ...]:
        """Returns the snapshots that were not rejected, newest first; reports the last rejection."""
        reason = self._unreported_reason
        answer = await self._client.restore(
            RestoreRequest(tenant=self.tenant, epoch=self.epoch, failed=tuple(self._failed[-32:]), reason=reason[:200])
        )
        self._unreported_reason = ""
        return answer.generations

    def _reject(self, version: SnapshotVersion, reason: str) -> None:
        """Excludes a snapshot from this session's further attempts. It is not deleted."""
        name = f"{version.epoch}-{version.sequence}"
        log(LogEvent.SNAPSHOT_REJECTED, level=logging.WARNING, tenant=self.tenant, snapshot=name, reason=reason)
        if version.key not in self._failed:
            self._failed.append(version.key)
        self._unreported_reason = f"snapshot {name}: {reason}"

    async def _restore(self, version: SnapshotVersion) -> OpenedProfile:
        begun_at = self._clock.now()
        if not self._has_room(version.size_bytes):
            raise OSError(errno.ENOSPC, "the snapshot would leave the browsers on this disk no room")
        directory = await asyncio.to_thread(self._profile.new_scratch_path)
        archive = directory.with_suffix(".tar.zst")
        expected = ExpectedArchive(
            self.tenant, version.epoch, version.sequence, version.sha256, self._chromium, version.chromium
        )
        try:
            await self._client.fetch(version.url, archive, version.size_bytes)
            async with self._packing:
                await asyncio.to_thread(unpack, archive, directory, expected)
        except Refused as refusal:
            raise SnapshotDamaged(f"it cannot be fetched ({refusal.code})") from refusal
        finally:
            archive.unlink(missing_ok=True)
        keep = self._copy_of is None
        opened = await asyncio.to_thread(lambda: self._profile.replace(self.epoch, directory, keep=keep))
        self._copy_of = version
        self._needs_older = False
        log(
            LogEvent.SNAPSHOT_RESTORED,
            tenant=self.tenant,
            snapshot=f"{version.epoch}-{version.sequence}",
            bytes=version.size_bytes,
            seconds=round(self._clock.now() - begun_at, 2),
        )
        return opened
