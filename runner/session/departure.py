"""The last steps on a page before its session is released: lets it come online, finishes the reply, reads once more."""

import asyncio

from runner.browser.page import Page, PageError
from runner.browser.page_state import is_other_account
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation
from runner.session.boot import Boot
from runner.session.desired_state import DesiredState
from runner.session.login import Login
from runner.session.release_reason import ReleaseReason
from runner.session.status import Status
from wire import Phase

FINISH_TIMEOUT_SECONDS = 30.0
#: So long a page may come online first. With the other steps it is within a drain's time (runner/host.py).
ARRIVAL_TIMEOUT_SECONDS = 20.0
#: The phases on the way from a login to being online, and the reasons of a release that leave time for it.
ARRIVING = {Phase.STARTING, Phase.SYNCING, Phase.OFFLINE}
PEACEFUL = {ReleaseReason.DRAINED, ReleaseReason.NO_LONGER_WANTED}


class Departure:
    """The end of a session on its page."""

    def __init__(
        self,
        desired: DesiredState,
        login: Login,
        conversation: Conversation,
        status: Status,
        boot: Boot,
        clock: Clock,
    ) -> None:
        self._desired = desired
        self._login = login
        self._conversation = conversation
        self._status = status
        self._boot = boot
        self._clock = clock
        self._was_online = False

    def new_document(self) -> None:
        """Starts over: what this document receives, nobody has read."""
        self._was_online = False

    def mark_online(self) -> None:
        """Records that the document was proven to be online: its messages are read from then on."""
        self._was_online = True

    def is_arriving(self) -> bool:
        """Returns whether the document of a linked session was never online.

        WhatsApp may have brought it messages, and does not bring them to the next runner. They can be read, and its
        login saved with them, only when it is online.
        """
        return self._login.linked and self._boot.is_loaded and not self._was_online

    def may_wait(self) -> bool:
        """Returns whether the release waits for the page to come online."""
        desired, now = self._desired, self._clock.now()
        since = desired.leaving_since
        if desired.release_reason not in PEACEFUL or desired.parked or since is None:
            return False
        in_time = now - since < ARRIVAL_TIMEOUT_SECONDS
        return in_time and self._status.state.phase in ARRIVING and self.is_arriving()

    async def prepare(self, page: Page) -> None:
        """Finishes and reads what only this page can; errors of the page hold nothing up."""
        await self._finish_replies()
        if self._login.linked:
            await self._read_once_more(page)

    async def _finish_replies(self) -> None:
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_SECONDS):
                await self._conversation.replies.finish()
        except TimeoutError:
            log(LogEvent.TURN_LEFT_TO_NEXT_RUNNER, tenant=self._desired.hold.tenant)

    async def _read_once_more(self, page: Page) -> None:
        """Reads messages that only the page has: WhatsApp has its receipts and does not bring them to the next."""
        try:
            observation = await page.observe()
            if observation.authenticated and not is_other_account(self._desired.hold.number, observation.number):
                self._status.number = observation.number or self._status.number
                self._status.update(self._status.state)
                self._conversation.mark_linked(self._desired.hold.caught_up_to_ms)
                await self._conversation.read_rest(page, own_account=True)
        except PageError as error:
            log(LogEvent.FINAL_READ_FAILED, tenant=self._desired.hold.tenant, error=error)
