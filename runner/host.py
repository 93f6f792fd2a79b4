"""Holds what the control plane says this runner holds: registers, renews the lease, starts, parks, drains."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from runner.clock import Clock
from runner.control import Control, ControlTrouble, Stale, Unauthorised
from runner.conversation import backoff
from runner.lease import Lease
from runner.logs import note
from runner.page import PageTrouble
from runner.session import Session
from wire import (
    SYNC_HELD_AT_MOST_MS,
    Hold,
    Identity,
    ReleaseRequest,
    SyncAnswer,
    SyncRequest,
    Wanted,
)

RETRY_EVERY = 2.0
#: A control plane that does not hold a call it was asked to hold must not be asked in a storm.
CALLS_APART_AT_LEAST = 0.2
PARK_WITHIN = 5.0
HARVEST_WITHIN = 10.0
#: Fargate kills 120 s after SIGTERM.
DRAIN_WITHIN = 100.0
HURRY_WITHIN = 5.0
DRAINED_AT_ONCE = 4
RELEASE_ATTEMPTS = 6


class NotWelcome(Exception):
    """The control plane does not accept RUNNER_BOOTSTRAP_TOKEN."""


@dataclass(frozen=True, slots=True)
class About:
    """What this runner says of itself."""

    capacity: int
    #: What the outside calls this process, so that its death can be told by others.
    task: str = ""
    image: str = ""
    commit: str = ""
    chromium: str = ""
    wa_js: str = ""


@dataclass(eq=False)
class Hosted:
    """One session, the task that lives it, and whether it is being ended."""

    session: Session
    task: asyncio.Task[None] | None = None
    ending: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class Host:
    """Level, not edge: each answer is the whole truth, so that a lost one costs a call and nothing else.

    It does not promise that nobody else uses a session at the same time: it promises to stop before the lease says
    somebody may, and never to go back online before the same epoch was confirmed.
    """

    def __init__(
        self,
        control: Control,
        make_session: Callable[[Hold, str, Callable[[], None]], Session],
        lease: Lease,
        about: About,
        bootstrap_token: str,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._control = control
        self._make_session = make_session
        self._lease = lease
        self._about = about
        self._bootstrap_token = bootstrap_token
        self._clock = clock
        self._chance = chance
        self._identity: Identity | None = None
        self._hosted: dict[str, Hosted] = {}
        self._released: dict[str, int] = {}
        self._sequence = 0
        self._applied = 0
        self._bell = 0
        self._changed = asyncio.Event()
        self._awake = asyncio.Event()
        self._draining = asyncio.Event()
        self._drain_deadline: asyncio.Timeout | None = None
        self._hurried = False
        self._reachable = True
        self._group: asyncio.TaskGroup

    async def run(self) -> None:
        """Until drained. ``NotWelcome`` if the control plane refuses this runner."""
        async with asyncio.TaskGroup() as self._group:
            side = [
                self._group.create_task(self._beat(), name="beat"),
                self._group.create_task(self._tell_changes(), name="tell changes"),
                self._group.create_task(self._keep_lease(), name="keep lease"),
            ]
            await self._draining.wait()
            await self._drain()
            for task in side:
                task.cancel()

    def stop(self) -> None:
        """Drain; asked a second time, faster."""
        if not self._draining.is_set():
            note("draining", sessions=len(self._hosted))
            self._draining.set()
            self._tell()
        elif not self._hurried:
            self._hurried = True
            note("hurrying")
            if self._drain_deadline is not None:
                self._drain_deadline.reschedule(asyncio.get_running_loop().time() + HURRY_WITHIN)

    # -- talking to the control plane -----------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            started = self._clock.now()
            held = self._is_pending() and self._identity is not None
            try:
                answer = await self._sync(SYNC_HELD_AT_MOST_MS if held else 0)
            except Unauthorised:
                await self._start_over()
            except ControlTrouble as trouble:
                self._note_unreachable(trouble)
                await self._clock.sleep(RETRY_EVERY * (0.5 + self._chance()))
            else:
                until = answer.next_in_ms / 1000
                await self._rest(CALLS_APART_AT_LEAST if held else until, started)

    async def _rest(self, seconds: float, started: float) -> None:
        """Until the next call is due, or something is pending that should be heard of at once."""
        end = started + seconds
        while (left := end - self._clock.now()) > 0:
            woken = await self._clock.wait(self._awake, left)
            self._awake.clear()
            if woken and self._is_pending() and seconds > CALLS_APART_AT_LEAST:
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
            except ControlTrouble as trouble:
                self._note_unreachable(trouble)
                await self._clock.sleep(RETRY_EVERY * (0.5 + self._chance()))
                self._changed.set()

    async def _sync(self, wait_ms: int) -> SyncAnswer:
        identity = self._identity
        self._sequence += 1
        request = SyncRequest(
            sequence=self._sequence,
            capacity=self._about.capacity,
            draining=self._draining.is_set(),
            bell=self._bell,
            wait_ms=wait_ms,
            task=self._about.task,
            image=self._about.image,
            commit=self._about.commit,
            chromium=self._about.chromium,
            wa_js=self._about.wa_js,
            sessions=tuple(hosted.session.report() for hosted in self._hosted.values()),
        )
        sent_at = self._clock.now()
        answer = await self._control.sync(request, identity.token if identity else self._bootstrap_token)
        if identity is self._identity:
            self._apply(answer, request.sequence, sent_at)
        return answer

    def _apply(self, answer: SyncAnswer, sequence: int, sent_at: float) -> None:
        if not self._reachable:
            self._reachable = True
            note("control plane reachable again")
        if self._identity is None:
            if answer.identity is None:
                return
            self._identity = answer.identity
            note("registered", runner=answer.identity.runner)
        self._lease.renew(sent_at)
        if sequence > self._applied:
            self._applied = sequence
            if answer.drain and not self._draining.is_set():
                self.stop()
            self._reconcile(answer.hold, sent_at)
        for delivery in answer.deliver:
            hosted = self._hosted.get(delivery.tenant)
            if hosted is not None and hosted.session.hold.epoch == delivery.epoch:
                hosted.session.deliver(delivery)
        self._bell = max(self._bell, answer.bell)

    def _reconcile(self, holds: tuple[Hold, ...], sent_at: float) -> None:
        """Bring what we host to what we hold."""
        wanted = {hold.tenant: hold for hold in holds}
        for tenant, hosted in list(self._hosted.items()):
            hold = wanted.get(tenant)
            if hold is not None and hold.epoch == hosted.session.hold.epoch:
                hosted.session.update(hold, sent_at)
            else:
                self._end_soon(hosted)
        for hold in holds:
            if hold.tenant in self._hosted or hold.epoch <= self._released.get(hold.tenant, 0):
                continue
            if hold.wanted is Wanted.RUN and not self._draining.is_set():
                self._start(hold)
            else:
                self._released[hold.tenant] = hold.epoch
                self._group.create_task(self._release(hold.tenant, hold.epoch, "never started"))
        if self._lease.parked and not self._lease.is_over():
            self._lease.parked = False
            note("resuming")
            for hosted in self._hosted.values():
                if not hosted.ending:
                    self._group.create_task(self._resume(hosted))

    # -- sessions -------------------------------------------------------------------------------------------------

    def _start(self, hold: Hold) -> None:
        assert self._identity is not None
        hosted = Hosted(self._make_session(hold, self._identity.token, self._tell))
        self._hosted[hold.tenant] = hosted
        hosted.task = self._group.create_task(self._live(hosted, hold), name=f"session {hold.tenant}")

    async def _live(self, hosted: Hosted, hold: Hold) -> None:
        """A session and its release. One tenant's trouble is never another's: it ends here."""
        note("session starts", tenant=hold.tenant, epoch=hold.epoch)
        reason = ""
        try:
            try:
                reason = await hosted.session.run()
            except Exception as trouble:
                note("session crashed", level=logging.ERROR, tenant=hold.tenant, trouble=_first(trouble))
                reason = f"crashed: {type(_first(trouble)).__name__}"
            self._released[hold.tenant] = hold.epoch
            await self._release(hold.tenant, hold.epoch, reason)
        finally:
            note("session ended", tenant=hold.tenant, epoch=hold.epoch, reason=reason or "killed")
            del self._hosted[hold.tenant]
            hosted.gone.set()
            self._tell()

    async def _release(self, tenant: str, epoch: int, reason: str) -> None:
        """The browser is gone; say so. If nobody hears it, the lease runs out."""
        identity = self._identity
        if identity is None:
            return
        request = ReleaseRequest(tenant=tenant, epoch=epoch, reason=reason[:200])
        for attempt in range(RELEASE_ATTEMPTS):
            try:
                await self._control.release(request, identity.token)
                return
            except (Stale, Unauthorised):
                return
            except ControlTrouble as trouble:
                note("release failed", tenant=tenant, trouble=trouble, code=trouble.code)
                await self._clock.sleep(backoff(attempt, self._chance()))

    def _end_soon(self, hosted: Hosted) -> None:
        if not hosted.ending:
            hosted.ending = True
            self._group.create_task(self._end(hosted))

    async def _end(self, hosted: Hosted) -> None:
        """Not ours any more: off the network, save what it saw, kill."""
        note("session is no longer ours", tenant=hosted.session.hold.tenant, epoch=hosted.session.hold.epoch)
        hosted.ending = True
        try:
            async with asyncio.timeout(PARK_WITHIN + HARVEST_WITHIN):
                await hosted.session.park()
                await hosted.session.harvest()
        except (PageTrouble, TimeoutError) as trouble:
            note("harvest failed", tenant=hosted.session.hold.tenant, trouble=trouble)
        if hosted.task is not None:
            hosted.task.cancel()
        await hosted.gone.wait()

    async def _resume(self, hosted: Hosted) -> None:
        try:
            await hosted.session.resume()
        except PageTrouble:
            return  # its own watch sees the same, and starts another browser

    # -- the lease ------------------------------------------------------------------------------------------------

    async def _keep_lease(self) -> None:
        while True:
            if self._identity is not None and self._lease.is_over() and not self._lease.parked:
                await self._park()
            await self._clock.sleep(min(1.0, max(0.05, self._lease.remaining())))

    async def _park(self) -> None:
        """The deadline passed: silence everything, and kill what cannot be silenced."""
        note("parking", level=logging.WARNING, sessions=len(self._hosted))
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                group.create_task(self._park_one(hosted))
        self._lease.parked = True

    async def _park_one(self, hosted: Hosted) -> None:
        try:
            async with asyncio.timeout(PARK_WITHIN):
                await hosted.session.park()
        except (PageTrouble, TimeoutError) as trouble:
            note("could not park, killed", tenant=hosted.session.hold.tenant, trouble=trouble)
            if hosted.task is not None:
                hosted.task.cancel()

    async def _start_over(self) -> None:
        """401: this identity is dead. Save what was seen under its token, kill everything, come back as another."""
        if self._identity is None:
            raise NotWelcome(str(NotWelcome.__doc__))
        note("declared dead", level=logging.WARNING, runner=self._identity.runner, sessions=len(self._hosted))
        self._identity = None
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                group.create_task(self._end(hosted))
        self._lease.forget()
        self._released.clear()
        self._bell = 0

    # -- the end --------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Let each session finish its reply, close its browser and be released; kill what takes too long."""
        turns = asyncio.Semaphore(DRAINED_AT_ONCE)
        try:
            async with asyncio.timeout(HURRY_WITHIN if self._hurried else DRAIN_WITHIN) as self._drain_deadline:
                while self._hosted:
                    async with asyncio.TaskGroup() as group:
                        for hosted in list(self._hosted.values()):
                            group.create_task(self._let_go(hosted, turns))
        except TimeoutError:
            note("drain took too long", level=logging.WARNING, sessions=len(self._hosted))
            for hosted in list(self._hosted.values()):
                hold = hosted.session.hold
                if hosted.task is not None:
                    hosted.task.cancel()
                await hosted.gone.wait()
                self._group.create_task(self._release(hold.tenant, hold.epoch, "drain took too long"))
        note("drained")

    async def _let_go(self, hosted: Hosted, turns: asyncio.Semaphore) -> None:
        async with turns:
            hosted.session.leave("drained")
            await hosted.gone.wait()

    # -- small things ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._changed.set()
        self._awake.set()

    def _is_pending(self) -> bool:
        return any(hosted.session.is_pending() for hosted in self._hosted.values())

    def _note_unreachable(self, trouble: ControlTrouble) -> None:
        if self._reachable:
            self._reachable = False
            note("control plane unreachable", level=logging.WARNING, trouble=trouble, code=trouble.code)


def _first(trouble: BaseException) -> BaseException:
    """The reason inside a group of exceptions."""
    while isinstance(trouble, BaseExceptionGroup) and trouble.exceptions:
        trouble = trouble.exceptions[0]
    return trouble
