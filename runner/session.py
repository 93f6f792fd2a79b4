"""One session's life, told top to bottom."""

import asyncio
from collections.abc import Callable
from enum import Enum

from runner.backoff import backoff
from runner.clock import Clock
from runner.control import ControlTrouble, Stale
from runner.conversation import Conversation
from runner.document import INCOMPATIBLE_RETRY, Document
from runner.journal import Journal
from runner.judgement import (
    REAL_LOGOUTS,
    Judgement,
    Ladder,
    Relaunches,
    Step,
    is_logged_out,
    is_other_account,
    judge,
)
from runner.linking import Linking
from runner.logs import note
from runner.page import Page, PageGone, PageRefused, PageTrouble, PageUnreachable, Sight
from runner.presence import Presence
from runner.profile import Opened, Profile
from runner.reporting import Reporting
from runner.restoring import Restoring
from runner.saving import Saving
from runner.snapshot import ChromiumTooOld
from runner.whatsapp import WhatsApp
from wire import Delivery, Hold, Phase, ProblemCode, SessionReport, Wanted

PROBE_EVERY = 15.0
LOOK_EVERY_WHILE_UNSETTLED = 1.0
LOOK_EVERY_UNWATCHED = 5.0
LOOK_EVERY_AFTER_A_MISS = 5.0
#: A linked page that stays in one of these phases so long is loaded again.
STUCK_AFTER = {Phase.SYNCING: 1800.0, Phase.OFFLINE: 300.0, Phase.STARTING: 120.0}
FINISH_WITHIN = 30.0
#: So often a profile cannot be put in place (the disk is full), and another runner should try.
OPENINGS_AT_MOST = 5
#: Before another runner is asked to open what is too new for this one's Chromium.
TOO_OLD_PAUSE = 60.0
LINKING = {Phase.QR, Phase.PAIRING, Phase.STARTING}
LINKED = {Phase.SYNCING, Phase.ONLINE, Phase.OFFLINE, Phase.CONFLICT}


class End(Enum):
    """Why a browser was closed."""

    LEAVE = "leave"  #: the session is to be released
    RELAUNCH = "relaunch"  #: only a new browser helps
    LOGGED_OUT = "logged_out"  #: the login is over


