"""The maintenance of a page that is online: answers dialogs, and renews page or browser at a quiet moment."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from runner.browser.page import Dialog, Page, PageObservation
from runner.browser.page_loading import RenewalReason
from runner.browser.recovery_ladder import Step
from runner.browser.rotation import Rotation, RotationSlots
from runner.browser.stale_connection import StaleConnectionDetector
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation

#: After this a moment between two sends is quiet enough for a renewal that is due.
MAX_WAIT_SECONDS = 1800.0
#: A page may ask for the update again while it is being loaded.
UPDATE_INTERVAL_SECONDS = 600.0
#: A dialog that returns after so many confirmations is not one of those that go away.
MAX_CONFIRMATIONS = 3


class Renewal(NamedTuple):
    """A step to take now, and its reason."""

    step: Step
    reason: RenewalReason


class Maintenance:
    """The maintenance of a session, across its browsers. Used only while the page is proven to be online."""

    def __init__(
        self,
        *,
        tenant: str,
        conversation: Conversation,
        is_profile_suspect: Callable[[], bool],
        rotation_slots: RotationSlots,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._tenant = tenant
        self._conversation = conversation
        self._is_profile_suspect = is_profile_suspect
        self._rotation_slots = rotation_slots
        self._clock = clock
        self._stale_connection = StaleConnectionDetector(clock.now())
        self._rotation = Rotation(clock, jitter)
        self._updated_at: float | None = None
        self._due_since: float | None = None
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

    async def check(self, page: Page, observation: PageObservation) -> Renewal | None:
        """Answers dialogs after each observation; returns the renewal that is due now, if there is one."""
        await self._answer_dialog(page, observation)
        self._record_activity(observation)
        now = self._clock.now()
        if observation.needs_update and (self._updated_at is None or now - self._updated_at >= UPDATE_INTERVAL_SECONDS):
            if not self._is_quiet_moment():
                return None
            self._updated_at = now
            return Renewal(Step.RELOAD, RenewalReason.WHATSAPP_UPDATED)
        if (reason := await self._reason_for_new_browser(page, observation)) is not None:
            return Renewal(Step.RELAUNCH, reason) if self._is_quiet_moment() and self._rotation_slots.take() else None
        self._due_since = None
        if self._conversation.is_quiet() and (step := self._stale_connection.next_step(now)) is not Step.WAIT:
            return Renewal(step, RenewalReason.CONNECTION_STALE)
        return None

    async def _reason_for_new_browser(self, page: Page, observation: PageObservation) -> RenewalReason | None:
        if self._is_profile_suspect():
            return RenewalReason.PROFILE_SUSPECT
        return await self._rotation.reason_to_replace(page, observation)

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

    def _is_quiet_moment(self) -> bool:
        """Returns whether no contact notices a short absence; after a long wait, whether no reply is being sent."""
        now = self._clock.now()
        if self._due_since is None:
            self._due_since = now
        waited = now - self._due_since >= MAX_WAIT_SECONDS
        return self._conversation.is_quiet() or (waited and self._conversation.replies.are_idle())
