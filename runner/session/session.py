"""The life of a session: opens the profile, runs one browser after the other, and is released."""

import asyncio
from collections.abc import Callable

from runner.backoff import backoff_seconds
from runner.browser.boot_gate import BootGate
from runner.browser.page import Hint, Page, PageError
from runner.browser.page_state import PageState
from runner.browser.rotation import RotationSlots
from runner.browser.whatsapp import WhatsApp
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneError, StaleEpoch
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.conversation import Conversation
from runner.messages.handover import Handover
from runner.messages.outbox import Outbox
from runner.profile.archive import ChromiumTooOld
from runner.profile.directory import OpenedProfile, Profile
from runner.profile.restorer import Restorer
from runner.profile.saver import Saver
from runner.session.desired_state import DesiredState
from runner.session.login import Login
from runner.session.maintenance import Maintenance
from runner.session.page_supervisor import IDLE_CHECK_SECONDS, ONLINE_CHECK_SECONDS, BrowserEnd, PageSupervisor
from runner.session.release_reason import ReleaseReason
from runner.session.status import Status
from wire import Delivery, Hold, Phase, SessionReport

#: A profile that cannot be put in place so often (the disk is full) is left to another runner.
MAX_OPENING_ATTEMPTS = 5
#: The wait before another runner is asked to open a snapshot that is too new for this one's Chromium.
TOO_OLD_PAUSE_SECONDS = 60.0
#: So long a release waits for the outbox to hand the journal in, so that the next runner's messages come after these.
#: While the control plane is away a release does not arrive either; after three leases it declares this runner dead.
HAND_IN_TIMEOUT_SECONDS = 200.0
HAND_IN_CHECK_SECONDS = 0.5
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
        outbox: Outbox,
        handover: Handover,
        conversation: Conversation,
        restorer: Restorer,
        saver: Saver,
        boot_gate: BootGate,
        rotation_slots: RotationSlots,
        clock: Clock,
        jitter: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        #: The session is released because this runner could not bring it online.
        self.gave_up = False
        #: No browser is left, and none will be started: at most some messages are still to be handed in.
        self.closed = asyncio.Event()
        self._tenant = hold.tenant
        self._whatsapp = whatsapp
        self._outbox = outbox
        self._handover = handover
        self._journal = handover.journal
        self._conversation = conversation
        self._restorer = restorer
        self._saver = saver
        self._clock = clock
        self._jitter = jitter
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
                is_profile_suspect=saver.needs_new_browser,
                may_restart=saver.may_restart,
                clock=clock,
                jitter=jitter,
            ),
            status=self._status,
            boot_gate=boot_gate,
            rotation_slots=rotation_slots,
            clock=clock,
            jitter=jitter,
        )
        self._page: Page | None = None
        #: How often this session was parked: a resume that comes late must not undo a later one.
        self._parkings = 0
        self._failed_openings = 0
        self._journal.hold_back(hold.number is None)

    # -- the host's side ------------------------------------------------------------------------------------------

    @property
    def hold(self) -> Hold:
        """The last hold that the control plane sent."""
        return self._desired.hold

    def update(self, hold: Hold, sent_at: float) -> None:
        """Stores a hold of the same epoch, which a call begun at ``sent_at`` brought."""
        if self._status.state.phase in {Phase.LOGGED_OUT, Phase.CONFLICT}:
            self._desired.ring()  # both phases wait for a confirmation
        self._desired.confirm(hold, sent_at)
        self._journal.hold_back(hold.number is None)

    def deliver(self, delivery: Delivery) -> None:
        """Queues a reply that is ready."""
        self._conversation.replies.deliver(delivery)

    def leave(self, reason: ReleaseReason) -> None:
        """Asks the session to finish the reply being sent, close its browser in peace, and end."""
        if not self._supervisor.departure.is_arriving():
            self._supervisor.boot.interrupt()
        self._desired.leave(reason)

    def is_pending(self) -> bool:
        """Returns whether an answer or a scan is expected soon."""
        phase = self._status.state.phase
        scan_expected = self.hold.watched and phase not in LINKED and phase is not Phase.BLOCKED
        return scan_expected or self._conversation.is_pending()

    def report(self) -> SessionReport:
        """Builds the report for the control plane."""
        restriction = self._conversation.replies.restriction.restriction(self._clock.now())
        saved_at, save_problem = (self._saver.saved_at, self._saver.problem) if self._login.linked else (None, None)
        return self._status.report(
            self.hold,
            self._conversation.caught_up_to_ms,
            saved_at=saved_at,
            save_problem=save_problem,
            restriction=restriction,
        )

    async def park(self) -> None:
        """Takes the session off the network until ``resume``."""
        self._desired.parked = True
        self._parkings += 1
        self._supervisor.mark_offline()
        self._supervisor.boot.interrupt()
        if self._login.linked:
            self._status.update(PageState(Phase.OFFLINE, detail="parked: the control plane does not answer"))
        if self._page is not None:
            await self._page.set_offline(True)

    async def resume(self) -> None:
        """Brings the session back onto the network: the control plane confirmed it."""
        parkings = self._parkings
        try:
            # First: a login taken back while the page is offline wastes one of three attempts.
            if self._page is not None:
                await self._page.set_offline(False)
        finally:
            if self._parkings == parkings:  # not parked again meanwhile
                self._desired.parked = False
                self._status.restart_phase()
                self._desired.ring()

    async def read_rest(self) -> None:
        """Moves what only the page has to the journal: the session is lost, and its browser about to be killed."""
        await self._conversation.read_rest(self._page)

    # -- the life -------------------------------------------------------------------------------------------------

    async def run(self) -> ReleaseReason:
        """Runs until the session is to be released; returns the reason. Raises ProfileBusy."""
        with self._outbox.hosting(self._handover):
            reason = await self._run_browsers()
            self.closed.set()
            await self._wait_for_hand_in()
            return reason

    async def _wait_for_hand_in(self) -> None:
        """Waits for the outbox: the next runner has another disk, and WhatsApp counts these messages as delivered.

        While the link's number is in the reports, its confirmation is waited for; after a logout there is none.
        """
        end = self._clock.now() + HAND_IN_TIMEOUT_SECONDS
        while not self._journal.is_empty() and self._clock.now() < end:
            if self._status.number is None:
                self._journal.hold_back(False)
            self._status.mark_probed()
            if self._status.state.phase in {Phase.SYNCING, Phase.ONLINE}:
                self._status.update(PageState(Phase.OFFLINE, detail="what it heard is still to be handed in"))
            await self._clock.sleep(HAND_IN_CHECK_SECONDS)

    async def _run_browsers(self) -> ReleaseReason:
        desired = self._desired
        while True:
            while desired.parked and desired.release_reason is None:
                await desired.pause(ONLINE_CHECK_SECONDS)
            if desired.release_reason is not None:
                return desired.release_reason
            try:
                opened = await self._status.work(self._restorer.open(self.hold))
            except (ControlPlaneError, ChromiumTooOld, OSError) as error:
                if (reason := await self._wait_for_profile(error)) is not None:
                    return reason
                continue
            self._failed_openings = 0
            try:
                end = await self._run_browser(opened)
            except PageError as error:
                log(LogEvent.BROWSER_LOST, tenant=self._tenant, error=error, detail=str(error))
                end = self._supervisor.lose_browser()
            finally:
                self._supervisor.boot.interrupt()
            if end is BrowserEnd.LOGGED_OUT and await self._login.is_lost(self.hold):
                await self._wait_for_new_link()
            elif end is BrowserEnd.GIVE_BACK:
                return self._give_up(ReleaseReason.TOO_MANY_RESTARTS)
            elif end is BrowserEnd.RELAUNCH:
                problem = self._status.state.problem
                self._status.update(PageState(Phase.FAILED, problem, "the browser is being started again"))
                count = self._supervisor.recovery.relaunches(self._clock.now())
                await desired.pause(backoff_seconds(count, self._jitter()))

    async def _wait_for_profile(self, error: Exception) -> ReleaseReason | None:
        """Waits before the newest profile is tried again; returns a reason if the session is to be released."""
        if isinstance(error, StaleEpoch):
            return ReleaseReason.STALE_EPOCH
        if not self._failed_openings:
            log(LogEvent.PROFILE_UNAVAILABLE, tenant=self._tenant, error=error, detail=str(error)[:100])
        self._failed_openings += 1
        self._status.mark_probed()
        self._status.update(PageState(Phase.FAILED, detail=f"the login cannot be restored: {type(error).__name__}"))
        if isinstance(error, ChromiumTooOld):
            await self._desired.pause(TOO_OLD_PAUSE_SECONDS)
            return self._give_up(ReleaseReason.CHROMIUM_TOO_OLD)
        if isinstance(error, OSError) and self._failed_openings >= MAX_OPENING_ATTEMPTS:
            return self._give_up(ReleaseReason.NO_ROOM)
        await self._desired.pause(backoff_seconds(self._failed_openings, self._jitter()))
        return None

    def _give_up(self, reason: ReleaseReason) -> ReleaseReason:
        self.gave_up = True
        return reason

    def _end_too_large(self) -> None:
        """Ends a session whose browser takes too much of the disk: the other sessions go on."""
        self._status.update(PageState(Phase.FAILED, detail="its browser wrote more to the disk than it may"))
        self.leave(self._give_up(ReleaseReason.PROFILE_TOO_LARGE))

    async def _run_browser(self, opened: OpenedProfile) -> BrowserEnd:
        directory, self._login.linked = opened
        self._status.update(PageState(Phase.STARTING))
        self._supervisor.new_browser()
        self._saver.new_browser()
        if not await self._supervisor.boot.take_turn():
            return BrowserEnd.RENEW
        async with self._whatsapp.open(directory, self._on_hint) as page:
            self._page = page
            try:
                if self._desired.parked:
                    await page.set_offline(True)
                async with asyncio.TaskGroup() as group:
                    side_tasks = [
                        group.create_task(self._conversation.run(page)),
                        group.create_task(
                            self._saver.run(
                                directory,
                                lambda: self._whatsapp.freeze(directory),
                                lambda: self._supervisor.is_online_now(page),
                                self._end_too_large,
                            )
                        ),
                    ]
                    end = await self._supervisor.supervise(page)
                    was_online = end is BrowserEnd.RELEASE and await self._supervisor.is_online_now(page)
                    for task in side_tasks:
                        task.cancel()
            finally:
                self._page = None
                self._conversation.forget_page()
                self._saver.online(False)
        if was_online:
            await self._saver.save_final(directory)
        return end

    async def _wait_for_new_link(self) -> None:
        """Reports the logout, and waits until an owner opens the page to scan a code."""
        reason = await self._login.discard()
        self._status.number = None
        self._status.update(PageState(Phase.LOGGED_OUT, detail=f"reason: {reason}"))
        logged_out_at, desired = self._clock.now(), self._desired
        # The control plane must have stored the report before there is a new code: it then forgets the old number.
        # An answer alone does not prove that: other writes may have been in the way, and each heartbeat repeats it.
        while desired.release_reason is None and (
            not desired.hold.watched or desired.confirmed_at < logged_out_at or desired.hold.number is not None
        ):
            await desired.pause(IDLE_CHECK_SECONDS)

    def _on_hint(self, hint: Hint, detail: str) -> None:
        if hint is Hint.MESSAGE:
            self._conversation.wake()
            return
        if hint is Hint.LOGOUT:
            self._login.mark_logging_out(detail)
        if hint is Hint.GONE and detail:
            log(LogEvent.PAGE_CRASHED, tenant=self._tenant, cause=detail)
        self._desired.ring()
