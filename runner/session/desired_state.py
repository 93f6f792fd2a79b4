"""What the host asks of one session, and the bell that wakes it to hear."""

import asyncio

from runner.clock import Clock
from wire import Hold, Wanted


class DesiredState:
    """Written by the host at any time, read by the session whenever it looks up."""

    def __init__(self, hold: Hold, clock: Clock) -> None:
        self.hold = hold
        #: The hold was confirmed by a call that began then.
        self.confirmed_at = clock.now()
        #: Off the network and silent, until the control plane confirms the session again.
        self.parked = False
        #: Why the session is to be released, once it is.
        self.leaving: str | None = None
        self._clock = clock
        self._bell = asyncio.Event()

    def confirm(self, hold: Hold, sent_at: float) -> None:
        """The control plane, asked at ``sent_at``, still says that this session is ours."""
        if hold.wanted is Wanted.RELEASE:
            self.leave("no longer wanted")
        before = self.hold
        if (hold.watched, hold.pair_with, hold.number) != (before.watched, before.pair_with, before.number):
            self.ring()
        self.hold = hold
        self.confirmed_at = sent_at

    def leave(self, reason: str) -> None:
        """Finish the reply being sent, close the browser in peace, end."""
        self.leaving = self.leaving or reason
        self.ring()

    def ring(self) -> None:
        """There is a reason to look at once."""
        self._bell.set()

    async def pause(self, seconds: float) -> None:
        """Until the bell, or so long."""
        await self._clock.wait(self._bell, seconds)
        self._bell.clear()
