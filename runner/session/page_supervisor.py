"""The supervisor of a session's page: observes it, recovers it, and ends when its browser has to be closed."""

import asyncio
from collections.abc import Callable
from enum import Enum

from runner.browser.linking import Linking
from runner.browser.liveness import Liveness
from runner.browser.page import Page, PageError, PageGone, PageObservation, PageRefused, PageUnreachable
from runner.browser.page_loading import INCOMPATIBLE_RETRY_SECONDS, PageLoader, RenewalReason
from runner.browser.page_state import PageState, classify, is_logged_out, is_other_account
from runner.browser.recovery_ladder import RecoveryLadder, Step
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation
from runner.profile.saver import Saver
from runner.session.desired_state import DesiredState
from runner.session.login import Login
from runner.session.maintenance import Maintenance
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
#: A linked page that stays in one of these phases for so long is loaded again.
STUCK_AFTER_SECONDS = {Phase.SYNCING: 1800.0, Phase.OFFLINE: 300.0, Phase.STARTING: 120.0}
FINISH_TIMEOUT_SECONDS = 30.0
LINKING = {Phase.QR, Phase.PAIRING, Phase.STARTING}


class BrowserEnd(Enum):
    """The reason why a browser was closed."""

    #: The session is to be released.
    RELEASE = "release"
    #: Only a new browser recovers the page.
    RELAUNCH = "relaunch"
    #: A new browser is due, and this is a quiet moment.
    RENEW = "renew"
    #: The login is over.
    LOGGED_OUT = "logged_out"


