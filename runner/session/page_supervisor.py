"""The supervisor of a session's page: observes it, recovers it, and ends when its browser has to be closed."""

from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from runner.browser.boot_gate import BootGate
from runner.browser.linking import Linking
from runner.browser.liveness import Liveness
from runner.browser.page import (
    LoadTimedOut,
    Page,
    PageError,
    PageGone,
    PageObservation,
    PageRefused,
    PageSilent,
    PageUnreachable,
)
from runner.browser.page_state import PageState, classify, is_logged_out, is_other_account
from runner.browser.recovery import Decision, Recovery, RenewalReason, Step
from runner.browser.rotation import RotationSlots
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation
from runner.profile.saver import Saver
from runner.session.boot import Boot
from runner.session.departure import Departure
from runner.session.desired_state import DesiredState
from runner.session.login import Login
from runner.session.maintenance import Maintenance
from runner.session.retry import Retry
from runner.session.status import Status
from wire import Phase, ProblemCode

#: The interval between two checks of a page that is online, and of a session that is parked.
ONLINE_CHECK_SECONDS = 15.0
#: The same while the page changes: an owner waits for a code, or a linked page is on its way to be online.
UNSETTLED_CHECK_SECONDS = 1.0
#: The same while the page is not linked and no owner's page is open.
IDLE_CHECK_SECONDS = 5.0
#: The same after the page failed to answer.
FAILED_CHECK_SECONDS = 5.0
#: A linked page that stays in one of these phases for so long is stuck.
STUCK_AFTER_SECONDS = {Phase.SYNCING: 1800.0, Phase.OFFLINE: 300.0, Phase.STARTING: 120.0}
LINKING = {Phase.QR, Phase.PAIRING, Phase.STARTING}
OFFLINE = PageState(Phase.OFFLINE)
#: An operator must bring a newer wa-js.
INCOMPATIBLE = PageState(Phase.FAILED, ProblemCode.INCOMPATIBLE)
#: Codes of errors that a bridge meets in a page that it does not know.
BRIDGE_ERRORS = {"TypeError", "ReferenceError"}


class BrowserEnd(Enum):
    """The reason why a browser was closed."""

    #: The session is to be released.
    RELEASE = "release"
    #: Only a new browser recovers the page.
    RELAUNCH = "relaunch"
    #: A new browser is due, and this is a quiet moment; or the session was parked before it began.
    RENEW = "renew"
    #: This runner cannot help the page.
    GIVE_BACK = "give_back"
    #: The login is over.
    LOGGED_OUT = "logged_out"


