"""The maintenance of a page that is online: answers dialogs, and reports why page or browser are to be renewed."""

import logging
from collections.abc import Callable

from runner.browser.page import Dialog, Page, PageObservation
from runner.browser.recovery import Quiet, RenewalReason
from runner.browser.rotation import Rotation
from runner.browser.stale_connection import StaleConnectionDetector
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation

STALE = {RenewalReason.CONNECTION_STALE, RenewalReason.CONNECTION_STALE_AGAIN}
#: A dialog that returns after so many confirmations is not one of those that go away.
MAX_CONFIRMATIONS = 3


class Maintenance:
    """The maintenance of a session, across its browsers. Used only while the page is proven to be online."""

    def __init__(
        self,
        *,
        tenant: str,
        conversation: Conversation,
        is_profile_suspect: Callable[[], bool],
        may_restart: Callable[[], bool],
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._tenant = tenant
        self._conversation = conversation
        self._is_profile_suspect = is_profile_suspect
        self._may_restart = may_restart
        self._clock = clock
        self._stale_connection = StaleConnectionDetector(clock.now())
        self._rotation = Rotation(clock, jitter)
        self._dialog: Dialog | None = None
        self._confirmations = 0

    def new_browser(self) -> None:
        """Starts over for a new browser."""
        self._rotation.new_browser()

    def new_document(self) -> None:
        """Starts over for a page that was loaded again."""
        self._stale_connection.reconnected(self._clock.now())
        self._dialog = None
        self._confirmations = 0

    async def find_reasons(self, page: Page, observation: PageObservation) -> list[RenewalReason]:
        """Answers dialogs after each observation; returns the reasons to renew the page at a quiet moment."""
        await self._answer_dialog(page, observation)
        self._record_activity(observation)
        if not self._may_restart():
            return []
        reasons = [
            RenewalReason.PROFILE_SUSPECT if self._is_profile_suspect() else None,
            RenewalReason.WHATSAPP_UPDATED if observation.needs_update else None,
            await self._rotation.reason_to_replace(page, observation),
            self._stale_connection.reason_to_renew(self._clock.now()),
        ]
        return [reason for reason in reasons if reason is not None]

    def renewed(self, reason: RenewalReason) -> None:
        """Records that the page is renewed for this reason."""
        if reason in STALE:
            self._stale_connection.renewed(self._clock.now())

    def quiet(self) -> Quiet:
        """Returns how quiet the line is."""
        if self._conversation.is_quiet():
            return Quiet.QUIET
        return Quiet.BETWEEN_REPLIES if self._conversation.replies.are_idle() else Quiet.BUSY

    async def _answer_dialog(self, page: Page, observation: PageObservation) -> None:
        """Confirms a dialog that the page showed the last time, too: some go away by themselves."""
        stays, self._dialog = observation.dialog is not None and observation.dialog == self._dialog, observation.dialog
        if not stays or self._confirmations >= MAX_CONFIRMATIONS:
            return
        if observation.dialog is Dialog.CONFIRM:
            confirmed = await page.confirm_dialog()
            log(LogEvent.DIALOG_CONFIRMED, tenant=self._tenant, confirmed=confirmed)
            self._confirmations += 1
        else:
            log(LogEvent.DIALOG_NEEDS_PERSON, level=logging.WARNING, tenant=self._tenant)
            self._confirmations = MAX_CONFIRMATIONS  # once is enough
        self._dialog = None

    def _record_activity(self, observation: PageObservation) -> None:
        if observation.unsolicited_event_ms_ago is not None:
            self._stale_connection.received(self._clock.now() - observation.unsolicited_event_ms_ago / 1000)
        if self._conversation.received_at is not None:
            self._stale_connection.received(self._conversation.received_at)
        if self._conversation.replies.sent_at is not None:
            self._stale_connection.sent(self._conversation.replies.sent_at)
