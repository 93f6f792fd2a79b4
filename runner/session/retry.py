"""A person's order to try again: takes the login back at once, or loads the page anew for a code."""

from collections.abc import Awaitable, Callable

from runner.browser.liveness import Liveness
from runner.browser.page import Page
from runner.browser.page_state import PageState
from runner.log_events import LogEvent
from runner.logs import log
from runner.session.desired_state import DesiredState
from runner.session.status import Status
from wire import Phase


class Retry:
    """Carries out the order of the desired state once; it has no effect where there is nothing to try."""

    def __init__(
        self,
        desired: DesiredState,
        liveness: Liveness,
        status: Status,
        load_again: Callable[[Page], Awaitable[None]],
    ) -> None:
        self._desired = desired
        self._liveness = liveness
        self._status = status
        self._load_again = load_again

    async def carry_out(self, page: Page, state: PageState) -> bool:
        """Carries out an order that is due; returns whether the page loads anew.

        A document that was asked for a passkey shows no code again for minutes (``PASSKEY_SHOWN_MS`` of the bridge);
        a new one does at once. Raises PageUnreachable.
        """
        if not self._desired.try_again:
            return False
        self._desired.try_again = False
        if state.phase is Phase.CONFLICT:
            self._liveness.order_takeover()
        if state.phase is not Phase.PASSKEY_REQUIRED:
            return False
        log(LogEvent.CODE_ASKED_AGAIN, tenant=self._desired.hold.tenant)
        self._status.update(PageState(Phase.STARTING))
        await self._load_again(page)
        return True