class PageSupervisor:
    """The supervisor of one page after the other: reports reasons; only ``recovery`` decides about a renewal."""

    def __init__(
        self,
        *,
        desired: DesiredState,
        login: Login,
        conversation: Conversation,
        saver: Saver,
        maintenance: Maintenance,
        status: Status,
        boot_gate: BootGate,
        rotation_slots: RotationSlots,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self.boot = Boot(boot_gate, desired, status, clock, jitter, on_new_document=self._new_document)
        self.recovery = Recovery(lambda: self.boot.take_free_slot(rotation_slots.take))
        self.departure = Departure(desired, login, conversation, status, self.boot, clock)
        self._desired = desired
        self._login = login
        self._conversation = conversation
        self._saver = saver
        self._maintenance = maintenance
        self._status = status
        self._clock = clock
        self._liveness = Liveness(clock)
        self._linking = Linking(clock, self._load_again, jitter)
        self._retry = Retry(desired, self._liveness, status, self._load_again)
        #: What the last check found: whether the page does what it is there for, and one sentence about its failure.
        self._well, self._detail = False, ""
        self._incompatible = False
        self._pause_seconds: float | None = None

    def new_browser(self) -> None:
        """Starts over for a new browser."""
        self.boot.forget_document()
        self._maintenance.new_browser()

    def lose_browser(self) -> BrowserEnd:
        """Reports a browser that died outside of a check, or did not start; returns what is to come of it."""
        self.recovery.report(RenewalReason.BROWSER_GONE)
        return _end(self.recovery.decide(self._clock.now())) or BrowserEnd.RELAUNCH

    def mark_offline(self) -> None:
        """Stops sending and saving until the page is proven online again."""
        self._conversation.mark_offline()
        self._saver.online(False)
        self._liveness.reset()

    async def supervise(self, page: Page) -> BrowserEnd:
        """Keeps the page online until its browser has to be closed; returns the reason."""
        while True:
            if self._desired.release_reason is not None and not self.departure.may_wait():
                await self.departure.prepare(page)
                return BrowserEnd.RELEASE
            if not self._desired.parked:
                end = await self._check_and_report(page) or await self._renew(page)
                if end is not None:
                    return end
            await self._desired.pause(self._interval_seconds())

    async def is_online_now(self, page: Page) -> bool:
        """Returns whether the page is online; checked before saving: a login that ended must not replace a good one."""
        try:
            observation = await page.observe()
        except PageError:
            return False
        claims = observation.authenticated and classify(observation, self._login.linked).phase is Phase.ONLINE
        proven = self._status.state.phase is Phase.ONLINE and not self._desired.parked
        return claims and proven and not is_other_account(self._desired.hold.number, observation.number)

    # -- one check ------------------------------------------------------------------------------------------------

    async def _check_and_report(self, page: Page) -> BrowserEnd | None:
        self._well, self._detail, self._pause_seconds = False, "", None
        try:
            return await self._check(page)
        except PageGone as error:
            self._report(RenewalReason.BROWSER_GONE, str(error))
        except PageUnreachable as error:
            self._status.mark_probed()
            phase = Phase.OFFLINE if self._login.linked else Phase.FAILED
            self._status.update(PageState(phase, detail=f"WhatsApp Web cannot be loaded: {error}"))
            self._pause_seconds = self.boot.retry_delay_seconds()
            if isinstance(error, LoadTimedOut):
                self._report(RenewalReason.LOAD_TIMED_OUT, str(error))
        except PageError as error:
            self.mark_offline()
            self._conversation.inbox.excuse()
            fails = isinstance(error, PageRefused) and error.code in BRIDGE_ERRORS
            self._report(RenewalReason.BRIDGE_FAILS if fails else RenewalReason.NO_ANSWER, str(error))
        return None

    async def _check(self, page: Page) -> BrowserEnd | None:
        if not await self.boot.load(page):
            return None
        observation = await self._observe(page)
        self._status.mark_probed()
        if not observation.injected:
            if self.boot.mark_not_injected():
                self._report(RenewalReason.WA_JS_NOT_INJECTED, "wa-js does not find WhatsApp's modules")
            return None
        self.boot.mark_injected()
        if self.boot.is_incomplete(observation.missing):
            missing = f"wa-js does not find {', '.join(observation.missing) or 'all it needs'}"
            self._report(RenewalReason.WA_JS_INCOMPLETE, missing)
            return None
        if is_logged_out(observation, self._login.linked):
            self._login.mark_logged_out(observation)
            return BrowserEnd.LOGGED_OUT
        state = classify(observation, self._login.linked)
        if await self._retry.carry_out(page, state):
            return None
        if observation.authenticated:
            state = await self._check_linked(page, observation, state)
        else:
            await self._check_codes(page, observation, state)
        if state.phase is Phase.ONLINE:
            self.departure.mark_online()
            self._login.mark_online()
            self._saver.online(True)
        else:
            self.mark_offline()
        self._status.update(state, observation, self._linking.pairing_problem)
        if self._is_stuck(state.phase):
            self._report(RenewalReason.STUCK, f"{state.phase} for too long")
        if state.phase is Phase.ONLINE:
            await self._check_online(page, observation)
        return None

    async def _observe(self, page: Page) -> PageObservation:
        """Observes the page; one that is still booting need not answer."""
        try:
            return await page.observe()
        except PageSilent:
            if self.boot.is_injected:
                raise
            return PageObservation()

    async def _check_codes(self, page: Page, observation: PageObservation, state: PageState) -> None:
        """Keeps the codes of a page without a login fresh."""
        hold = self._desired.hold
        self._well = state.phase in {Phase.QR, Phase.PAIRING} or not (hold.watched or self._login.linked)
        if state.phase not in LINKING or observation.missing or (self._login.linked and observation.mode != "QR"):
            return
        if await self._linking.refresh_code(page, observation, hold):
            self._report(RenewalReason.QR_CODE_MISSING, "the page shows no QR code")

    async def _check_linked(self, page: Page, observation: PageObservation, claim: PageState) -> PageState:
        """Returns the proven state of a linked page that claims ``claim``."""
        hold, inbox = self._desired.hold, self._conversation.inbox
        self._login.mark_linked(hold)
        if is_other_account(hold.number, observation.number):
            return PageState(Phase.FAILED, detail="another account is linked than this session's own")
        if hold.number is None and observation.number is not None and self._status.number is None:
            self._report_link(observation, claim)
        self._status.number = observation.number or self._status.number
        self._conversation.mark_linked(hold.caught_up_to_ms)
        if observation.number is not None:
            self._conversation.mark_readable()  # before the proof is waited for: WhatsApp has its receipts already
        state = await self._liveness.verify(page, observation, claim, hold, self._desired.confirmed_at)
        if state.phase is not claim.phase:
            self._report(RenewalReason.NO_PROOF, state.detail)
        if state.phase is not Phase.ONLINE:
            return state
        if inbox.is_unreadable:
            detail = f"messages cannot be read: {inbox.failed_with or 'not tried again yet'}"
            if inbox.failed_with:
                self._report(RenewalReason.MESSAGES_UNREADABLE, detail)
            return (INCOMPATIBLE if self._incompatible else OFFLINE)._replace(detail=detail)
        self._conversation.mark_online(observation.delivered_offline, observation.restriction)
        chats = inbox.unreadable_chats
        return state._replace(detail=f"{chats} chat{'s' * (chats != 1)} cannot be read") if chats else state

    async def _check_online(self, page: Page, observation: PageObservation) -> None:
        self._well = True
        if self._conversation.replies.are_stuck():
            self._report(RenewalReason.REPLIES_UNCONFIRMED, "WhatsApp's server confirms no reply")
        for reason in await self._maintenance.find_reasons(page, observation):
            self.recovery.report(reason)

    def _report_link(self, observation: PageObservation, claim: PageState) -> None:
        """Reports the number before the proof is waited for: messages are handed in only after the link is known."""
        self._status.number = observation.number
        self._status.update(PageState(Phase.SYNCING) if claim.phase is Phase.ONLINE else claim, observation)

    def _is_stuck(self, phase: Phase) -> bool:
        """Returns whether a linked page is in this phase for too long, also since it was last renewed."""
        limit_seconds = STUCK_AFTER_SECONDS.get(phase)
        since = max(self._status.phase_since, self.recovery.renewed_at or 0.0)
        return self._login.linked and limit_seconds is not None and self._clock.now() - since > limit_seconds

    def _report(self, reason: RenewalReason, detail: str) -> None:
        self.recovery.report(reason)
        self._detail = detail

    # -- recovery -------------------------------------------------------------------------------------------------

    async def _renew(self, page: Page) -> BrowserEnd | None:
        """Carries out the decision about what the check reported."""
        decision = self.recovery.decide(self._clock.now(), well=self._well, quiet=self._maintenance.quiet())
        self._incompatible = decision.is_incompatible or (self._incompatible and not self._well)
        if decision.is_incompatible:
            self.mark_offline()
            self._status.update(INCOMPATIBLE._replace(detail=self._detail))
        elif decision.reason is RenewalReason.NO_ANSWER:
            self._status.update(PageState(Phase.OFFLINE if self._login.linked else Phase.FAILED, detail=self._detail))
        if decision.step is Step.WAIT or decision.reason is None:
            return None
        self.mark_offline()
        self._maintenance.renewed(decision.reason)
        is_reload = decision.step is Step.RELOAD
        event = LogEvent.PAGE_RELOADED if is_reload else LogEvent.BROWSER_ROTATED
        log(event, tenant=self._desired.hold.tenant, reason=decision.reason)
        if is_reload:
            with suppress(PageError):  # the next check meets it again
                await self._load_again(page)
        return _end(decision)

    async def _load_again(self, page: Page) -> None:
        self.boot.forget_document()
        await self.boot.load(page)

    def _new_document(self) -> None:
        self.departure.new_document()
        self._liveness.reset()
        self._linking.reset()
        self._maintenance.new_document()
        self._conversation.forget_page()

    def _interval_seconds(self) -> float:
        if self._pause_seconds is not None:
            return self._pause_seconds
        state = self._status.state
        if state.problem is ProblemCode.INCOMPATIBLE or state.phase is Phase.BLOCKED:
            return ONLINE_CHECK_SECONDS
        if not self.boot.is_injected:
            return UNSETTLED_CHECK_SECONDS  # it holds a slot
        if self.recovery.misses:
            return FAILED_CHECK_SECONDS
        if state.phase is Phase.ONLINE:
            return ONLINE_CHECK_SECONDS
        return UNSETTLED_CHECK_SECONDS if self._login.linked or self._desired.hold.watched else IDLE_CHECK_SECONDS


def _end(decision: Decision) -> BrowserEnd | None:
    """Returns why a browser is closed by this decision; None if it is not."""
    relaunched = BrowserEnd.RENEW if decision.is_due else BrowserEnd.RELAUNCH
    return {Step.GIVE_BACK: BrowserEnd.GIVE_BACK, Step.RELAUNCH: relaunched}.get(decision.step)
