"""The outbox of a disk: hands in every journal on it, of sessions that live here, ended, or were killed.

WhatsApp has its receipts for these messages and delivers them to no other browser, and a session's next runner may be
another machine, with an older snapshot. So a journal is handed in until nothing waits, whatever became of its session:
that of a killed process by the next one on this disk, with the capability that lies beside it.

The guard is the profile's lock: it is held for as long as this process may hand a journal in. A session that comes back
meanwhile gets its journal together with the lock.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from runner.backoff import backoff_seconds
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, TransientError, Unauthorised
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.handover import Handover
from runner.messages.journal import Journal
from runner.messages.journal_owner import OWNER_FILE, owner_of
from runner.profile.directory import Profile, ProfileBusy

#: The disk is searched for journals of killed processes this often; the first time at once.
SCAN_EVERY_SECONDS = 30.0
#: The longest wait before a retry: messages in a journal are on this machine alone.
MAX_RETRY_SECONDS = 5.0
#: The same for a journal whose error a quick retry does not heal.
SLOW_RETRY_SECONDS = 60.0
#: A capability lasts until 24 h after its runner's end. A younger journal that is refused waits: this control plane is
#: of an older release, which knows no capabilities.
EXPIRED_AFTER = timedelta(hours=24)
#: So long a journal of a killed process is held back for a session that reports the link: after three leases its runner
#: is dead at the latest, and the session is placed again.
HELD_BACK_SECONDS = 200.0
#: Most requests at the same time; one that hangs holds up its own journal only.
MAX_REQUESTS = 16
#: The interval of checks for what is due without being woken: retries, and journals that were held back.
CHECK_SECONDS = 0.5
DRAIN_CHECK_SECONDS = 0.2


@dataclass(eq=False)
class Entry:
    """A journal that this process hands in."""

    handover: Handover
    #: Holds the profile's lock.
    lock: ExitStack
    #: A session of this process writes it.
    hosted: bool
    #: Its messages are not held back any longer then.
    held_back_until: float
    attempts: int = 0
    not_before: float = 0.0
    task: asyncio.Task[None] | None = None

    @property
    def journal(self) -> Journal:
        return self.handover.journal


class Outbox:
    """The journals that this process hands in, by tenant. An error of one never delays another."""

    def __init__(
        self,
        *,
        directory: Path,
        profile_of: Callable[[str], Profile],
        client: ControlPlaneClient,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._profile_of = profile_of
        self._client = client
        self._clock = clock
        self._jitter = jitter
        self._entries: dict[str, Entry] = {}
        self._requests = asyncio.Semaphore(MAX_REQUESTS)
        self._woken = asyncio.Event()

    @contextmanager
    def hosting(self, handover: Handover) -> Iterator[None]:
        """Opens the journal of a session, and hands it in: while the session lives, and afterwards until nothing waits.

        Raises ProfileBusy if another process holds the profile.
        """
        entry = self._take(handover)
        try:
            yield
        finally:
            entry.hosted = False
            entry.journal.hold_back(False)  # no hold will name the number; at worst the messages count as history
            self._close_if_empty(entry)
            self._woken.set()

    async def run(self) -> None:
        """Hands in until cancelled."""
        scan_at = self._clock.now()
        async with asyncio.TaskGroup() as group:
            while True:
                now = self._clock.now()
                if now >= scan_at:
                    self._scan()
                    scan_at = now + SCAN_EVERY_SECONDS
                for entry in self._entries.values():
                    if not entry.hosted and now >= entry.held_back_until:
                        entry.journal.hold_back(False)
                    if entry.task is None and entry.journal.is_due() and now >= entry.not_before:
                        entry.task = group.create_task(self._hand_in(entry), name=f"hand in {entry.handover.tenant}")
                await self._clock.wait(self._woken, CHECK_SECONDS)
                self._woken.clear()

    async def drain(self, seconds: float) -> None:
        """Hands in what it can within this time: the process ends, and perhaps its disk with it."""
        end = self._clock.now() + seconds
        for entry in self._entries.values():
            entry.journal.hold_back(False)
        while self._clock.now() < end and any(
            not entry.journal.is_empty() and entry.not_before < end for entry in self._entries.values()
        ):
            await self._clock.sleep(DRAIN_CHECK_SECONDS)

    # -- which journals there are ---------------------------------------------------------------------------------

    def _take(self, handover: Handover) -> Entry:
        """Opens a session's journal; it takes over the lock of a former entry. Raises ProfileBusy."""
        former = self._entries.get(handover.tenant)
        if former is None:
            return self._open(handover, hosted=True)
        if former.hosted:
            raise ProfileBusy("a session of this process works with this profile")
        if former.task is not None:
            former.task.cancel()
        former.journal.close()
        return self._open(handover, hosted=True, lock=former.lock)

    def _open(self, handover: Handover, *, hosted: bool, lock: ExitStack | None = None) -> Entry:
        with lock or ExitStack() as held:
            self._entries.pop(handover.tenant, None)
            if lock is None:
                held.enter_context(self._profile_of(handover.tenant).locked())
            handover.journal.open()
            handover.journal.on_change = self._woken.set
            held_back_until = self._clock.now() + HELD_BACK_SECONDS
            entry = Entry(handover, held.pop_all(), hosted, held_back_until)
        self._entries[handover.tenant] = entry
        self._woken.set()
        return entry

    def _scan(self) -> None:
        """Opens the journals that a killed process left. An error of one tenant's files ends here."""
        for tenant in sorted(owner.parent.name for owner in self._directory.glob(f"*/{OWNER_FILE}")):
            if tenant not in self._entries:
                try:
                    self._open_orphan(tenant)
                except ProfileBusy:
                    continue
                except Exception as error:
                    log(LogEvent.JOURNAL_FAILED, level=logging.ERROR, tenant=tenant, error=error)

    def _open_orphan(self, tenant: str) -> None:
        path = self._profile_of(tenant).journal
        owner = owner_of(path)
        if owner is None:
            return
        handover = Handover(
            tenant=tenant,
            epoch=owner.epoch,
            client=self._client.bound_to(owner.capability),
            journal=Journal(path, owner),
        )
        self._close_if_empty(self._open(handover, hosted=False))

    def _close_if_empty(self, entry: Entry) -> None:
        """Closes a journal without a session once the control plane has everything; its owner file goes, too."""
        if not entry.hosted and entry.journal.is_empty():
            self._close(entry)

    def _close(self, entry: Entry, *, disown: bool = False) -> None:
        del self._entries[entry.handover.tenant]
        entry.journal.close(disown=disown)
        entry.lock.close()

    # -- handing in -----------------------------------------------------------------------------------------------

    async def _hand_in(self, entry: Entry) -> None:
        """Hands in one journal once; an error is this journal's alone."""
        count = len(entry.journal.waiting)
        try:
            async with self._requests:
                if not await entry.handover.hand_in():
                    raise TransientError("not_acknowledged")
            entry.attempts = 0
            if not entry.hosted and count:
                log(LogEvent.JOURNAL_HANDED_IN, tenant=entry.handover.tenant, messages=count)
            self._close_if_empty(entry)
        except Exception as error:
            self._handle_error(entry, error, count)
        finally:
            entry.task = None

    def _handle_error(self, entry: Entry, error: Exception, count: int) -> None:
        """Retries later, or gives a journal up whose capability has expired: only a later session here hands it in."""
        tenant, now, refused = entry.handover.tenant, self._clock.now(), isinstance(error, Unauthorised)
        age = timedelta(milliseconds=self._clock.wall_ms() - entry.journal.newest_ms())
        if refused and not entry.hosted and age >= EXPIRED_AFTER:
            log(LogEvent.JOURNAL_EXPIRED, level=logging.WARNING, tenant=tenant, messages=count)
            self._close(entry, disown=True)
            return
        known = isinstance(error, ControlPlaneError)
        if entry.attempts == 0:
            if known:
                log(LogEvent.HANDING_IN_INTERRUPTED, tenant=tenant, error=error, code=str(error))
            else:
                log(LogEvent.JOURNAL_FAILED, level=logging.ERROR, tenant=tenant, error=error)
        quick = min(MAX_RETRY_SECONDS, backoff_seconds(entry.attempts, self._jitter()))
        entry.not_before = now + (quick if known and not refused else SLOW_RETRY_SECONDS)
        entry.attempts += 1
