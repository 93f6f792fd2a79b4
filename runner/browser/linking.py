"""Keeps a fresh QR code or pairing code on the page while an owner wants to link."""

from collections.abc import Awaitable, Callable

from runner.browser.page import Page, PageObservation, PageRefused, PageSilent
from runner.browser.pairing_order import PairingOrder
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from wire import Hold, PairingProblem

#: After a refresh, new codes come within this time or not at all.
REFRESH_TIMEOUT_SECONDS = 10.0
#: A pairing code that is valid for less than this is replaced.
MIN_PAIRING_LEFT_MS = 5_000


class Linking:
    """The codes of one session: an idle page is refreshed; a pairing code is asked for where one is wanted.

    Args:
        jitter: returns a number from 0 to 1.
    """

    def __init__(
        self, clock: Clock, load_again: Callable[[Page], Awaitable[None]], jitter: Callable[[], float]
    ) -> None:
        #: Why a pairing code is wanted and none is shown; None while one is shown, on its way, or not wanted.
        self.pairing_problem: PairingProblem | None = None
        self._clock = clock
        self._load_again = load_again
        self._jitter = jitter
        self._without_code_since: float | None = None
        self._refreshed_at: float | None = None
        #: The number and the instant of the order that is carried out; it outlives its document and its browser.
        self._order_of: tuple[str, int | None] | None = None
        self._order = PairingOrder()

    def reset(self) -> None:
        """Begins anew with a new document."""
        self._without_code_since = None
        self._refreshed_at = None
        self.pairing_problem = None

    async def refresh_code(self, page: Page, observation: PageObservation, hold: Hold) -> bool:
        """Keeps a code valid; returns whether one is missing although the page was asked for it."""
        self.pairing_problem = None
        if hold.pair_with is not None:
            await self._pair(page, observation, hold.pair_with, hold.pair_order)
        elif observation.pairing is not None:
            await self._load_again(page)  # back from the pairing code to the QR code
        elif observation.qr is None and hold.watched:
            return await self._is_code_missing(page, observation)
        else:  # while no owner has the page open, WhatsApp need not be asked for codes
            self._without_code_since = self._refreshed_at = None
        return False

    async def _is_code_missing(self, page: Page, observation: PageObservation) -> bool:
        now = self._clock.now()
        if self._without_code_since is None:
            self._without_code_since = now
        if observation.idle and self._refreshed_at is None:
            self._refreshed_at = now
            await page.refresh_qr()
        return now - max(self._without_code_since, self._refreshed_at or 0.0) >= REFRESH_TIMEOUT_SECONDS

    async def _pair(self, page: Page, observation: PageObservation, digits: str, order: int | None) -> None:
        self._follow(digits, order)
        now = self._clock.now()
        alive = observation.pairing is not None and observation.pairing.remaining_ms > MIN_PAIRING_LEFT_MS
        if alive and observation.pairing_phone == digits:
            return
        if self._order.may_ask(now):
            try:
                await page.pair(digits)
            except (PageRefused, PageSilent) as error:
                log(LogEvent.PAIRING_FAILED, error=error, code=str(error))
                self._order.mark_refused(now, self._jitter())
            else:
                self._order.mark_given(now)
                return
        self.pairing_problem = self._order.problem

    def _follow(self, digits: str, order: int | None) -> None:
        """Begins a new order, or ends the one that the control plane has closed (0)."""
        if order == 0:
            if self._order_of is None or self._order_of[0] != digits:
                self._order_of, self._order = (digits, order), PairingOrder(is_open=False)
            self._order.close()
        elif self._order_of != (digits, order):
            self._order_of, self._order = (digits, order), PairingOrder()
