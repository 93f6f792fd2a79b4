"""The sessions this runner hosts: started, parked, resumed, released and ended, each without touching the others."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from runner.backoff import backoff_seconds
from runner.browser.page import PageError
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Stale, Unauthorised
from runner.log_events import LogEvent
from runner.logs import log
from runner.session.session import Session
from wire import Hold, ReleaseRequest, SessionReport

PARK_WITHIN = 5.0
HARVEST_WITHIN = 10.0
DRAINED_AT_ONCE = 4
RELEASE_ATTEMPTS = 6

#: Makes a session for a hold, under a token, that calls the last argument when something changed.
MakeSession = Callable[[Hold, str, Callable[[], None]], Session]


@dataclass(eq=False)
class HostedSession:
    """One session, the task that lives it, and whether it is being ended."""

    session: Session
    token: str
    task: asyncio.Task[None] | None = None
    ending: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def hold(self) -> Hold:
        return self.session.hold

    def kill(self) -> None:
        """Its browser dies with its task."""
        if self.task is not None:
            self.task.cancel()


class HostedSessions:
    """By tenant. ``on_change`` is called whenever the control plane should hear of something."""

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        make_session: MakeSession,
        clock: Clock,
        chance: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._client = client
        self._make_session = make_session
        self._clock = clock
        self._chance = chance
        self._on_change = on_change
        self._hosted: dict[str, HostedSession] = {}
        self._released: dict[str, int] = {}
        self._releasing: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        return len(self._hosted)

    def reports(self) -> tuple[SessionReport, ...]:
        """What every session sees."""
        return tuple(hosted.session.report() for hosted in self._hosted.values())

    def is_pending(self) -> bool:
        """Whether any of them expects something soon."""
        return any(hosted.session.is_pending() for hosted in self._hosted.values())

    def get(self, tenant: str, epoch: int) -> Session | None:
        """The session of this tenant, if it is of this epoch."""
        hosted = self._hosted.get(tenant)
        return hosted.session if hosted is not None and hosted.hold.epoch == epoch else None

    def others_than(self, holds: Iterable[Hold]) -> list[HostedSession]:
        """What is hosted and, by this truth, not ours."""
        ours = {(hold.tenant, hold.epoch) for hold in holds}
        return [one for one in self._hosted.values() if (one.hold.tenant, one.hold.epoch) not in ours]

    def is_new(self, hold: Hold) -> bool:
        """Neither hosted nor released: an answer on its way may still name what was just given back."""
        return hold.tenant not in self._hosted and hold.epoch > self._released.get(hold.tenant, 0)

    def is_unheard(self, hold: Hold) -> bool:
        """Given back, and the control plane still says that it is ours: so many calls in vain, or one on its way."""
        given_back = hold.tenant not in self._hosted and hold.epoch == self._released.get(hold.tenant)
        return given_back and (hold.tenant, hold.epoch) not in self._releasing

    def start(self, hold: Hold, token: str, group: asyncio.TaskGroup) -> None:
        """Host a session from now on."""
        hosted = HostedSession(self._make_session(hold, token, self._on_change), token)
        self._hosted[hold.tenant] = hosted
        hosted.task = group.create_task(self._live(hosted, hold), name=f"session {hold.tenant}")

    async def release(self, hold: Hold, token: str, reason: str, *, failed: bool = False) -> None:
        """The browser is gone; say so. If nobody hears it, it is said again as long as the session is called ours."""
        self._released[hold.tenant] = max(hold.epoch, self._released.get(hold.tenant, 0))
        self._releasing.add((hold.tenant, hold.epoch))
        try:
            await self._say_released(hold, token, reason, failed)
        finally:
            self._releasing.discard((hold.tenant, hold.epoch))

    async def end(self, hosted: HostedSession) -> None:
        """Not ours any more: off the network, save what it saw, kill."""
        if hosted.ending:
            await hosted.gone.wait()
            return
        hosted.ending = True
        log(LogEvent.SESSION_LOST, tenant=hosted.hold.tenant, epoch=hosted.hold.epoch)
        try:
            async with asyncio.timeout(PARK_WITHIN + HARVEST_WITHIN):
                await hosted.session.park()
                await hosted.session.harvest()
        except Exception as trouble:
            log(LogEvent.FLUSH_FAILED, level=level_of(trouble), tenant=hosted.hold.tenant, error=innermost(trouble))
        hosted.kill()
        await hosted.gone.wait()

    async def end_all(self) -> None:
        """This runner is dead to the control plane: nothing is ours."""
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                group.create_task(self.end(hosted))
        self._released.clear()

    async def park_all(self) -> None:
        """Silence everything, and kill what cannot be silenced."""
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                group.create_task(self._park(hosted))

    async def resume_all(self) -> None:
        """All that is still here was confirmed to be ours."""
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                if not hosted.ending:
                    group.create_task(self._resume(hosted))

    async def drain(self) -> None:
        """Let each finish its reply, close its browser and be released; a few at a time."""
        turns = asyncio.Semaphore(DRAINED_AT_ONCE)
        while self._hosted:
            async with asyncio.TaskGroup() as group:
                for hosted in list(self._hosted.values()):
                    group.create_task(self._let_go(hosted, turns))

    async def drain_by_force(self) -> None:
        """Kill what is left, and still say that it is gone."""
        left = list(self._hosted.values())
        for hosted in left:
            hosted.kill()
        async with asyncio.TaskGroup() as group:
            for hosted in left:
                group.create_task(self._release_once_gone(hosted))

    async def _say_released(self, hold: Hold, token: str, reason: str, failed: bool) -> None:
        request = ReleaseRequest(tenant=hold.tenant, epoch=hold.epoch, reason=reason[:200], failed=failed)
        for attempt in range(RELEASE_ATTEMPTS):
            try:
                await self._client.bound_to(token).release(request)
                return
            except (Stale, Unauthorised):
                return
            except ControlPlaneError as trouble:
                log(LogEvent.RELEASE_FAILED, tenant=hold.tenant, error=trouble, code=trouble.code)
                await self._clock.sleep(backoff_seconds(attempt, self._chance()))

    async def _live(self, hosted: HostedSession, hold: Hold) -> None:
        """A session and its release. One tenant's trouble is never another's: it ends here."""
        log(LogEvent.SESSION_STARTED, tenant=hold.tenant, epoch=hold.epoch)
        reason, failed = "", True
        try:
            try:
                reason = await hosted.session.run()
                failed = hosted.session.gave_up
            except Exception as group:
                trouble = innermost(group)
                log(LogEvent.SESSION_CRASHED, level=logging.ERROR, tenant=hold.tenant, error=trouble)
                reason = f"crashed: {type(trouble).__name__}"
            await self.release(hold, hosted.token, reason, failed=failed)
        finally:
            log(LogEvent.SESSION_ENDED, tenant=hold.tenant, epoch=hold.epoch, reason=reason or "killed")
            del self._hosted[hold.tenant]
            hosted.gone.set()
            self._on_change()

    async def _park(self, hosted: HostedSession) -> None:
        try:
            async with asyncio.timeout(PARK_WITHIN):
                await hosted.session.park()
        except Exception as trouble:
            level = level_of(trouble)
            log(LogEvent.PARK_FAILED, level=level, tenant=hosted.hold.tenant, error=innermost(trouble))
            hosted.kill()

    async def _resume(self, hosted: HostedSession) -> None:
        try:
            await hosted.session.resume()
        except PageError:
            return  # its own watch sees the same, and starts another browser
        except Exception as trouble:
            level = level_of(trouble)
            log(LogEvent.RESUME_FAILED, level=level, tenant=hosted.hold.tenant, error=innermost(trouble))
            hosted.kill()

    async def _let_go(self, hosted: HostedSession, turns: asyncio.Semaphore) -> None:
        async with turns:
            hosted.session.leave("drained")
            await self._until_closed(hosted)
        await hosted.gone.wait()

    async def _until_closed(self, hosted: HostedSession) -> None:
        """What is left then waits for the control plane, which may take longer than a drain has for everybody."""
        ways = [asyncio.ensure_future(event.wait()) for event in (hosted.session.closed, hosted.gone)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()

    async def _release_once_gone(self, hosted: HostedSession) -> None:
        await hosted.gone.wait()
        await self.release(hosted.hold, hosted.token, "drain took too long")


def innermost(trouble: BaseException) -> BaseException:
    """The first reason inside a group of exceptions."""
    while isinstance(trouble, BaseExceptionGroup):
        trouble = trouble.exceptions[0]
    return trouble


def level_of(trouble: BaseException) -> int:
    """A page that is gone or stuck happens every day; anything else is a mistake of ours, and no other tenant's."""
    return logging.INFO if isinstance(innermost(trouble), PageError | TimeoutError) else logging.ERROR
