"""One session's life, told top to bottom."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, suppress

from runner.backoff import backoff_seconds
from runner.browser.page import Hint, Page, PageError
from runner.browser.page_state import PageState
from runner.browser.recovery_ladder import Relaunches
from runner.browser.rotation import RotationSlots
from runner.browser.whatsapp import WhatsApp
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneError, Stale
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation
from runner.messages.journal import Journal
from runner.messages.orphaned_journals import WITHIN as LEFTOVERS_WITHIN
from runner.profile.archive import ChromiumTooOld
from runner.profile.directory import Opened, Profile, ProfileBusy
from runner.profile.restorer import Restorer
from runner.profile.saver import Saver
from runner.session.desired_state import DesiredState
from runner.session.login import Login
from runner.session.maintenance import Maintenance
from runner.session.page_supervisor import LOOK_EVERY_UNWATCHED, PROBE_EVERY, End, PageSupervisor
from runner.session.status import Status
from wire import Delivery, Hold, Phase, SessionReport

#: So often a profile cannot be put in place (the disk is full), and another runner should try.
OPENINGS_AT_MOST = 5
#: Before another runner is asked to open what is too new for this one's Chromium.
TOO_OLD_PAUSE = 60.0
#: What is left in the journal is handed in before the session is given back, which nobody hears either while the
#: control plane is away. Once it was away for three leases this runner is dead to it, and leftovers.py hands it in.
HAND_IN_FOR = 200.0
HAND_IN_EVERY = 5.0
#: Orphaned journals on this disk hold the profile for a moment; whoever has it for longer is another process.
LOCK_EVERY = 1.0
#: WhatsApp's side of linking is done.
LINKED = {Phase.SYNCING, Phase.ONLINE, Phase.OFFLINE, Phase.CONFLICT}


class Session:
    """Brings one tenant's login online and keeps it there, for as long as this runner holds it.

    ``run`` ends by itself only to be released. Cancelling it kills the browser at once; ``leave`` asks for the
    peaceful way. It never goes online while parked.
    """

    def __init__(
        self,
        *,
        hold: Hold,
        whatsapp: WhatsApp,
        profile: Profile,
        journal: Journal,
        conversation: Conversation,
        restorer: Restorer,
        saver: Saver,
        clock: Clock,
        chance: Callable[[], float],
        on_change: Callable[[], None],
        rotation_slots: RotationSlots,
    ) -> None:
        #: It is given back because this runner could not help it.
        self.gave_up = False
        #: No browser is left, and none will be started: at most some of what it heard is still to be handed in.
        self.closed = asyncio.Event()
        self._tenant = hold.tenant
        self._whatsapp = whatsapp
        self._profile = profile
        self._journal = journal
        self._conversation = conversation
        self._restorer = restorer
        self._saver = saver
        self._clock = clock
        self._chance = chance
        self._desired = DesiredState(hold, clock)
        self._status = Status(hold.tenant, clock, on_change)
        self._login = Login(hold.tenant, profile, restorer, saver)
        self._supervisor = PageSupervisor(
            desired=self._desired,
            login=self._login,
            conversation=conversation,
            saver=saver,
            maintenance=Maintenance(
                tenant=hold.tenant,
                conversation=conversation,
                files_are_doubtful=saver.needs_new_browser,
                rotation_slots=rotation_slots,
                clock=clock,
                chance=chance,
            ),
            status=self._status,
            clock=clock,
            chance=chance,
        )
        self._page: Page | None = None
        #: How often this session was parked: a resume that comes late must not undo a later one.
        self._parkings = 0
        self._relaunches = Relaunches()
        self._openings_failed = 0
        conversation.may_hand_in(hold.number is not None)

    # -- what the host tells and asks -----------------------------------------------------------------------------

    @property
    def hold(self) -> Hold:
        """What the control plane said last."""
        return self._desired.hold

    def update(self, hold: Hold, sent_at: float) -> None:
        """The control plane, asked at ``sent_at``, still says that this session is ours."""
        if self._status.seen.phase in {Phase.LOGGED_OUT, Phase.CONFLICT}:
            self._desired.ring()  # both wait for just this
        self._desired.confirm(hold, sent_at)
        self._conversation.may_hand_in(hold.number is not None)

    def deliver(self, delivery: Delivery) -> None:
        """A reply is ready."""
        self._conversation.replies.deliver(delivery)

    def leave(self, reason: str) -> None:
        """Finish the reply being sent, close the browser in peace, end."""
        self._desired.leave(reason)

    def is_pending(self) -> bool:
        """Whether an answer or a scan is expected soon."""
        phase = self._status.seen.phase
        awaited = self.hold.watched and phase not in LINKED and phase is not Phase.BLOCKED
        return awaited or self._conversation.is_pending()

    def report(self) -> SessionReport:
        """What is seen now."""
        return self._status.report(self.hold, self._conversation.caught_up_to_ms)

    async def park(self) -> None:
        """Off the network and silent, until ``resume``."""
        self._desired.parked = True
        self._parkings += 1
        self._supervisor.quiet()
        if self._login.linked:
            self._status.see(PageState(Phase.OFFLINE, detail="parked: the control plane does not answer"))
        if self._page is not None:
            await self._page.set_offline(True)

    async def resume(self) -> None:
        """The control plane confirmed that the session is still ours."""
        parkings = self._parkings
        try:
            # First: a login taken back while the page is offline is an attempt in vain, of three.
            if self._page is not None:
                await self._page.set_offline(False)
        finally:
            if self._parkings == parkings:  # not parked anew meanwhile
                self._desired.parked = False
                self._desired.ring()

    async def harvest(self) -> None:
        """Hand in what the page still holds, at once: no word about a link comes any more to who is not the holder."""
        self._conversation.may_hand_in(True)
        await self._conversation.harvest(self._page)

    # -- the life -------------------------------------------------------------------------------------------------

    async def run(self) -> str:
        """Live; the result says why the session is released."""
        with ExitStack() as held:
            await self._lock_profile(held)
            self._journal.open()
            try:
                reason = await self._live()
                self.closed.set()
                await self._hand_in_the_rest()
                return reason
            finally:
                self._journal.close()

    async def _lock_profile(self, held: ExitStack) -> None:
        """``ProfileBusy`` if somebody has it for longer than leftovers may."""
        begun = self._clock.now()
        while self._clock.now() - begun < LEFTOVERS_WITHIN:
            with suppress(ProfileBusy):
                held.enter_context(self._profile.locked())
                return
            await self._clock.sleep(LOCK_EVERY)
        held.enter_context(self._profile.locked())

    async def _hand_in_the_rest(self) -> None:
        """Nobody else would: the next holder has another disk, and WhatsApp's word that these were delivered.

        A link that is still to be told is in the reports meanwhile, and waited for; what is left of a login that
        nobody knows any more is not.
        """
        begun, attempt = self._clock.now(), 0
        while True:
            if self._status.number is None:
                self._conversation.may_hand_in(True)
            await self._conversation.harvest(None)
            if not self._journal.waiting or self._clock.now() - begun >= HAND_IN_FOR:
                return
            self._status.looked_after()
            if self._status.seen.phase in {Phase.SYNCING, Phase.ONLINE}:
                self._status.see(PageState(Phase.OFFLINE, detail="what it heard is still to be handed in"))
            await self._clock.sleep(min(HAND_IN_EVERY, backoff_seconds(attempt, self._chance())))
            attempt += 1

    async def _live(self) -> str:
        desired = self._desired
        while True:
            while desired.parked and desired.leaving is None:
                await desired.pause(PROBE_EVERY)
            if desired.leaving is not None:
                return desired.leaving
            try:
                opened = await self._restorer.open(self.hold)
            except (ControlPlaneError, ChromiumTooOld, OSError) as trouble:
                if (reason := await self._without_profile(trouble)) is not None:
                    return reason
                continue
            self._openings_failed = 0
            try:
                end = await self._one_browser(opened)
            except PageError as trouble:
                log(LogEvent.BROWSER_LOST, tenant=self._tenant, error=trouble, detail=str(trouble))
                end = End.RELAUNCH
            if end is End.LOGGED_OUT and await self._login.is_lost(self.hold):
                await self._after_logout()
            elif end is End.RELAUNCH:
                count = self._relaunches.count(self._clock.now())
                if self._relaunches.too_many(count):
                    self.gave_up = True
                    return "wedged: too many restarts"
                self._status.see(
                    PageState(Phase.FAILED, self._status.seen.problem, "the browser is being started again")
                )
                await desired.pause(backoff_seconds(count, self._chance()))

    async def _without_profile(self, trouble: Exception) -> str | None:
        """The newest profile cannot be had just now: wait; the result says why to give the session back."""
        if isinstance(trouble, Stale):
            return "somebody else's"
        if not self._openings_failed:
            log(LogEvent.PROFILE_UNAVAILABLE, tenant=self._tenant, error=trouble, detail=str(trouble)[:100])
        self._openings_failed += 1
        self._status.looked_after()
        self._status.see(PageState(Phase.FAILED, detail=f"the login cannot be restored: {type(trouble).__name__}"))
        if isinstance(trouble, ChromiumTooOld):
            await self._desired.pause(TOO_OLD_PAUSE)
            self.gave_up = True
            return str(trouble)
        if isinstance(trouble, OSError) and self._openings_failed >= OPENINGS_AT_MOST:
            self.gave_up = True
            return "no room for the profile"
        await self._desired.pause(backoff_seconds(self._openings_failed, self._chance()))
        return None

    async def _one_browser(self, opened: Opened) -> End:
        directory, self._login.linked = opened
        self._status.see(PageState(Phase.STARTING))
        self._supervisor.begin()
        self._saver.new_browser()
        async with self._whatsapp.open(directory, self._on_hint) as page:
            self._page = page
            try:
                if self._desired.parked:
                    await page.set_offline(True)
                async with asyncio.TaskGroup() as group:
                    beside = [
                        group.create_task(self._conversation.run(page)),
                        group.create_task(
                            self._saver.run(
                                directory,
                                lambda: self._whatsapp.frozen(directory),
                                lambda: self._supervisor.is_online_now(page),
                            )
                        ),
                    ]
                    end = await self._supervisor.keep(page)
                    was_online = end is End.LEAVE and await self._supervisor.is_online_now(page)
                    for task in beside:
                        task.cancel()
            finally:
                self._page = None
                self._conversation.page_gone()
                self._saver.online(False)
        if was_online:
            await self._saver.save_final(directory)
        return end

    async def _after_logout(self) -> None:
        """Say so, and wait for somebody who wants to scan."""
        reason = await self._login.put_away()
        self._status.number = None
        self._status.see(PageState(Phase.LOGGED_OUT, detail=f"reason: {reason}"))
        at, desired = self._clock.now(), self._desired
        # The control plane must have heard it before there is a new code: it forgets the old number then.
        while (not desired.hold.watched or desired.confirmed_at < at) and desired.leaving is None:
            await desired.pause(LOOK_EVERY_UNWATCHED)

    def _on_hint(self, hint: Hint, detail: str) -> None:
        if hint is Hint.MESSAGE:
            self._conversation.hint()
            return
        if hint is Hint.LOGOUT:
            self._login.ending(detail)
        self._desired.ring()
