"""When a browser is replaced although nothing is wrong with it: it is old, or it has grown too large.

Browsers grow, and only a new one gives its memory back (playwright #6319). On one runner they are replaced
one after the other, never together.
"""

from collections.abc import Callable

from runner.browser.page import Page, PageError, PageObservation
from runner.clock import Clock

LIFETIME_SECONDS = 24 * 3600.0
LIFETIME_SPREAD_SECONDS = 4 * 3600.0
MAX_MEMORY_BYTES = 900_000_000
MAX_HEAP_BYTES = 400_000_000
#: Measuring costs a walk over all pages of all its processes.
MEASURE_INTERVAL_SECONDS = 300.0
#: An account that needs more than its budget gets a new browser now and then, not again and again.
MIN_GROWN_AGE_SECONDS = 6 * 3600.0
MIN_INTERVAL_SECONDS = 120.0


class RotationSlots:
    """SharedResources by all sessions of a runner: who may replace its browser now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken_at: float | None = None

    def take(self) -> bool:
        """Whether it is this one's turn; if so, the next one's comes some time later."""
        now = self._clock.now()
        if self._taken_at is not None and now - self._taken_at < MIN_INTERVAL_SECONDS:
            return False
        self._taken_at = now
        return True


class Rotation:
    """One session's browsers."""

    def __init__(self, clock: Clock, chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self.new_browser()

    def new_browser(self) -> None:
        """There is a new browser."""
        self._born_at = self._measured_at = self._clock.now()
        self._lifetime = LIFETIME_SECONDS + LIFETIME_SPREAD_SECONDS * (2 * self._chance() - 1)
        self._memory = 0

    async def reason_to_replace(self, page: Page, observation: PageObservation) -> str | None:
        """Why the browser should be replaced at a quiet moment, if it should."""
        now = self._clock.now()
        if now - self._measured_at >= MEASURE_INTERVAL_SECONDS:
            self._measured_at = now
            try:
                self._memory = await page.memory_bytes()
            except PageError:
                self._memory = 0
        age = now - self._born_at
        if age >= self._lifetime:
            return "its browser is old"
        grown = self._memory > MAX_MEMORY_BYTES or observation.heap_bytes > MAX_HEAP_BYTES
        return "its browser has grown too large" if grown and age >= MIN_GROWN_AGE_SECONDS else None
