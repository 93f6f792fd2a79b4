"""Checks the liveness of a linked page: WhatsApp's server must confirm that it is online; settles login conflicts."""

from runner.browser.page import Page, PageObservation
from runner.browser.page_state import PageState
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from wire import Hold, Phase, ProblemCode

PROOF_INTERVAL_SECONDS = 60.0
#: The same while the page's socket is known to be connected: WhatsApp Web watches it itself, and a line that asks
#: about its own number every minute of the day is an unusual client.
CONNECTED_PROOF_INTERVAL_SECONDS = 300.0
CONNECTED = "CONNECTED"
#: Before the first takeover; each further one waits twice as long.
TAKEOVER_DELAY_SECONDS = 15.0
MAX_TAKEOVERS = 3
#: After this time without a conflict the takeovers are counted from zero.
CONFLICT_MEMORY_SECONDS = 3600.0


class Liveness:
    """The proofs and conflicts of one session, across its pages."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._proven_at: float | None = None
        self._conflict_at: float | None = None
        self._last_conflict_at: float | None = None
        self._takeovers = 0
        self._ordered = False

    def order_takeover(self) -> None:
        """Takes the login back at the next conflict, or in the present one, at once: a person asked for it."""
        self._takeovers, self._ordered = 0, True

    def reset(self) -> None:
        """Forgets the last proof: the page is not online any more."""
        self._proven_at = None

    async def verify(
        self, page: Page, observation: PageObservation, claim: PageState, hold: Hold, confirmed_at: float
    ) -> PageState:
        """Returns the true state of our account's page that claims ``claim``.

        ``confirmed_at`` is when the control plane last confirmed the hold, by the runner's clock.
        """
        if claim.phase is Phase.CONFLICT:
            return await self._take_back(page, hold, confirmed_at)
        self._conflict_at, self._ordered = None, False
        if claim.phase is Phase.ONLINE and not await self._is_proven(page, observation):
            return PageState(Phase.OFFLINE, detail="WhatsApp's server does not answer")
        return claim

    async def _is_proven(self, page: Page, observation: PageObservation) -> bool:
        """Proves it by a round trip to WhatsApp's server, or by the server's events since the last one."""
        now = self._clock.now()
        event_ms_ago = observation.server_event_ms_ago
        if self._proven_at is not None and event_ms_ago is not None:
            self._proven_at = max(self._proven_at, now - event_ms_ago / 1000)
        connected = observation.socket == CONNECTED
        interval_seconds = CONNECTED_PROOF_INTERVAL_SECONDS if connected else PROOF_INTERVAL_SECONDS
        if self._proven_at is None or now - self._proven_at >= interval_seconds:
            if not await page.prove():
                return False
            self._proven_at = self._clock.now()
        return True

    async def _take_back(self, page: Page, hold: Hold, confirmed_at: float) -> PageState:
        """Takes the login back from another browser, three times at most, and only after the hold was confirmed.

        What a person orders is carried out at once, and counts from zero: the order itself confirmed the hold.
        """
        now = self._clock.now()
        if self._last_conflict_at is not None and now - self._last_conflict_at > CONFLICT_MEMORY_SECONDS:
            self._takeovers = 0
        self._last_conflict_at = now
        if self._takeovers >= MAX_TAKEOVERS:
            return PageState(Phase.CONFLICT, ProblemCode.CONFLICT, "taken over again and again")
        if self._conflict_at is None:
            self._conflict_at = now
        waited = now - self._conflict_at >= TAKEOVER_DELAY_SECONDS * 2**self._takeovers
        if self._ordered or (waited and confirmed_at >= self._conflict_at):
            self._takeovers += 1
            self._conflict_at, self._ordered = None, False
            log(LogEvent.LOGIN_TAKEN_BACK, tenant=hold.tenant, attempt=self._takeovers)
            await page.take_over()
        return PageState(Phase.CONFLICT)
