"""The document in the page: loaded when it must be, and how patient one is with one that does not come to life."""

from collections.abc import Callable

from runner.backoff import backoff_seconds
from runner.browser.page import Page
from runner.browser.recovery_ladder import Step
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log

#: A page without wa-js after this is loaded again.
INJECTION_TIMEOUT_SECONDS = 30.0
#: After so many loads in vain wa-js and the page do not understand each other: no more storms of restarts.
MAX_FAILED_LOADS = 4
INCOMPATIBLE_RETRY_SECONDS = 300.0
#: What is still missing then will not come: modules are loaded one after the other.
COMPLETION_TIMEOUT_SECONDS = 60.0


class PageLoader:
    """Counts across the browsers of one session; ``fresh`` is called whenever a new document begins."""

    def __init__(self, tenant: str, clock: Clock, chance: Callable[[], float], fresh: Callable[[], None]) -> None:
        self._tenant = tenant
        self._clock = clock
        self._chance = chance
        self._fresh = fresh
        self._loaded_at: float | None = None
        self._in_vain = 0
        self._unreachable = 0
        self._lacks_since: float | None = None

    @property
    def is_incompatible(self) -> bool:
        """wa-js did not find WhatsApp's modules, however often the page was loaded."""
        return self._in_vain >= MAX_FAILED_LOADS

    def reset(self) -> None:
        """There is none: a new browser, or one that could not be loaded."""
        self._loaded_at = None
        self._fresh()

    def responded(self) -> None:
        """wa-js answers."""
        self._in_vain = 0

    def is_incomplete(self, missing: tuple[str, ...]) -> bool:
        """Whether something that is needed has been missing for so long that it will not come."""
        now = self._clock.now()
        if missing:
            self._lacks_since = self._lacks_since or now
        elif self._age() >= COMPLETION_TIMEOUT_SECONDS:
            self._lacks_since = None
        return self._lacks_since is not None and now - self._lacks_since >= COMPLETION_TIMEOUT_SECONDS

    async def load(self, page: Page) -> None:
        """Load, if there is none."""
        if self._loaded_at is None:
            await page.load()
            self._loaded_at = self._clock.now()
            self._unreachable = 0

    async def reload(self, page: Page, reason: str) -> None:
        """Load again."""
        log(LogEvent.PAGE_RELOADED, tenant=self._tenant, reason=reason)
        self.reset()
        await self.load(page)

    def retry_delay_seconds(self) -> float:
        """It could not be loaded; how long to wait before the next attempt."""
        self._unreachable += 1
        return backoff_seconds(self._unreachable, self._chance())

    def may_retry(self) -> bool:
        """Whether an incompatible page was looked at long enough: WhatsApp may have another one by now."""
        return self._age() >= INCOMPATIBLE_RETRY_SECONDS

    def next_step(self) -> Step:
        """wa-js does not answer: wait, load again, once start a new browser, then be patient."""
        patience = INCOMPATIBLE_RETRY_SECONDS if self.is_incompatible else INJECTION_TIMEOUT_SECONDS
        if self._loaded_at is None or self._clock.now() - self._loaded_at < patience:
            return Step.WAIT
        self._in_vain += 1
        return Step.RELAUNCH if self._in_vain == MAX_FAILED_LOADS - 1 else Step.RELOAD

    def _age(self) -> float:
        return 0.0 if self._loaded_at is None else self._clock.now() - self._loaded_at