class PageSupervisor:
    """The supervisor of a session, for one page after the other."""

    def __init__(
        self,
        *,
        desired: DesiredState,
        login: Login,
        conversation: Conversation,
        saver: Saver,
        maintenance: Maintenance,
        status: Status,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._desired = desired
        self._login = login
        self._conversation = conversation
        self._saver = saver
        self._maintenance = maintenance
        self._status = status
        self._clock = clock
        self._liveness = Liveness(clock)
        self._linking = Linking(clock)
        self._page_loader = PageLoader(desired.hold.tenant, clock, jitter, self._new_document)
        self._ladder = RecoveryLadder()

    def new_browser(self) -> None:
        """Starts over for a new browser."""
        self._page_loader.reset()
        self._ladder.succeeded()
        self._maintenance.new_browser()

    def mark_offline(self) -> None:
        """Stops sending and saving until the page is proven online again."""
        self._conversation.mark_offline()
        self._saver.online(False)
        self._liveness.reset()

    async def supervise(self, page: Page) -> BrowserEnd:
        """Keeps the page online until its browser has to be closed; returns the reason."""
        while True:
            if self._desired.release_reason is not None:
                await self._finish_replies()
                await self._read_once_more(page)
                return BrowserEnd.RELEASE
            try:
                if not self._desired.parked:
                    end = await self._check(page)
                    if end is not None:
                        return end
            except PageGone:
                return BrowserEnd.RELAUNCH
            except PageUnreachable as error:
                self._status.mark_probed()
                phase = Phase.OFFLINE if self._login.linked else Phase.FAILED
                self._status.update(PageState(phase, detail=f"WhatsApp Web cannot be loaded: {error}"))
                await self._desired.pause(self._page_loader.retry_delay_seconds())
                continue
            except PageError as error:
                if await self._escalate(page, error):
                    return BrowserEnd.RELAUNCH
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

    async def _check(self, page: Page) -> BrowserEnd | None:
        await self._page_loader.load(page)
        observation = await page.observe()
        self._status.mark_probed()
        if not observation.injected:
            return await self._recover_injection(page)
        self._page_loader.responded()
        if self._page_loader.is_incomplete(observation.missing):
            await self._report_incompatible(
                page, f"wa-js does not find {', '.join(observation.missing) or 'all it needs'}"
            )
            return None
        if is_logged_out(observation, self._login.linked):
            self._login.mark_logged_out(observation)
            return BrowserEnd.LOGGED_OUT
        state = classify(observation, self._login.linked)
        if observation.authenticated:
            state = await self._check_linked(page, observation, state)
        elif (
            state.phase in LINKING
            and not observation.missing
            and await self._linking.refresh_code(page, observation, self._desired.hold)
        ):
            return BrowserEnd.RELAUNCH
        if state.phase is Phase.ONLINE:
            self._login.mark_online()
            self._saver.online(True)
        else:
            self.mark_offline()
        self._status.update(state, observation)
        stuck_after_seconds = STUCK_AFTER_SECONDS.get(state.phase)
        in_phase_seconds = self._clock.now() - self._status.phase_since
        if self._login.linked and stuck_after_seconds is not None and in_phase_seconds > stuck_after_seconds:
            self._status.phase_since = self._clock.now()
            await self._page_loader.reload(page, RenewalReason.STUCK)
        elif state.phase is Phase.ONLINE and self._conversation.replies.are_stuck():
            await self._page_loader.reload(page, RenewalReason.REPLIES_UNCONFIRMED)
        elif state.phase is Phase.ONLINE:
            return await self._maintain(page, observation)
        return None

    async def _check_linked(self, page: Page, observation: PageObservation, claim: PageState) -> PageState:
        """Returns the proven state of a linked page that claims ``claim``."""
        hold = self._desired.hold
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
        if state.phase is Phase.ONLINE:
            self._ladder.succeeded()
            self._conversation.mark_online(observation.delivered_offline)
        elif claim.phase is Phase.ONLINE and await self._escalate(page, None):
            raise PageGone("the proof of being online failed too often")
        return state

    async def _maintain(self, page: Page, observation: PageObservation) -> BrowserEnd | None:
        renewal = await self._maintenance.check(page, observation)
        if renewal is None:
            return None
        self.mark_offline()
        if renewal.step is Step.RELAUNCH:
            log(LogEvent.BROWSER_ROTATED, tenant=self._desired.hold.tenant, reason=renewal.reason)
            return BrowserEnd.RENEW
        await self._page_loader.reload(page, renewal.reason)
        return None

    def _report_link(self, observation: PageObservation, claim: PageState) -> None:
        """Reports the number before the proof is waited for: messages are handed in only after the link is known."""
        self._status.number = observation.number
        self._status.update(PageState(Phase.SYNCING) if claim.phase is Phase.ONLINE else claim, observation)

    async def _recover_injection(self, page: Page) -> BrowserEnd | None:
        step = self._page_loader.next_step()
        if step is Step.RELAUNCH:
            return BrowserEnd.RELAUNCH
        if step is Step.RELOAD:
            if self._page_loader.is_incompatible:
                detail = "wa-js does not find WhatsApp's modules"
                self._status.update(PageState(Phase.FAILED, ProblemCode.INCOMPATIBLE, detail))
            await self._page_loader.reload(page, RenewalReason.WA_JS_NOT_INJECTED)
        return None

    async def _report_incompatible(self, page: Page, detail: str) -> None:
        """Reports that an operator must bring a newer wa-js; a new browser does not help, a reload now and then may."""
        self.mark_offline()
        self._status.update(PageState(Phase.FAILED, ProblemCode.INCOMPATIBLE, detail))
        if self._page_loader.may_retry():
            await self._page_loader.reload(page, RenewalReason.WA_JS_INCOMPLETE)

    # -- recovery -------------------------------------------------------------------------------------------------

    async def _escalate(self, page: Page, error: PageError | None) -> bool:
        """Takes one step up the recovery ladder; returns whether a new browser is needed."""
        self.mark_offline()
        broken = isinstance(error, PageRefused) and error.code in {"TypeError", "ReferenceError"}
        problem = ProblemCode.INCOMPATIBLE if broken else None
        now = self._clock.now()
        step = self._ladder.failed(now)
        if broken and step is Step.RELAUNCH:
            # A new browser understands WhatsApp's new page no better: no storm of restarts, only a reload now and then.
            step = self._ladder.reload_again(now, INCOMPATIBLE_RETRY_SECONDS)
        if step is not Step.WAIT:
            phase = Phase.OFFLINE if self._login.linked else Phase.FAILED
            self._status.update(PageState(phase, problem, str(error or "no proof of being online")))
        if step is Step.RELOAD:
            try:
                await self._page_loader.reload(page, RenewalReason.NO_ANSWER)
            except PageUnreachable:
                return False
            except PageError:
                return True
        return step is Step.RELAUNCH

    def _new_document(self) -> None:
        self._liveness.reset()
        self._linking.reset()
        self._maintenance.new_document()
        self._conversation.forget_page()

    async def _finish_replies(self) -> None:
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_SECONDS):
                await self._conversation.replies.finish()
        except TimeoutError:
            log(LogEvent.TURN_LEFT_TO_NEXT_RUNNER, tenant=self._desired.hold.tenant)

    async def _read_once_more(self, page: Page) -> None:
        """Reads messages that only the page has: WhatsApp has its receipts and does not bring them to the next."""
        if not self._login.linked:
            return
        try:
            observation = await page.observe()
            if observation.authenticated and not is_other_account(self._desired.hold.number, observation.number):
                self._status.number = observation.number or self._status.number
                self._status.update(self._status.state)
                self._conversation.mark_linked(self._desired.hold.caught_up_to_ms)
                await self._conversation.read_rest(page, own_account=True)
        except PageError as error:
            log(LogEvent.FINAL_READ_FAILED, tenant=self._desired.hold.tenant, error=error)

    def _interval_seconds(self) -> float:
        if self._ladder.failures:
            return FAILED_CHECK_SECONDS
        state = self._status.state
        if state.phase in {Phase.ONLINE, Phase.BLOCKED} or state.problem is ProblemCode.INCOMPATIBLE:
            return ONLINE_CHECK_SECONDS
        if self._login.linked or self._desired.hold.watched:
            return UNSETTLED_CHECK_SECONDS
        return IDLE_CHECK_SECONDS
