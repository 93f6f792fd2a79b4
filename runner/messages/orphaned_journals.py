"""The recovery of orphaned journals: hands in the messages that ended or killed sessions left on this disk.

WhatsApp has its receipts for these messages and delivers them to no other browser, and the session's next runner may
be another machine, with an older snapshot. So the runner hands them in before it hosts a session, and now and then
afterwards, under the token of the runner that received them: the control plane accepts it for a day.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from runner.backoff import backoff_seconds
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneError, TransientError, Unauthorised
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation
from runner.messages.journal import OWNER_FILE, Journal, JournalOwner, owner_of
from runner.profile.directory import Profile, ProfileBusy

#: The time for all journals together: a runner that starts hosts no session before.
TIMEOUT_SECONDS = 15.0
MAX_ATTEMPTS = 5


class OrphanedJournals:
    """The journals on one disk. That of a session that lives here is left alone: its profile is locked."""

    def __init__(
        self,
        *,
        directory: Path,
        profile_of: Callable[[str], Profile],
        conversation_of: Callable[[str, JournalOwner, Journal], Conversation],
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._profile_of = profile_of
        self._conversation_of = conversation_of
        self._clock = clock
        self._jitter = jitter

    async def hand_in(self, max_attempts: int = MAX_ATTEMPTS) -> None:
        """Hands in all journals; a journal that fails stays on the disk for the next call."""
        tenants = sorted(owner.parent.name for owner in self._directory.glob(f"*/{OWNER_FILE}"))
        # In random order, so that journals that take all the time do not starve the same others each time.
        tenants.sort(key=lambda _: self._jitter())
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                for tenant in tenants:
                    await self._hand_in(tenant, max_attempts)
        except TimeoutError:
            log(LogEvent.ORPHANED_JOURNALS_TIMED_OUT, level=logging.WARNING)

    async def _hand_in(self, tenant: str, max_attempts: int) -> None:
        """Hands in one journal. An error of one tenant ends here, also one that its files cause."""
        try:
            profile = self._profile_of(tenant)
            with profile.locked():
                await self._hand_in_journal(tenant, profile.journal, max_attempts)
        except ProfileBusy:
            return
        except (ControlPlaneError, OSError) as error:
            log(LogEvent.ORPHANED_JOURNAL_POSTPONED, tenant=tenant, error=error, code=getattr(error, "code", ""))
        except Exception as error:
            log(LogEvent.ORPHANED_JOURNAL_FAILED, level=logging.ERROR, tenant=tenant, error=error)

    async def _hand_in_journal(self, tenant: str, path: Path, max_attempts: int) -> None:
        journal, owner = Journal(path), owner_of(path)
        journal.open()
        count = len(journal.waiting)
        try:
            if owner is None:
                journal.delete_owner()
            elif await self._retry(self._conversation_of(tenant, owner, journal), max_attempts) and count:
                log(LogEvent.ORPHANED_JOURNAL_HANDED_IN, tenant=tenant, messages=count)
        except Unauthorised:
            log(LogEvent.ORPHANED_JOURNAL_EXPIRED, level=logging.WARNING, tenant=tenant, messages=count)
            journal.delete_owner()
        finally:
            journal.close()

    async def _retry(self, conversation: Conversation, max_attempts: int) -> bool:
        """Retries with backoff; returns whether the control plane has all messages."""
        for attempt in range(max_attempts - 1):
            try:
                return await conversation.hand_in()
            except TransientError:
                await self._clock.sleep(backoff_seconds(attempt, self._jitter()))
        return await conversation.hand_in()
