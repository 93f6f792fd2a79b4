"""Loads WhatsApp Web into the page, and retries with growing patience while wa-js does not answer in it."""

from collections.abc import Callable
from enum import StrEnum

from runner.backoff import backoff_seconds
from runner.browser.page import Page
from runner.browser.recovery_ladder import Step
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log

#: A page without wa-js after this time is loaded again.
INJECTION_TIMEOUT_SECONDS = 30.0
#: After this many failed loads wa-js and the page are incompatible: no more storms of restarts.
MAX_FAILED_LOADS = 4
INCOMPATIBLE_RETRY_SECONDS = 300.0
#: A module that is missing for this long will not come: modules are loaded one after the other.
COMPLETION_TIMEOUT_SECONDS = 60.0


class RenewalReason(StrEnum):
    """The reason to load a page again or to replace its browser; the value stands in the log."""

    #: A linked session stayed in an unsettled phase for too long.
    STUCK = "stuck"
    #: WhatsApp's server confirms no reply any more.
    REPLIES_UNCONFIRMED = "replies_unconfirmed"
    #: The page did not answer a call in time.
    NO_ANSWER = "no_answer"
    #: wa-js does not answer in the page.
    WA_JS_NOT_INJECTED = "wa_js_not_injected"
    #: wa-js did not find all of WhatsApp's modules that the runner needs.
    WA_JS_INCOMPLETE = "wa_js_incomplete"
    #: WhatsApp Web has a newer version of itself.
    WHATSAPP_UPDATED = "whatsapp_updated"
    #: The connection is stale: nothing was received for too long.
    CONNECTION_STALE = "connection_stale"
    #: The browser reached its lifetime.
    BROWSER_OLD = "browser_old"
    #: The browser or its page takes too much memory.
    MEMORY_GROWN = "memory_grown"
    #: The browser wrote its files on a disk without room.
    PROFILE_SUSPECT = "profile_suspect"


class PageLoader:
    """The document in one session's page, counted across its browsers. Calls ``on_new_document`` when one begins."""

    def __init__(
        self, tenant: str, clock: Clock, jitter: Callable[[], float], on_new_document: Callable[[], None]
    ) -> None:
        self._tenant = tenant
        self._clock = clock
        self._jitter = jitter
        self._on_new_document = on_new_document
        self._loaded_at: float | None = None
        self._failed_loads = 0
        self._unreachable_loads = 0
        self._incomplete_since: float | None = None

    @property
    def is_incompatible(self) -> bool:
        """Returns whether wa-js did not find WhatsApp's modules, however often the page was loaded."""
        return self._failed_loads >= MAX_FAILED_LOADS

    def reset(self) -> None:
        """Forgets the document: there is a new browser, or the page could not be loaded."""
        self._loaded_at = None
        self._on_new_document()

    def responded(self) -> None:
        """Records that wa-js answered."""
        self._failed_loads = 0

    def is_incomplete(self, missing: tuple[str, ...]) -> bool:
        """Returns whether a needed module has been missing for so long that it will not come."""
        now = self._clock.now()
        if missing:
            self._incomplete_since = self._incomplete_since or now
        elif self._age_seconds() >= COMPLETION_TIMEOUT_SECONDS:
            self._incomplete_since = None
        return self._incomplete_since is not None and now - self._incomplete_since >= COMPLETION_TIMEOUT_SECONDS

    async def load(self, page: Page) -> None:
        """Loads the page, if no document is loaded. Raises PageUnreachable."""
        if self._loaded_at is None:
            await page.load()
            self._loaded_at = self._clock.now()
            self._unreachable_loads = 0

    async def reload(self, page: Page, reason: RenewalReason) -> None:
        """Loads the page again. Raises PageUnreachable."""
        log(LogEvent.PAGE_RELOADED, tenant=self._tenant, reason=reason)
        self.reset()
        await self.load(page)

    def retry_delay_seconds(self) -> float:
        """Counts a load that failed; returns the time to wait before the next attempt."""
        self._unreachable_loads += 1
        return backoff_seconds(self._unreachable_loads, self._jitter())

    def may_retry(self) -> bool:
        """Returns whether an incompatible document is old enough: WhatsApp may have another one by now."""
        return self._age_seconds() >= INCOMPATIBLE_RETRY_SECONDS

    def next_step(self) -> Step:
        """Decides about a page without wa-js: wait, load again, once start a new browser, then retry rarely."""
        patience_seconds = INCOMPATIBLE_RETRY_SECONDS if self.is_incompatible else INJECTION_TIMEOUT_SECONDS
        if self._loaded_at is None or self._clock.now() - self._loaded_at < patience_seconds:
            return Step.WAIT
        self._failed_loads += 1
        return Step.RELAUNCH if self._failed_loads == MAX_FAILED_LOADS - 1 else Step.RELOAD

    def _age_seconds(self) -> float:
        return 0.0 if self._loaded_at is None else self._clock.now() - self._loaded_at
