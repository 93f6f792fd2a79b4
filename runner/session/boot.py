"""The boot of a session's page: waits for its turn at the gate, loads WhatsApp Web, and ends when wa-js answers."""

from collections.abc import Callable

from runner.backoff import backoff_seconds
from runner.browser.boot_gate import BOOT_TIMEOUT_SECONDS, BootGate
from runner.browser.page import Page, PageError
from runner.browser.page_state import PageState
from runner.clock import Clock
from runner.session.desired_state import DesiredState
from runner.session.status import Status
from wire import Phase

TURN_CHECK_SECONDS = 0.25
#: The detail of a session in line at the gate.
WAITING = "waiting for its turn to start"
#: A module that is missing for this long will not come: modules are loaded one after the other.
COMPLETION_TIMEOUT_SECONDS = 60.0


class Boot:
    """The document in one session's page, across its browsers; calls ``on_new_document`` when another one begins.

    The only caller of ``page.load``. A session that is parked or released waits for no turn and keeps no slot.
    """

    def __init__(
        self,
        gate: BootGate,
        desired: DesiredState,
        status: Status,
        clock: Clock,
        jitter: Callable[[], float],
        *,
        on_new_document: Callable[[], None],
    ) -> None:
        self._place = gate.place()
        self._desired = desired
        self._status = status
        self._clock = clock
        self._jitter = jitter
        self._on_new_document = on_new_document
        self._loaded_at: float | None = None
        self._is_injected = False
        self._booting_since: float | None = None
        self._unreachable_loads = 0
        self._incomplete_since: float | None = None

    async def take_turn(self) -> bool:
        """Waits for a slot; returns False if the session is to be parked or released instead."""
        try:
            while self._is_wanted():
                if self._place.enter(urgent=self._desired.hold.watched):
                    self._booting_since = self._clock.now()
                    self._status.restart_phase()
                    return True
                self._status.mark_probed()
                self._status.update(PageState(Phase.STARTING, detail=WAITING))
                await self._desired.pause(TURN_CHECK_SECONDS)
        except BaseException:
            self._place.leave()
            raise
        self._place.leave()
        return False

    def take_free_slot(self, is_its_turn: Callable[[], bool]) -> bool:
        """Takes a slot if one is free now and it is this session's turn: for a page that works until then."""
        if self._place.enter() and is_its_turn():
            return True
        self._place.leave()
        return False

    def interrupt(self) -> None:
        """Gives the slot away: the session is parked or ends. A page that has not booted is loaded again later."""
        self._place.leave()
        if not self._is_injected:
            self._loaded_at = None

    def forget_document(self) -> None:
        """Begins anew: there is a new browser, or the page is to be loaded again."""
        self._loaded_at, self._is_injected = None, False
        self._on_new_document()

    async def load(self, page: Page) -> bool:
        """Loads the page, if no document is loaded; returns False if the session is to be parked or released first.

        Raises PageUnreachable.
        """
        if self._loaded_at is not None:
            return True
        if not await self.take_turn():
            return False
        try:
            await page.load()
        except PageError:
            self._place.leave()
            raise
        self._loaded_at = self._clock.now()
        self._unreachable_loads = 0
        return True

    def retry_delay_seconds(self) -> float:
        """Counts a load that failed; returns the time to wait before the next attempt."""
        self._unreachable_loads += 1
        return backoff_seconds(self._unreachable_loads, self._jitter())

    @property
    def is_loaded(self) -> bool:
        """Returns whether a document is loaded, booted or not."""
        return self._loaded_at is not None

    @property
    def is_injected(self) -> bool:
        """Returns whether wa-js has answered in this document."""
        return self._is_injected

    def mark_injected(self) -> None:
        """Records that wa-js answered: the page has booted."""
        self._is_injected = True
        self._place.leave()

    def mark_not_injected(self) -> bool:
        """Records that wa-js did not answer; returns whether the boot's deadline is over: the next may boot then."""
        now = self._clock.now()
        if self._is_injected:  # the page has loaded itself again
            self._is_injected, self._booting_since = False, now
        if self._booting_since is None or now - self._booting_since < BOOT_TIMEOUT_SECONDS:
            return False
        self._place.leave()
        return True

    def is_incomplete(self, missing: tuple[str, ...]) -> bool:
        """Returns whether a needed module has been missing for so long that it will not come."""
        now = self._clock.now()
        if missing:
            self._incomplete_since = self._incomplete_since or now
        elif self._loaded_at is not None and now - self._loaded_at >= COMPLETION_TIMEOUT_SECONDS:
            self._incomplete_since = None
        return self._incomplete_since is not None and now - self._incomplete_since >= COMPLETION_TIMEOUT_SECONDS

    def _is_wanted(self) -> bool:
        return not self._desired.parked and self._desired.release_reason is None
