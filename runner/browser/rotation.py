"""Rotates browsers: a browser is replaced although it works, because it is old or its memory has grown.

Browsers grow, and only a new one gives its memory back (playwright #6319). On one runner pages that work are renewed
one after the other, never together, for whatever reason.
"""

from collections.abc import Callable

from runner.browser.page import Page, PageError, PageObservation
from runner.browser.recovery import RenewalReason
from runner.clock import Clock

LIFETIME_SECONDS = 24 * 3600.0
LIFETIME_SPREAD_SECONDS = 4 * 3600.0
MAX_MEMORY_BYTES = 900_000_000
MAX_HEAP_BYTES = 400_000_000
#: A measurement costs a walk over all pages of all the browser's processes.
MEASURE_INTERVAL_SECONDS = 300.0
#: An account that needs more than its budget gets a new browser now and then, not again and again.
MIN_GROWN_AGE_SECONDS = 6 * 3600.0
MIN_INTERVAL_SECONDS = 120.0


class RotationSlots:
    """The rate limit that all sessions of a runner share: one page that works is renewed in each interval."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken_at: float | None = None

    def take(self) -> bool:
        """Takes a slot; returns whether there was one. The next one comes after the interval."""
        now = self._clock.now()
        if self._taken_at is not None and now - self._taken_at < MIN_INTERVAL_SECONDS:
            return False
        self._taken_at = now
        return True


class Rotation:
    """The age and the memory of one session's browser."""

    def __init__(self, clock: Clock, jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._jitter = jitter
        self.new_browser()

    def new_browser(self) -> None:
        """Begins anew with a new browser."""
        self._started_at = self._measured_at = self._clock.now()
        self._lifetime_seconds = LIFETIME_SECONDS + LIFETIME_SPREAD_SECONDS * (2 * self._jitter() - 1)
        self._memory_bytes = 0

    async def reason_to_replace(self, page: Page, observation: PageObservation) -> RenewalReason | None:
        """Returns the reason to replace the browser at a quiet moment, if there is one."""
        now = self._clock.now()
        if now - self._measured_at >= MEASURE_INTERVAL_SECONDS:
            self._measured_at = now
            try:
                self._memory_bytes = await page.memory_bytes()
            except PageError:
                self._memory_bytes = 0
        age_seconds = now - self._started_at
        if age_seconds >= self._lifetime_seconds:
            return RenewalReason.BROWSER_OLD
        grown = self._memory_bytes > MAX_MEMORY_BYTES or observation.heap_bytes > MAX_HEAP_BYTES
        return RenewalReason.MEMORY_GROWN if grown and age_seconds >= MIN_GROWN_AGE_SECONDS else None
