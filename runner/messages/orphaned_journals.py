"""What sessions that ended or were killed on this disk had noted and could not hand in.

WhatsApp has its receipt for these messages and brings them to nobody else, and the next holder may be on another
machine, with a snapshot that is older. So they are handed in before this runner hosts anything, and now and then
afterwards, under the name of who noted them: the control plane takes them for a day.
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

#: All of them together: nobody waits longer for a runner that comes up.
WITHIN = 15.0
ATTEMPTS_AT_MOST = 5


class OrphanedJournals:
    """One disk's. A session that lives here answers for its own: its profile is locked, and left alone."""

    def __init__(
        self,
        *,
        directory: Path,
        profile_of: Callable[[str], Profile],
        conversation_of: Callable[[str, JournalOwner, Journal], Conversation],
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._profile_of = profile_of
        self._conversation_of = conversation_of
        self._clock = clock
        self._chance = chance

    async def hand_in(self, attempts_at_most: int = ATTEMPTS_AT_MOST) -> None:
        """What cannot be handed in now stays where it is, for the next time."""
        tenants = sorted(left.parent.name for left in self._directory.glob(f"*/{OWNER_FILE}"))
        # By chance, so that those who take all the time there is are not before the same others each time.
        tenants.sort(key=lambda _: self._chance())
        try:
            async with asyncio.timeout(WITHIN):
                for tenant in tenants:
                    await self._hand_in(tenant, attempts_at_most)
        except TimeoutError:
            log(LogEvent.ORPHANED_JOURNALS_TIMED_OUT, level=logging.WARNING)

    async def _hand_in(self, tenant: str, attempts_at_most: int) -> None:
        """One tenant's trouble is never another's, whatever stands on the disk: it ends here."""
        try:
            profile = self._profile_of(tenant)
            with profile.locked():
                await self._hand_in_journal(tenant, profile.journal, attempts_at_most)
        except ProfileBusy:
            return
        except (ControlPlaneError, OSError) as trouble:
            log(LogEvent.ORPHANED_JOURNAL_POSTPONED, tenant=tenant, error=trouble, code=getattr(trouble, "code", ""))
        except Exception as trouble:
            log(LogEvent.ORPHANED_JOURNAL_FAILED, level=logging.ERROR, tenant=tenant, error=trouble)

    async def _hand_in_journal(self, tenant: str, path: Path, attempts_at_most: int) -> None:
        journal, keeper = Journal(path), owner_of(path)
        journal.open()
        count = len(journal.waiting)
        try:
            if keeper is None:
                journal.disown()
            elif await self._tell(self._conversation_of(tenant, keeper, journal), attempts_at_most) and count:
                log(LogEvent.ORPHANED_JOURNAL_HANDED_IN, tenant=tenant, messages=count)
        except Unauthorised:
            log(LogEvent.ORPHANED_JOURNAL_EXPIRED, level=logging.WARNING, tenant=tenant, messages=count)
            journal.disown()
        finally:
            journal.close()

    async def _tell(self, conversation: Conversation, attempts_at_most: int) -> bool:
        """Whether the control plane has all of it."""
        for attempt in range(attempts_at_most - 1):
            try:
                return await conversation.hand_in()
            except TransientError:
                await self._clock.sleep(backoff_seconds(attempt, self._chance()))
        return await conversation.hand_in()
