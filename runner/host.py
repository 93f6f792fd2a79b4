"""Keeps a runner in step with the control plane: registers, renews the lease, reports, obeys, drains."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Unauthorised
from runner.control_plane.lease import Lease
from runner.hosted_sessions import HostedSessions, MakeSession
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.orphaned_journals import ATTEMPTS_AT_MOST
from wire import SYNC_HELD_AT_MOST_MS, Hold, Identity, SyncAnswer, SyncRequest, Wanted

RETRY_EVERY = 2.0
#: A control plane that does not hold a call it was asked to hold must not be asked in a storm.
CALLS_APART_AT_LEAST = 0.2
#: Fargate kills 120 s after SIGTERM.
DRAIN_WITHIN = 100.0
HURRY_WITHIN = 5.0
#: What nobody could take when it was noted here is offered again so often.
LEFTOVERS_EVERY = 30.0
#: For saying that what was killed is gone.
LAST_WORDS_WITHIN = 5.0


class RegistrationRefused(Exception):
    """The control plane does not accept RUNNER_BOOTSTRAP_TOKEN, or not from this task."""


@dataclass(frozen=True, slots=True)
class RunnerInfo:
    """What this runner says of itself."""

    capacity: int
    #: What the outside calls this process, so that its death can be told by others.
    task: str = ""
    image: str = ""
    commit: str = ""
    chromium: str = ""
    wa_js: str = ""


class Host:
    """Level, not edge: each answer is the whole truth, so that a lost one costs a call and nothing else.

    It does not promise that nobody else uses a session at the same time: it promises to stop before the lease says
    somebody may, and never to go back online before the same epoch was confirmed.
    """

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        make_session: MakeSession,
        lease: Lease,
        info: RunnerInfo,
        clock: Clock,
        chance: Callable[[], float],
        capacity: Callable[[int], int] = lambda wanted: wanted,
        hand_in_orphans: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._hand_in_orphans = hand_in_orphans
        self._capacity = capacity
        self._lease = lease
        self._info = info
        self._clock = clock
        self._chance = chance
        self._sessions = HostedSessions(
            client=client, make_session=make_session, clock=clock, chance=chance, on_change=self._tell
        )
        self._identity: Identity | None = None
        self._sequence = 0
        self._applied = 0
        self._bell = 0
        self._changed = asyncio.Event()
        self._awake = asyncio.Event()
        self._draining = asyncio.Event()
        self._hurried = False
        self._drain_deadline: asyncio.Timeout | None = None
        self._reachable = True
        self._group: asyncio.TaskGroup

    async def run(self) -> None:
        """Until drained. ``RegistrationRefused`` if the control plane refuses this runner."""
        async with asyncio.TaskGroup() as self._group:
            side = [
                self._group.create_task(self._beat(), name="beat"),
                self._group.create_task(self._tell_changes(), name="tell changes"),
                self._group.create_task(self._keep_lease(), name="keep lease"),
                self._group.create_task(self._clear_leftovers(), name="clear leftovers"),
            ]
            await self._draining.wait()
            await self._drain()
            for task in side:
                task.cancel()

    def stop(self) -> None:
        """Drain; asked a second time, faster."""
        if not self._draining.is_set():
            log(LogEvent.DRAIN_STARTED, sessions=len(self._sessions))
            self._draining.set()
            self._tell()
        elif not self._hurried:
            self._hurried = True
            log(LogEvent.DRAIN_HASTENED)
            if self._drain_deadline is not None and not self._drain_deadline.expired():
                self._drain_deadline.reschedule(asyncio.get_running_loop().time() + HURRY_WITHIN)

    # -- talking to the control plane -----------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            started = self._clock.now()
            registers = self._identity is None
            held = not registers and self._sessions.is_pending()
            try:
                answer = await self._sync(SYNC_HELD_AT_MOST_MS if held else 0)
            except Unauthorised as refusal:
                await self._start_over(refusal.code)
            except ControlPlaneError as trouble:
                self._note_unreachable(trouble)
                await self._clock.sleep(RETRY_EVERY * (0.5 + self._chance()))
            else:
                if registers and self._hand_in_orphans is not None:
                    await self._hand_in_orphans(ATTEMPTS_AT_MOST)
                await self._rest(CALLS_APART_AT_LEAST if held else answer.next_in_ms / 1000, started)

    async def _rest(self, seconds: float, started: float) -> None:
        """Until the next call is due, or something is pending that should be heard of at once."""
        end = started + seconds
        while (left := end - self._clock.now()) > 0:
            woken = await self._clock.wait(self._awake, left)
            self._awake.clear()
            if woken and seconds > CALLS_APART_AT_LEAST and self._sessions.is_pending():
                return

    async def _tell_changes(self) -> None:
        """What changed goes out at once, beside the call that is being held."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._identity is None:
                continue
            try:
                await self._sync(0)
            except Unauthorised:
                continue  # the other loop hears it too, and starts over
            except ControlPlaneError as trouble:
                self._note_unreachable(trouble)
                await self._clock.sleep(RETRY_EVERY * (0.5 + self._chance()))
                self._changed.set()

    async def _clear_leftovers(self) -> None:
        """What neither a session that ended here nor the first look could hand in, because nobody answered."""
        while self._hand_in_orphans is not None:
            await self._clock.sleep(LEFTOVERS_EVERY)
            if self._identity is not None and self._reachable:
                await self._hand_in_orphans(1)  # each holds a profile's lock meanwhile; the next time comes soon

    async def _sync(self, wait_ms: int) -> SyncAnswer:
        identity = self._identity
        self._sequence += 1
        request = SyncRequest(
            sequence=self._sequence,
            capacity=self._capacity(self._info.capacity),
            draining=self._draining.is_set(),
            bell=self._bell,
            wait_ms=wait_ms,
            task=self._info.task,
            image=self._info.image,
            commit=self._info.commit,
            chromium=self._info.chromium,
            wa_js=self._info.wa_js,
            sessions=self._sessions.reports(),
        )
        sent_at = self._clock.now()
        client = self._client.bound_to(identity.token) if identity else self._client
        answer = await client.sync(request)
        if identity is self._identity:
            self._apply(answer, request.sequence, sent_at)
        return answer

    def _apply(self, answer: SyncAnswer, sequence: int, sent_at: float) -> None:
        if not self._reachable:
            self._reachable = True
            log(LogEvent.CONTROL_PLANE_REACHABLE)
        if self._identity is None:
            if answer.identity is None:
                return
            self._identity = answer.identity
            log(LogEvent.REGISTERED, runner=answer.identity.runner)
        self._lease.renew(sent_at)
        if sequence > self._applied:
            self._applied = sequence
            if answer.drain and not self._draining.is_set():
                self.stop()
            self._reconcile(answer.hold, sent_at, self._identity.token)
            # Not for an overtaken answer: the bell may have rung for the very hold that is dropped with it, and
            # only a call with the older bell is answered at once.
            self._bell = max(self._bell, answer.bell)
        for delivery in answer.deliver:
            session = self._sessions.get(delivery.tenant, delivery.epoch)
            if session is not None:
                session.deliver(delivery)

    def _reconcile(self, holds: tuple[Hold, ...], sent_at: float, token: str) -> None:
        """Bring what we host to what we hold."""
        for hosted in self._sessions.others_than(holds):
            self._group.create_task(self._sessions.end(hosted))
        for hold in holds:
            session = self._sessions.get(hold.tenant, hold.epoch)
            if session is not None:
                session.update(hold, sent_at)
            elif self._sessions.is_new(hold):
                if hold.wanted is Wanted.RUN and not self._draining.is_set():
                    self._sessions.start(hold, token, self._group)
                else:
                    self._group.create_task(self._sessions.release(hold, token, "never started"))
            elif self._sessions.is_unheard(hold):
                self._group.create_task(self._sessions.release(hold, token, "given back before"))
        if self._lease.parked and not self._lease.is_over():
            self._lease.parked = False
            log(LogEvent.SESSIONS_RESUMED, sessions=len(self._sessions))
            self._group.create_task(self._sessions.resume_all())

    # -- the lease ------------------------------------------------------------------------------------------------

    async def _keep_lease(self) -> None:
        while True:
            if self._identity is not None and self._lease.is_over() and not self._lease.parked:
                log(LogEvent.SESSIONS_PARKED, level=logging.WARNING, sessions=len(self._sessions))
                await self._sessions.park_all()
                self._lease.parked = True
            await self._clock.sleep(min(1.0, max(0.05, self._lease.remaining())))

    async def _start_over(self, code: str) -> None:
        """401: this identity is dead. Save what was seen under its token, kill everything, come back as another."""
        if self._identity is None:
            if self._hand_in_orphans is not None:
                # Nobody comes to this disk again, and what waits there is taken under its former tokens for a day.
                await self._hand_in_orphans(ATTEMPTS_AT_MOST)
            raise RegistrationRefused(f"{RegistrationRefused.__doc__} ({code})")
        log(LogEvent.DECLARED_DEAD, level=logging.WARNING, runner=self._identity.runner, sessions=len(self._sessions))
        self._identity = None
        await self._sessions.end_all()
        self._lease.forget()
        self._bell = 0

    async def _drain(self) -> None:
        """In peace within the time there is; then by force."""
        try:
            async with asyncio.timeout(HURRY_WITHIN if self._hurried else DRAIN_WITHIN) as self._drain_deadline:
                try:
                    await self._sessions.drain()
                finally:
                    self._drain_deadline = None  # one that is over cannot be brought forward
        except TimeoutError:
            log(LogEvent.DRAIN_TIMED_OUT, level=logging.WARNING, sessions=len(self._sessions))
            try:
                async with asyncio.timeout(LAST_WORDS_WITHIN):
                    await self._sessions.drain_by_force()
            except TimeoutError:
                log(LogEvent.RELEASES_TIMED_OUT, level=logging.WARNING)
        log(LogEvent.DRAIN_FINISHED)

    # -- small things ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._changed.set()
        self._awake.set()

    def _note_unreachable(self, trouble: ControlPlaneError) -> None:
        if self._reachable:
            self._reachable = False
            log(LogEvent.CONTROL_PLANE_UNREACHABLE, level=logging.WARNING, error=trouble, code=trouble.code)
