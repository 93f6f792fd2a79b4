"""Keeps a linked page honest: online only if WhatsApp's server says so, and alone with its login."""

from runner.browser.page import Page, PageObservation
from runner.browser.page_state import PageState
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from wire import Hold, Phase, ProblemCode

PROOF_INTERVAL_SECONDS = 60.0
TAKEOVER_DELAY_SECONDS = 15.0
MAX_TAKEOVERS = 3
#: So long without a conflict, and the next one is a new story.
CONFLICT_MEMORY_SECONDS = 3600.0


class Liveness:
    """What is known about being online, across the pages of one session."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._proven_at: float | None = None
        self._conflict_at: float | None = None
        self._last_conflict_at: float | None = None
        self._takeovers = 0

    def reset(self) -> None:
        """Not online any more: the next time needs a new proof."""
        self._proven_at = None

    async def verify(
        self, page: Page, observation: PageObservation, claim: PageState, hold: Hold, confirmed_at: float
    ) -> PageState:
        """What is true of our account's page that claims ``claim``; ``confirmed_at``: the hold was confirmed then."""
        if claim.phase is Phase.CONFLICT:
            return await self._take_back(page, hold, confirmed_at)
        self._conflict_at = None
        if claim.phase is Phase.ONLINE and not await self._is_proven(page, observation):
            return PageState(Phase.OFFLINE, detail="WhatsApp's server does not answer")
        return claim

    async def _is_proven(self, page: Page, observation: PageObservation) -> bool:
        """By a round trip to WhatsApp's server, or by what the server sent since the last one."""
        now = self._clock.now()
        heard = observation.server_event_ms_ago
        if self._proven_at is not None and heard is not None:
            self._proven_at = max(self._proven_at, now - heard / 1000)
        if self._proven_at is None or now - self._proven_at >= PROOF_INTERVAL_SECONDS:
            if not await page.prove():
                return False
            self._proven_at = self._clock.now()
        return True

    async def _take_back(self, page: Page, hold: Hold, confirmed_at: float) -> PageState:
        """Another browser uses this login: ask the control plane first, then take it back, three times at most."""
        now = self._clock.now()
        if self._last_conflict_at is not None and now - self._last_conflict_at > CONFLICT_MEMORY_SECONDS:
            self._takeovers = 0
        self._last_conflict_at = now
        if self._takeovers >= MAX_TAKEOVERS:
            return PageState(Phase.CONFLICT, ProblemCode.CONFLICT, "taken over again and again")
        if self._conflict_at is None:
            self._conflict_at = now
        waited = now - self._conflict_at >= TAKEOVER_DELAY_SECONDS * 2**self._takeovers
        if waited and confirmed_at >= self._conflict_at:
            self._takeovers += 1
            self._conflict_at = None
            log(LogEvent.LOGIN_TAKEN_BACK, tenant=hold.tenant, attempt=self._takeovers)
            await page.take_over()
        return PageState(Phase.CONFLICT)
