"""The last steps on a page before its session is released: finishes the reply being sent, reads once more."""

import asyncio

from runner.browser.page import Page, PageError
from runner.browser.page_state import is_other_account
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation
from runner.session.desired_state import DesiredState
from runner.session.login import Login
from runner.session.status import Status

FINISH_TIMEOUT_SECONDS = 30.0


class Departure:
    """The end of a session on its page."""

    def __init__(self, *, desired: DesiredState, login: Login, conversation: Conversation, status: Status) -> None:
        self._desired = desired
        self._login = login
        self._conversation = conversation
        self._status = status

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
