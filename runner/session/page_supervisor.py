"""Looks after one session's page: look, understand, act, wait; until its browser has to be closed."""

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

PROBE_EVERY = 15.0
LOOK_EVERY_WHILE_UNSETTLED = 1.0
LOOK_EVERY_UNWATCHED = 5.0
LOOK_EVERY_AFTER_A_MISS = 5.0
#: A linked page that stays in one of these phases so long is loaded again.
STUCK_AFTER = {Phase.SYNCING: 1800.0, Phase.OFFLINE: 300.0, Phase.STARTING: 120.0}
FINISH_WITHIN = 30.0
LINKING = {Phase.QR, Phase.PAIRING, Phase.STARTING}


class End(Enum):
    """Why a browser was closed."""

    LEAVE = "leave"  #: the session is to be released
    RELAUNCH = "relaunch"  #: only a new browser helps
    RENEW = "renew"  #: a new browser is due, and this is a good moment
    LOGGED_OUT = "logged_out"  #: the login is over


class PageSupervisor:
    """Lives as long as its session and watches one page after the other."""

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
        chance: Callable[[], float],
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
        self._page_loader = PageLoader(desired.hold.tenant, clock, chance, self._forget_page)
        self._ladder = RecoveryLadder()

    def begin(self) -> None:
        """There is a new browser, with nothing in it."""
        self._page_loader.reset()
        self._ladder.succeeded()
        self._maintenance.new_browser()

    def quiet(self) -> None:
        """Nothing more is sent or saved before the next proof."""
        self._conversation.offline()
        self._saver.online(False)
        self._liveness.reset()

    async def keep(self, page: Page) -> End:
        """Until the browser has to be closed."""
        while True:
            if self._desired.leaving is not None:
                await self._finish()
                await self._take_along(page)
                return End.LEAVE
            try:
                if not self._desired.parked:
                    end = await self._attend(page)
                    if end is not None:
                        return end
            except PageGone:
                return End.RELAUNCH
            except PageUnreachable as trouble:
                self._status.looked_after()
                phase = Phase.OFFLINE if self._login.linked else Phase.FAILED
                self._status.see(PageState(phase, detail=f"WhatsApp Web cannot be loaded: {trouble}"))
                await self._desired.pause(self._page_loader.retry_delay_seconds())
                continue
            except PageError as trouble:
                if await self._climb(page, trouble):
                    return End.RELAUNCH
            await self._desired.pause(self._interval())

    async def is_online_now(self, page: Page) -> bool:
        """Asked again before anything is saved: a login that ended a moment ago must not replace a good one."""
        try:
            observation = await page.observe()
        except PageError:
            return False
        claims = observation.authenticated and classify(observation, self._login.linked).phase is Phase.ONLINE
        proven = self._status.seen.phase is Phase.ONLINE and not self._desired.parked
        return claims and proven and not is_other_account(self._desired.hold.number, observation.number)

    # -- one look -------------------------------------------------------------------------------------------------

    async def _attend(self, page: Page) -> End | None:
        await self._page_loader.load(page)
        observation = await page.observe()
        self._status.looked_after()
        if not observation.injected:
            return await self._without_injection(page)
        self._page_loader.responded()
        if self._page_loader.is_incomplete(observation.missing):
            await self._incompatible(page, f"wa-js does not find {', '.join(observation.missing) or 'all it needs'}")
            return None
        if is_logged_out(observation, self._login.linked):
            self._login.ended(observation)
            return End.LOGGED_OUT
        seen = classify(observation, self._login.linked)
        if observation.authenticated:
            seen = await self._attend_linked(page, observation, seen)
        elif (
            seen.phase in LINKING
            and not observation.missing
            and await self._linking.refresh_code(page, observation, self._desired.hold)
        ):
            return End.RELAUNCH
        if seen.phase is Phase.ONLINE:
            self._login.served()
            self._saver.online(True)
        else:
            self.quiet()
        self._status.see(seen, observation)
        stuck = STUCK_AFTER.get(seen.phase)
        if self._login.linked and stuck is not None and self._clock.now() - self._status.since > stuck:
            self._status.since = self._clock.now()
            await self._page_loader.reload(page, RenewalReason.STUCK)
        elif seen.phase is Phase.ONLINE and self._conversation.replies.are_stuck():
            await self._page_loader.reload(page, RenewalReason.REPLIES_UNCONFIRMED)
        elif seen.phase is Phase.ONLINE:
            return await self._keep_up(page, observation)
        return None

    async def _attend_linked(self, page: Page, observation: PageObservation, claim: PageState) -> PageState:
        hold = self._desired.hold
        self._login.came(hold)
        if is_other_account(hold.number, observation.number):
            return PageState(Phase.FAILED, detail="another account is linked than this session's own")
        if hold.number is None and observation.number is not None and self._status.number is None:
            self._tell_link(observation, claim)
        self._status.number = observation.number or self._status.number
        self._conversation.linked(hold.caught_up_to_ms)
        if observation.number is not None:
            self._conversation.readable()  # before the proof is waited for: WhatsApp has its receipts already
        seen = await self._liveness.verify(page, observation, claim, hold, self._desired.confirmed_at)
        if seen.phase is Phase.ONLINE:
            self._ladder.succeeded()
            self._conversation.online(observation.delivered_offline)
        elif claim.phase is Phase.ONLINE and await self._climb(page, None):
            raise PageGone("the proof of being online failed too often")
        return seen

    async def _keep_up(self, page: Page, observation: PageObservation) -> End | None:
        renewal = await self._maintenance.attend(page, observation)
        if renewal is None:
            return None
        self.quiet()
        if renewal.step is Step.RELAUNCH:
            log(LogEvent.BROWSER_ROTATED, tenant=self._desired.hold.tenant, reason=renewal.reason)
            return End.RENEW
        await self._page_loader.reload(page, renewal.reason)
        return None

    def _tell_link(self, observation: PageObservation, claim: PageState) -> None:
        """Before the proof is waited for, too: nothing is handed in until the control plane knows of the link."""
        self._status.number = observation.number
        self._status.see(PageState(Phase.SYNCING) if claim.phase is Phase.ONLINE else claim, observation)

    async def _without_injection(self, page: Page) -> End | None:
        step = self._page_loader.next_step()
        if step is Step.RELAUNCH:
            return End.RELAUNCH
        if step is Step.RELOAD:
            if self._page_loader.is_incompatible:
                detail = "wa-js does not find WhatsApp's modules"
                self._status.see(PageState(Phase.FAILED, ProblemCode.INCOMPATIBLE, detail))
            await self._page_loader.reload(page, RenewalReason.WA_JS_NOT_INJECTED)
        return None

    async def _incompatible(self, page: Page, detail: str) -> None:
        """A person must bring a newer wa-js; no new browser helps, so that only the page is loaded now and then."""
        self.quiet()
        self._status.see(PageState(Phase.FAILED, ProblemCode.INCOMPATIBLE, detail))
        if self._page_loader.may_retry():
            await self._page_loader.reload(page, RenewalReason.WA_JS_INCOMPLETE)

    # -- trouble --------------------------------------------------------------------------------------------------

    async def _climb(self, page: Page, trouble: PageError | None) -> bool:
        """One step up the ladder; whether a new browser is needed."""
        self.quiet()
        broken = isinstance(trouble, PageRefused) and trouble.code in {"TypeError", "ReferenceError"}
        problem = ProblemCode.INCOMPATIBLE if broken else None
        now = self._clock.now()
        step = self._ladder.failed(now)
        if broken and step is Step.RELAUNCH:
            # A new browser understands WhatsApp's new page no better: no storm of restarts, only a look now and then.
            step = self._ladder.reload_again(now, INCOMPATIBLE_RETRY_SECONDS)
        if step is not Step.WAIT:
            phase = Phase.OFFLINE if self._login.linked else Phase.FAILED
            self._status.see(PageState(phase, problem, str(trouble or "no proof of being online")))
        if step is Step.RELOAD:
            try:
                await self._page_loader.reload(page, RenewalReason.NO_ANSWER)
            except PageUnreachable:
                return False
            except PageError:
                return True
        return step is Step.RELAUNCH

    def _forget_page(self) -> None:
        self._liveness.reset()
        self._linking.reset()
        self._maintenance.new_document()
        self._conversation.page_gone()

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(FINISH_WITHIN):
                await self._conversation.replies.finish()
        except TimeoutError:
            log(LogEvent.TURN_LEFT_TO_NEXT_RUNNER, tenant=self._desired.hold.tenant)

    async def _take_along(self, page: Page) -> None:
        """What the page received but nobody read yet: WhatsApp has its receipt and will not bring it to the next."""
        if not self._login.linked:
            return
        try:
            observation = await page.observe()
            if observation.authenticated and not is_other_account(self._desired.hold.number, observation.number):
                self._status.number = observation.number or self._status.number
                self._status.see(self._status.seen)
                self._conversation.linked(self._desired.hold.caught_up_to_ms)
                await self._conversation.harvest(page, of_our_account=True)
        except PageError as trouble:
            log(LogEvent.FINAL_READ_FAILED, tenant=self._desired.hold.tenant, error=trouble)

    def _interval(self) -> float:
        if self._ladder.failures:
            return LOOK_EVERY_AFTER_A_MISS
        seen = self._status.seen
        if seen.phase in {Phase.ONLINE, Phase.BLOCKED} or seen.problem is ProblemCode.INCOMPATIBLE:
            return PROBE_EVERY
        if self._login.linked or self._desired.hold.watched:
            return LOOK_EVERY_WHILE_UNSETTLED
        return LOOK_EVERY_UNWATCHED
