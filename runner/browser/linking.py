"""Keeps a fresh QR code or pairing code on the page while an owner wants to link."""

from collections.abc import Awaitable, Callable

from runner.browser.page import Page, PageObservation, PageRefused, PageSilent
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from wire import Hold

#: After a refresh, new codes come within this time or not at all.
REFRESH_TIMEOUT_SECONDS = 10.0
PAIRING_RETRY_SECONDS = 15.0
#: A pairing code that is valid for less than this is replaced.
MIN_PAIRING_LEFT_MS = 5_000


class Linking:
    """The codes of one session: an idle page is refreshed; a pairing code is asked for where one is wanted."""

    def __init__(self, clock: Clock, load_again: Callable[[Page], Awaitable[None]]) -> None:
        self._clock = clock
        self._load_again = load_again
        self._without_code_since: float | None = None
        self._refreshed_at: float | None = None
        self._asked_to_pair_at: float | None = None

    def reset(self) -> None:
        """Begins anew with a new document."""
        self._without_code_since = None
        self._refreshed_at = None
        self._asked_to_pair_at = None

    async def refresh_code(self, page: Page, observation: PageObservation, hold: Hold) -> bool:
        """Keeps a code valid; returns whether one is missing although the page was asked for it."""
        if hold.pair_with is not None:
            await self._pair(page, observation, hold.pair_with)
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

    async def _pair(self, page: Page, observation: PageObservation, digits: str) -> None:
        now = self._clock.now()
        alive = observation.pairing is not None and observation.pairing.remaining_ms > MIN_PAIRING_LEFT_MS
        if alive and observation.pairing_phone == digits:
            return
        if self._asked_to_pair_at is not None and now - self._asked_to_pair_at < PAIRING_RETRY_SECONDS:
            return
        self._asked_to_pair_at = now
        try:
            await page.pair(digits)
        except (PageRefused, PageSilent) as error:
            log(LogEvent.PAIRING_FAILED, error=error, code=str(error))
