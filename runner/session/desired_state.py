"""The desired state of one session, as the host sets it, and the bell that wakes the session to read it."""

import asyncio

from runner.clock import Clock
from runner.session.release_reason import ReleaseReason
from wire import Hold, Wanted


class DesiredState:
    """The desired state; the host writes it at any time, the session reads it before each step."""

    def __init__(self, hold: Hold, clock: Clock) -> None:
        #: The last one that the control plane sent.
        self.hold = hold
        #: When the call began that confirmed the hold.
        self.confirmed_at = clock.now()
        #: The session stays off the network until the control plane confirms it again.
        self.parked = False
        #: The reason to release the session; None while it is to run.
        self.release_reason: ReleaseReason | None = None
        #: A person asked to try again, and no check has carried it out yet.
        self.try_again = False
        #: When the release was first asked for.
        self.leaving_since: float | None = None
        self._clock = clock
        self._bell = asyncio.Event()

    def confirm(self, hold: Hold, sent_at: float) -> None:
        """Stores the hold that a call begun at ``sent_at`` brought."""
        if hold.wanted is Wanted.RELEASE:
            self.leave(ReleaseReason.NO_LONGER_WANTED)
        before = self.hold
        if _shown(hold) != _shown(before):
            self.ring()
        if hold.try_again > before.try_again:
            self.try_again = True
            self.ring()
        self.hold = hold
        self.confirmed_at = sent_at

    def leave(self, reason: ReleaseReason) -> None:
        """Asks the session to finish the reply being sent, close its browser in peace, and end."""
        if self.release_reason is None:
            self.release_reason, self.leaving_since = reason, self._clock.now()
        self.ring()

    def ring(self) -> None:
        """Wakes the session."""
        self._bell.set()

    async def pause(self, seconds: float) -> None:
        """Waits for the bell, at most ``seconds``."""
        await self._clock.wait(self._bell, seconds)
        self._bell.clear()


def _shown(hold: Hold) -> tuple[object, ...]:
    """Returns what the page shows for this hold: the session looks at once when it changes."""
    return hold.watched, hold.pair_with, hold.pair_order, hold.number
