"""From which profile a session starts: this machine's, or the newest snapshot that serves.

A session that should start from a snapshot and cannot fetch it waits for it: an older login would come back with
older keys. A snapshot that does not serve is never deleted; the one before it is tried, until there is none.
"""

import asyncio
import logging

from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Refused
from runner.log_events import LogEvent
from runner.logs import log
from runner.profile.archive import Expected, SnapshotDamaged, unpack
from runner.profile.directory import Opened, Profile
from wire import Hold, RestoreRequest, SnapshotVersion

#: A login that comes up and is lost again and again is lost.
MAX_STEPS_BACK = 10
#: A suspect profile is newer than any snapshot, if it serves at all.
MAX_SUSPECT_OPENINGS = 2


class Restorer:
    """One session's. Used only while the profile's lock is held; ``packing`` is shared by all sessions."""

    def __init__(
        self,
        *,
        hold: Hold,
        client: ControlPlaneClient,
        profile: Profile,
        packing: asyncio.Semaphore,
        chromium: str,
        clock: Clock,
    ) -> None:
        self.tenant = hold.tenant
        self.epoch = hold.epoch
        self._client = client
        self._profile = profile
        self._packing = packing
        self._chromium = chromium
        self._clock = clock
        #: Keys that did not serve; and why the last one did not, until the control plane was told.
        self._failed: list[str] = []
        self._untold = ""
        #: What the profile is a mere copy of, as long as it was never online.
        self._copy_of: SnapshotVersion | None = None
        self._steps = 0
        self._wants_older = False
        self._gave_up = False
        #: How often this machine's suspect profile was opened and did not come online.
        self._opened_suspect = 0

    async def open(self, hold: Hold) -> Opened:
        """The newest profile there is (profile.py has the rule).

        Raises ControlPlaneError, ChromiumTooOld or OSError when that cannot be had just now.
        """
        if self._profile.leftover_scratch():
            await asyncio.to_thread(self._profile.clear_scratch)
        while self._wants_older or not self._is_here(hold):
            offered = await self._offered()
            if not offered:
                self._wants_older = False
                break
            try:
                return await self._restore(offered[0])
            except SnapshotDamaged as damage:
                self._strike(offered[0], str(damage))
        opened = self._profile.open(hold.epoch)
        self._opened_suspect += self._profile.is_suspect
        # The control plane knows an account: a code on the screen then means that its login is lost.
        return Opened(opened.directory, opened.was_linked or (hold.number is not None and not self._gave_up))

    async def step_back(self, hold: Hold) -> bool:
        """The profile was linked and shows a code: whether there is another to try, which `open` then brings."""
        self._steps += 1
        if self._gave_up or hold.number is None or self._steps > MAX_STEPS_BACK:
            return False
        if self._copy_of is not None:
            self._strike(self._copy_of, "it shows a code")
        else:
            self._untold = "the runner's own copy shows a code"
        try:
            self._wants_older = bool(await self._offered())
        except ControlPlaneError:
            self._wants_older = True  # `open` asks again
        return self._wants_older

    def linked(self) -> None:
        """The owner scanned a code: what was before is history."""
        self._gave_up = False
        self.came_online()

    def came_online(self) -> None:
        """The profile came online: from now on it is this machine's own, and newer than any snapshot."""
        self._copy_of = None
        self._opened_suspect = 0

    def give_up(self) -> None:
        """The login is over: the next profile is a new one."""
        self._gave_up = True
        self._wants_older = False
        self._copy_of = None

    def _is_here(self, hold: Hold) -> bool:
        """Whether no snapshot is needed: nothing was ever linked, or this machine has the newest."""
        if hold.number is None or self._gave_up:
            return True
        if self._profile.is_suspect and self._opened_suspect >= MAX_SUSPECT_OPENINGS:
            return False
        marker = self._profile.marker()
        return marker is not None and marker.linked and self._profile.is_newest(hold.last_epoch)

    async def _offered(self) -> tuple[SnapshotVersion, ...]:
        told = self._untold
        answer = await self._client.restore(
            RestoreRequest(tenant=self.tenant, epoch=self.epoch, failed=tuple(self._failed[-32:]), reason=told[:200])
        )
        self._untold = ""
        return answer.generations

    def _strike(self, generation: SnapshotVersion, why: str) -> None:
        """This session does not try it again. It stays where it is."""
        name = f"{generation.epoch}-{generation.sequence}"
        log(LogEvent.SNAPSHOT_REJECTED, level=logging.WARNING, tenant=self.tenant, snapshot=name, reason=why)
        if generation.key not in self._failed:
            self._failed.append(generation.key)
        self._untold = f"snapshot {name}: {why}"

    async def _restore(self, generation: SnapshotVersion) -> Opened:
        begun = self._clock.now()
        directory = await asyncio.to_thread(self._profile.new_scratch_path)
        archive = directory.with_suffix(".tar.zst")
        expected = Expected(self.tenant, generation.epoch, generation.sequence, generation.sha256, self._chromium)
        try:
            await self._client.fetch(generation.url, archive, generation.size_bytes)
            async with self._packing:
                await asyncio.to_thread(unpack, archive, directory, expected)
        except Refused as refusal:
            raise SnapshotDamaged(f"it cannot be fetched ({refusal.code})") from refusal
        finally:
            archive.unlink(missing_ok=True)
        opened = self._profile.replace(self.epoch, directory, keep=self._copy_of is None)
        self._copy_of = generation
        self._wants_older = False
        log(
            LogEvent.SNAPSHOT_RESTORED,
            tenant=self.tenant,
            snapshot=f"{generation.epoch}-{generation.sequence}",
            bytes=generation.size_bytes,
            seconds=round(self._clock.now() - begun, 2),
        )
        return opened
