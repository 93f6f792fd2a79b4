"""Looks after a page that seems well: answers its dialogs, and renews page or browser at a quiet moment."""

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

#: A moment between two sends is quiet enough for what could not be done for so long.
WAITS_AT_MOST = 1800.0
#: A page may ask for it again while it is being loaded.
UPDATES_APART = 600.0
#: A dialog that comes back however often it is confirmed is not one of those that go away.
CONFIRMATIONS_AT_MOST = 3


class Renewal(NamedTuple):
    """A step to take now, and its reason."""

    step: Step
    reason: RenewalReason


class Maintenance:
    """Lives as long as its session. Asked only while the page is proven to be online."""

    def __init__(
        self,
        *,
        tenant: str,
        conversation: Conversation,
        files_are_doubtful: Callable[[], bool],
        rotation_slots: RotationSlots,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._tenant = tenant
        self._conversation = conversation
        self._files_are_doubtful = files_are_doubtful
        self._rotation_slots = rotation_slots
        self._clock = clock
        self._stale_connection = StaleConnectionDetector(clock.now())
        self._rotation = Rotation(clock, chance)
        self._updated_at: float | None = None
        self._wanted_since: float | None = None
        self._dialog: Dialog | None = None
        self._confirmations = 0

    def new_browser(self) -> None:
        """Nothing of the old one is left."""
        self._rotation.new_browser()

    def new_document(self) -> None:
        """The page was loaded."""
        self._stale_connection.reconnected(self._clock.now())
        self._dialog = None
        self._confirmations = 0

    async def attend(self, page: Page, observation: PageObservation) -> Renewal | None:
        """Answers dialogs after each observation; returns the renewal that is due now, if there is one."""
        await self._answer_dialog(page, observation)
        self._listen(observation)
        now = self._clock.now()
        if observation.needs_update and (self._updated_at is None or now - self._updated_at >= UPDATES_APART):
            if not self._is_time():
                return None
            self._updated_at = now
            return Renewal(Step.RELOAD, RenewalReason.WHATSAPP_UPDATED)
        if (reason := await self._reason_for_new_browser(page, observation)) is not None:
            return Renewal(Step.RELAUNCH, reason) if self._is_time() and self._rotation_slots.take() else None
        self._wanted_since = None
        if self._conversation.is_quiet() and (step := self._stale_connection.next_step(now)) is not Step.WAIT:
            return Renewal(step, RenewalReason.CONNECTION_STALE)
        return None

    async def _reason_for_new_browser(self, page: Page, observation: PageObservation) -> RenewalReason | None:
        if self._files_are_doubtful():
            return RenewalReason.PROFILE_SUSPECT
        return await self._rotation.reason_to_replace(page, observation)

    async def _answer_dialog(self, page: Page, observation: PageObservation) -> None:
        """Only one that was there the last time too: some go away by themselves."""
        stays, self._dialog = observation.dialog is not None and observation.dialog == self._dialog, observation.dialog
        if not stays or self._confirmations >= CONFIRMATIONS_AT_MOST:
            return
        if observation.dialog is Dialog.CONFIRM:
            confirmed = await page.confirm_dialog()
            log(LogEvent.DIALOG_CONFIRMED, tenant=self._tenant, confirmed=confirmed)
            self._confirmations += 1
        else:
            log(LogEvent.DIALOG_NEEDS_PERSON, level=logging.WARNING, tenant=self._tenant)
            self._confirmations = CONFIRMATIONS_AT_MOST  # once is enough
        self._dialog = None

    def _listen(self, observation: PageObservation) -> None:
        if observation.unsolicited_event_ms_ago is not None:
            self._stale_connection.received(self._clock.now() - observation.unsolicited_event_ms_ago / 1000)
        if self._conversation.heard_at is not None:
            self._stale_connection.received(self._conversation.heard_at)
        if self._conversation.replies.spoke_at is not None:
            self._stale_connection.sent(self._conversation.replies.spoke_at)

    def _is_time(self) -> bool:
        """Nobody would notice; or, after a long wait, nothing is being sent just now."""
        now = self._clock.now()
        if self._wanted_since is None:
            self._wanted_since = now
        waited = now - self._wanted_since >= WAITS_AT_MOST
        return self._conversation.is_quiet() or (waited and self._conversation.replies.are_idle())
