"""What sessions that ended or were killed on this disk had noted and could not hand in.

WhatsApp has its receipt for these messages and brings them to nobody else, and the next holder may be on another
machine, with a snapshot that is older. So they are handed in before this runner hosts anything, and now and then
afterwards, under the name of who noted them: the control plane takes them for a day.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from runner.backoff import backoff
from runner.clock import Clock
from runner.control import ControlTrouble, TryAgain, Unauthorised
from runner.conversation import Conversation
from runner.journal import KEEPER, Journal, Keeper, keeper_of
from runner.logs import note
from runner.profile import Profile, ProfileBusy

#: All of them together: nobody waits longer for a runner that comes up.
WITHIN = 15.0
ATTEMPTS_AT_MOST = 5


class Leftovers:
    """One disk's. A session that lives here answers for its own: its profile is locked, and left alone."""

    def __init__(
        self,
        directory: Path,
        profile_of: Callable[[str], Profile],
        conversation_of: Callable[[str, Keeper, Journal], Conversation],
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._profile_of = profile_of
        self._conversation_of = conversation_of
        self._clock = clock
        self._chance = chance

    async def hand_in(self) -> None:
        """What cannot be handed in now stays where it is, for the next time."""
        try:
            async with asyncio.timeout(WITHIN):
                for left in sorted(self._directory.glob(f"*/{KEEPER}")):
                    await self._hand_in(left.parent.name)
        except TimeoutError:
            note("leftovers took too long", level=logging.WARNING)

    async def _hand_in(self, tenant: str) -> None:
        profile = self._profile_of(tenant)
        try:
            with profile.locked():
                await self._hand_in_journal(tenant, profile.journal)
        except ProfileBusy:
            return
        except (ControlTrouble, OSError) as trouble:
            note("leftovers stay", tenant=tenant, trouble=trouble, code=getattr(trouble, "code", ""))

    async def _hand_in_journal(self, tenant: str, path: Path) -> None:
        journal, keeper = Journal(path), keeper_of(path)
        journal.open()
        count = len(journal.waiting)
        try:
            if keeper is None:
                journal.disown()
            elif await self._tell(self._conversation_of(tenant, keeper, journal)) and count:
                note("leftovers handed in", tenant=tenant, messages=count)
        except Unauthorised:
            note("leftovers are too old", level=logging.WARNING, tenant=tenant, messages=count)
            journal.disown()
        finally:
            journal.close()

    async def _tell(self, conversation: Conversation) -> bool:
        """Whether the control plane has all of it."""
        for attempt in range(ATTEMPTS_AT_MOST - 1):
            try:
                return await conversation.hand_in()
            except TryAgain:
                await self._clock.sleep(backoff(attempt, self._chance()))
        return await conversation.hand_in()