class Session:
    """Brings one tenant's login online and keeps it there, for as long as this runner holds it.

    ``run`` ends by itself only to be released. Cancelling it kills the browser at once; ``leave`` asks for the
    peaceful way. It never goes online while parked.
    """

    def __init__(
        self,
        hold: Hold,
        whatsapp: WhatsApp,
        profile: Profile,
        journal: Journal,
        conversation: Conversation,
        restoring: Restoring,
        saving: Saving,
        clock: Clock,
        chance: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.hold = hold
        self._whatsapp = whatsapp
        self._profile = profile
        self._journal = journal
        self._conversation = conversation
        self._restoring = restoring
        self._saving = saving
        self._clock = clock
        self._chance = chance
        self._reporting = Reporting(hold.tenant, clock, changed)
        self._presence = Presence(clock)
        self._linking = Linking(clock)
        self._document = Document(hold.tenant, clock, chance, self._forget_page)
        self._page: Page | None = None
        self._wake = asyncio.Event()
        self._parked = False
        self._leaving: str | None = None
        self._linked = False
        self._logout_reason: str | None = None
        self._confirmed_at = clock.now()
        self._ladder = Ladder()
        self._relaunches = Relaunches()

    # -- what the host tells and asks -----------------------------------------------------------------------------

    def update(self, hold: Hold, sent_at: float) -> None:
        """The control plane, asked at ``sent_at``, still says that this session is ours."""
        if hold.wanted is Wanted.RELEASE:
            self.leave("no longer wanted")
        awaited = self._reporting.seen.phase in {Phase.LOGGED_OUT, Phase.CONFLICT}
        if awaited or (hold.watched, hold.pair_with) != (self.hold.watched, self.hold.pair_with):
            self._wake.set()
        self.hold = hold
        self._confirmed_at = sent_at

    def deliver(self, delivery: Delivery) -> None:
        """A reply is ready."""
        self._conversation.replies.deliver(delivery)

    def leave(self, reason: str) -> None:
        """Finish the reply being sent, close the browser in peace, end."""
        self._leaving = self._leaving or reason
        self._wake.set()

    def is_pending(self) -> bool:
        """Whether an answer or a scan is expected soon."""
        watched = (
            self.hold.watched
            and self._reporting.seen.phase not in LINKED
            and self._reporting.seen.phase is not Phase.BLOCKED
        )
        return watched or self._conversation.is_pending()

    def report(self) -> SessionReport:
        """What is seen now."""
        return self._reporting.report(self.hold, self._conversation.caught_up_to_ms)

    async def park(self) -> None:
        """Off the network and silent, until ``resume``."""
        self._parked = True
        self._conversation.offline()
        self._saving.online(False)
        self._presence.lost()
        if self._linked:
            self._reporting.see(Judgement(Phase.OFFLINE, detail="parked: the control plane does not answer"))
        if self._page is not None:
            await self._page.set_offline(True)

    async def resume(self) -> None:
        """The control plane confirmed that the session is still ours."""
        self._parked = False
        self._wake.set()
        if self._page is not None:
            await self._page.set_offline(False)

    async def harvest(self) -> None:
        """Hand in what the page still holds."""
        await self._conversation.harvest(self._page)

    # -- the life -------------------------------------------------------------------------------------------------

    async def run(self) -> str:
        """Live; the result says why the session is released."""
        with self._profile.locked():
            self._journal.open()
            try:
                return await self._live()
            finally:
                self._journal.close()

    async def _live(self) -> str:
        while True:
            while self._parked and self._leaving is None:
                await self._pause(PROBE_EVERY)
            if self._leaving is not None:
                return self._leaving
            try:
                opened = await self._restoring.open(self.hold)
            except (ControlTrouble, ChromiumTooOld, OSError) as trouble:
                if (reason := await self._without_profile(trouble)) is not None:
                    return reason
                continue
            self._openings_failed = 0
            try:
                end = await self._one_browser(opened)
            except PageTrouble as trouble:
                note("browser lost", tenant=self.hold.tenant, trouble=trouble, detail=str(trouble))
                end = End.RELAUNCH
            if end is End.LOGGED_OUT:
                real = self._logout_reason in REAL_LOGOUTS
                if real or not await self._restoring.step_back(self.hold):
                    await self._after_logout()
            elif end is End.RELAUNCH:
                count = self._relaunches.count(self._clock.now())
                if self._relaunches.too_many(count):
                    return "wedged: too many restarts"
                self._reporting.see(
                    Judgement(Phase.FAILED, self._reporting.seen.problem, "the browser is being started again")
                )
                await self._pause(backoff(count, self._chance()))

    async def _without_profile(self, trouble: Exception) -> str | None:
        """The newest profile cannot be had just now: wait; the result says why to give the session back."""
        if isinstance(trouble, Stale):
            return "somebody else's"
        if not self._openings_failed:
            note("profile cannot be opened", tenant=self.hold.tenant, trouble=trouble, detail=str(trouble)[:100])
        self._openings_failed += 1
        self._reporting.see(Judgement(Phase.FAILED, detail=f"the login cannot be restored: {type(trouble).__name__}"))
        if isinstance(trouble, ChromiumTooOld):
            await self._pause(TOO_OLD_PAUSE)
            return str(trouble)
        await self._pause(backoff(self._openings_failed, self._chance()))
        full = isinstance(trouble, OSError) and self._openings_failed >= OPENINGS_AT_MOST
        return "no room for the profile" if full else None

    async def _one_browser(self, opened: Opened) -> End:
        directory, self._linked = opened
        self._reporting.see(Judgement(Phase.STARTING))
        self._document.forget()
        self._ladder.fine()
        async with self._whatsapp.open(directory, self._hinted) as page:
            self._page = page
            try:
                if self._parked:
                    await page.set_offline(True)
                async with asyncio.TaskGroup() as group:
                    beside = [
                        group.create_task(self._conversation.run(page)),
                        group.create_task(
                            self._saving.keep(
                                directory, lambda: self._whatsapp.frozen(directory), lambda: self._is_online_now(page)
                            )
                        ),
                    ]
                    end = await self._watch(page)
                    was_online = end is End.LEAVE and await self._is_online_now(page)
                    for task in beside:
                        task.cancel()
            finally:
                self._page = None
                self._conversation.page_gone()
                self._saving.online(False)
        if was_online:
            await self._saving.last(directory)
        return end

    async def _watch(self, page: Page) -> End:
        """Look, understand, act, wait; until the browser has to be closed."""
        while True:
            if self._leaving is not None:
                await self._finish()
                return End.LEAVE
            try:
                if not self._parked:
                    end = await self._attend(page)
                    if end is not None:
                        return end
            except PageGone:
                return End.RELAUNCH
            except PageUnreachable as trouble:
                phase = Phase.OFFLINE if self._linked else Phase.FAILED
                self._reporting.see(Judgement(phase, detail=f"WhatsApp Web cannot be loaded: {trouble}"))
                await self._pause(self._document.unreachable())
                continue
            except PageTrouble as trouble:
                if await self._climb(page, trouble):
                    return End.RELAUNCH
            await self._pause(self._interval())

    async def _attend(self, page: Page) -> End | None:
        await self._document.load(page)
        sight = await page.look()
        self._reporting.probed_at = self._clock.now()
        if not sight.injected:
            return await self._without_injection(page)
        self._document.alive()
        if is_logged_out(sight, self._linked):
            self._logout_reason = self._logout_reason or sight.logout_reason
            return End.LOGGED_OUT
        seen = judge(sight, self._linked)
        if sight.authenticated:
            seen = await self._attend_linked(page, sight, seen)
        elif seen.phase in LINKING and await self._linking.attend(page, sight, self.hold):
            return End.RELAUNCH
        if seen.phase is Phase.ONLINE:
            self._restoring.served()
        else:
            self._conversation.offline()
            self._presence.lost()
        self._saving.online(seen.phase is Phase.ONLINE)
        self._reporting.see(seen, sight)
        stuck = STUCK_AFTER.get(seen.phase)
        if self._linked and stuck is not None and self._clock.now() - self._reporting.since > stuck:
            self._reporting.since = self._clock.now()
            await self._document.reload(page, "stuck")
        return None

    async def _attend_linked(self, page: Page, sight: Sight, claim: Judgement) -> Judgement:
        if not self._linked:
            self._linked = True
            self._profile.mark_linked(self.hold.epoch)
            self._restoring.linked()
            self._saving.linked()
            note("linked", tenant=self.hold.tenant)
        seen = await self._presence.attend(page, sight, claim, self.hold, self._confirmed_at)
        if seen.phase is Phase.FAILED:
            return seen
        self._reporting.number = sight.number or self._reporting.number
        self._conversation.linked(self.hold.caught_up_to_ms)
        if seen.phase is Phase.ONLINE:
            self._ladder.fine()
            self._conversation.online(sight.delivered_offline)
            if sight.needs_update and await self._document.update(page):
                self._reporting.since = self._clock.now()
        elif claim.phase is Phase.ONLINE and await self._climb(page, None):
            raise PageGone("the proof of being online failed too often")
        return seen

    async def _without_injection(self, page: Page) -> End | None:
        step = self._document.lifeless()
        if step is Step.RELAUNCH:
            return End.RELAUNCH
        if step is Step.RELOAD:
            if self._document.is_incompatible:
                detail = "wa-js does not find WhatsApp's modules"
                self._reporting.see(Judgement(Phase.FAILED, ProblemCode.INCOMPATIBLE, detail))
            await self._document.reload(page, "wa-js was not injected")
        return None

    # -- trouble --------------------------------------------------------------------------------------------------

    async def _climb(self, page: Page, trouble: PageTrouble | None) -> bool:
        """One step up the ladder; whether a new browser is needed."""
        self._conversation.offline()
        self._saving.online(False)
        self._presence.lost()
        broken = isinstance(trouble, PageRefused) and trouble.code in {"TypeError", "ReferenceError"}
        problem = ProblemCode.INCOMPATIBLE if broken else None
        now = self._clock.now()
        step = self._ladder.missed(now)
        if broken and step is Step.RELAUNCH:
            # A new browser understands WhatsApp's new page no better: no storm of restarts, only a look now and then.
            step = self._ladder.reload_again(now, INCOMPATIBLE_RETRY)
        if step is not Step.WAIT:
            phase = Phase.OFFLINE if self._linked else Phase.FAILED
            self._reporting.see(Judgement(phase, problem, str(trouble or "no proof of being online")))
        if step is Step.RELOAD:
            try:
                await self._document.reload(page, "no answer")
            except PageUnreachable:
                return False
            except PageTrouble:
                return True
        return step is Step.RELAUNCH

    def _forget_page(self) -> None:
        self._presence.lost()
        self._linking.forget()
        self._conversation.page_gone()

    async def _is_online_now(self, page: Page) -> bool:
        """Asked again before anything is saved: a login that ended a moment ago must not replace a good one."""
        try:
            sight = await page.look()
        except PageTrouble:
            return False
        claims = sight.authenticated and judge(sight, self._linked).phase is Phase.ONLINE
        proven = self._reporting.seen.phase is Phase.ONLINE and not self._parked
        return claims and proven and not is_other_account(self.hold.number, sight.number)

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(FINISH_WITHIN):
                await self._conversation.replies.finish()
        except TimeoutError:
            note("a reply is left to the next holder", tenant=self.hold.tenant)

    async def _after_logout(self) -> None:
        """Say so, keep or delete the profile, and wait for somebody who wants to scan."""
        real = self._logout_reason in REAL_LOGOUTS
        note("logged out", tenant=self.hold.tenant, reason=self._logout_reason or "unknown", wiped=real)
        self._restoring.give_up()
        await asyncio.to_thread(self._profile.wipe if real else self._profile.set_aside)
        self._linked = False
        self._reporting.number = None
        detail = f"reason: {self._logout_reason or 'unknown'}"
        self._logout_reason = None
        self._reporting.see(Judgement(Phase.LOGGED_OUT, detail=detail))
        at = self._clock.now()
        # The control plane must have heard it before there is a new code: it forgets the old number then.
        while (not self.hold.watched or self._confirmed_at < at) and self._leaving is None:
            await self._pause(LOOK_EVERY_UNWATCHED)

    # -- small things ---------------------------------------------------------------------------------------------

    def _hinted(self, kind: str, detail: str) -> None:
        if kind == "message":
            self._conversation.hint()
            return
        if kind == "logout" and detail:
            self._logout_reason = detail
        self._wake.set()

    async def _pause(self, seconds: float) -> None:
        await self._clock.wait(self._wake, seconds)
        self._wake.clear()

    def _interval(self) -> float:
        if self._ladder.misses:
            return LOOK_EVERY_AFTER_A_MISS
        if self._reporting.seen.phase in {Phase.ONLINE, Phase.BLOCKED}:
            return PROBE_EVERY
        if self._linked or self.hold.watched:
            return LOOK_EVERY_WHILE_UNSETTLED
        return LOOK_EVERY_UNWATCHED
