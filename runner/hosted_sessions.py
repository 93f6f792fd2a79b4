"""The sessions that a runner hosts: starts, parks, resumes, drains and releases each, isolated from the others."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from runner.backoff import backoff_seconds
from runner.browser.page import PageError
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, StaleEpoch, Unauthorised
from runner.log_events import LogEvent
from runner.logs import log
from runner.session.release_reason import ReleaseReason
from runner.session.session import Session
from wire import Delivery, Hold, ReleaseRequest, SessionReport

PARK_TIMEOUT_SECONDS = 5.0
LAST_READING_TIMEOUT_SECONDS = 10.0
MAX_DRAINED_AT_ONCE = 4
MAX_RELEASE_ATTEMPTS = 6

#: Makes a session for a hold, under a token; the session calls the last argument when its report changed.
MakeSession = Callable[[Hold, str, Callable[[], None]], Session]


@dataclass(eq=False)
class HostedSession:
    """A session, the task that runs it, and the state of its end."""

    session: Session
    token: str
    task: asyncio.Task[None] | None = None
    ending: bool = False
    #: An error of the session outside its own task, for which it is ended.
    error: Exception | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def hold(self) -> Hold:
        return self.session.hold

    def kill(self) -> None:
        """Cancels the task; the browser dies with it."""
        if self.task is not None:
            self.task.cancel()


class HostedSessions:
    """The hosted sessions, by tenant. ``on_change`` is called whenever the control plane should get a report."""

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        make_session: MakeSession,
        clock: Clock,
        jitter: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self._client = client
        self._make_session = make_session
        self._clock = clock
        self._jitter = jitter
        self._on_change = on_change
        self._hosted: dict[str, HostedSession] = {}
        #: By tenant, the latest epoch (the fencing token) that was released here.
        self._released: dict[str, int] = {}
        self._releasing: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        return len(self._hosted)

    def build_reports(self) -> tuple[SessionReport, ...]:
        """Builds the report of every session that does not end; one that cannot be built ends its session."""
        reports = []
        for hosted in self._hosted.values():
            if not hosted.ending:
                with self._only_its_own(hosted):
                    reports.append(hosted.session.report())
        return tuple(reports)

    def is_pending(self) -> bool:
        """Returns whether any session expects something soon."""
        return any(self._is_pending(hosted) for hosted in self._hosted.values())

    def is_hosted(self, hold: Hold) -> bool:
        """Returns whether the session is hosted at this epoch."""
        return self._find(hold.tenant, hold.epoch) is not None

    def update(self, hold: Hold, sent_at: float) -> None:
        """Gives a hosted session the hold that a call begun at ``sent_at`` brought."""
        if (hosted := self._find(hold.tenant, hold.epoch)) is not None:
            with self._only_its_own(hosted):
                hosted.session.update(hold, sent_at)

    def deliver(self, delivery: Delivery) -> None:
        """Gives a reply to its session, if that is hosted at its epoch."""
        if (hosted := self._find(delivery.tenant, delivery.epoch)) is not None:
            with self._only_its_own(hosted):
                hosted.session.deliver(delivery)

    def list_lost(self, holds: Iterable[Hold]) -> list[HostedSession]:
        """Returns the hosted sessions that the runner does not hold any more."""
        held = {(hold.tenant, hold.epoch) for hold in holds}
        return [one for one in self._hosted.values() if (one.hold.tenant, one.hold.epoch) not in held]

    def is_new(self, hold: Hold) -> bool:
        """Returns whether it was neither hosted nor released; an answer on its way may name a released session."""
        return hold.tenant not in self._hosted and hold.epoch > self._released.get(hold.tenant, 0)

    def is_release_lost(self, hold: Hold) -> bool:
        """Returns whether it was released and is still held: no release arrived, or this answer overtook it."""
        released = hold.tenant not in self._hosted and hold.epoch == self._released.get(hold.tenant)
        return released and (hold.tenant, hold.epoch) not in self._releasing

    def start(self, hold: Hold, token: str, group: asyncio.TaskGroup) -> None:
        """Hosts a session from now on, or releases it if it cannot be made."""
        try:
            session = self._make_session(hold, token, self._on_change)
        except Exception as error:
            crash = self._log_crash(hold, error)
            group.create_task(self.release(hold, token, ReleaseReason.CRASHED, crash, failed=True))
            return
        hosted = HostedSession(session, token)
        self._hosted[hold.tenant] = hosted
        hosted.task = group.create_task(self._run(hosted, hold), name=f"session {hold.tenant}")

    async def release(
        self, hold: Hold, token: str, reason: ReleaseReason, detail: str = "", *, failed: bool = False
    ) -> None:
        """Releases a session without a browser; if that does not arrive, the host repeats it while it is held."""
        self._released[hold.tenant] = hold.epoch
        self._releasing.add((hold.tenant, hold.epoch))
        try:
            await self._send_release(hold, token, f"{reason}: {detail}" if detail else reason, failed)
        finally:
            self._releasing.discard((hold.tenant, hold.epoch))

    async def end(self, hosted: HostedSession) -> None:
        """Ends a session that the runner lost: parks it, reads what its page still has, kills it."""
        if hosted.ending:
            await hosted.gone.wait()
            return
        hosted.ending = True
        log(LogEvent.SESSION_LOST, tenant=hosted.hold.tenant, epoch=hosted.hold.epoch)
        try:
            async with asyncio.timeout(PARK_TIMEOUT_SECONDS + LAST_READING_TIMEOUT_SECONDS):
                await hosted.session.park()
                await hosted.session.read_rest()
        except Exception as error:
            _log_failure(LogEvent.FINAL_READ_FAILED, hosted, error)
        hosted.kill()
        await hosted.gone.wait()

    async def end_all(self) -> None:
        """Ends all sessions: the control plane declared this runner dead."""
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                group.create_task(self.end(hosted))
        self._released.clear()

    async def park_all(self) -> None:
        """Takes all sessions off the network, and kills those that do not obey."""
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                group.create_task(self._park(hosted))

    async def resume_all(self) -> None:
        """Brings all sessions back onto the network: the control plane confirmed them."""
        async with asyncio.TaskGroup() as group:
            for hosted in list(self._hosted.values()):
                if not hosted.ending:
                    group.create_task(self._resume(hosted))

    async def drain(self) -> None:
        """Lets each session finish its reply and close its browser, and releases it; a few at a time."""
        slots = asyncio.Semaphore(MAX_DRAINED_AT_ONCE)
        while self._hosted:
            async with asyncio.TaskGroup() as group:
                for hosted in list(self._hosted.values()):
                    group.create_task(self._drain_one(hosted, slots))

    async def drain_by_force(self) -> None:
        """Kills the sessions that are left, and releases them."""
        left = list(self._hosted.values())
        for hosted in left:
            hosted.kill()
        async with asyncio.TaskGroup() as group:
            for hosted in left:
                group.create_task(self._release_once_gone(hosted))

    def _find(self, tenant: str, epoch: int) -> HostedSession | None:
        hosted = self._hosted.get(tenant)
        return hosted if hosted is not None and hosted.hold.epoch == epoch else None

    def _is_pending(self, hosted: HostedSession) -> bool:
        pending = False
        with self._only_its_own(hosted):
            pending = hosted.session.is_pending()
        return pending

    @contextmanager
    def _only_its_own(self, hosted: HostedSession) -> Iterator[None]:
        """Ends the session whose error this is; no error reaches the others."""
        try:
            yield
        except Exception as error:
            if hosted.error is None:
                hosted.error, hosted.ending = error, True
                asyncio.get_running_loop().call_soon(hosted.kill)  # its task may be so new that it has not begun

    async def _send_release(self, hold: Hold, token: str, reason: str, failed: bool) -> None:
        request = ReleaseRequest(tenant=hold.tenant, epoch=hold.epoch, reason=reason[:200], failed=failed)
        for attempt in range(MAX_RELEASE_ATTEMPTS):
            try:
                await self._client.bound_to(token).release(request)
                return
            except (StaleEpoch, Unauthorised):
                return
            except Exception as error:
                code = error.code if isinstance(error, ControlPlaneError) else ""
                log(LogEvent.RELEASE_FAILED, tenant=hold.tenant, error=error, code=code)
                await self._clock.sleep(backoff_seconds(attempt, self._jitter()))

    async def _run(self, hosted: HostedSession, hold: Hold) -> None:
        """Runs a session and releases it. An error of one tenant ends here and never reaches another's session."""
        log(LogEvent.SESSION_STARTED, tenant=hold.tenant, epoch=hold.epoch)
        reason, detail, failed = ReleaseReason.KILLED, "", True
        try:
            try:
                reason = await hosted.session.run()
                failed = hosted.session.gave_up
            except asyncio.CancelledError:
                if hosted.error is None or _is_cancelled_again():
                    raise
                reason, detail = ReleaseReason.CRASHED, self._log_crash(hold, hosted.error)
            except Exception as error:
                reason, detail = ReleaseReason.CRASHED, self._log_crash(hold, first_error(error))
            await self.release(hold, hosted.token, reason, detail, failed=failed)
        finally:
            log(LogEvent.SESSION_ENDED, tenant=hold.tenant, epoch=hold.epoch, reason=reason)
            del self._hosted[hold.tenant]
            hosted.gone.set()
            self._on_change()

    def _log_crash(self, hold: Hold, error: BaseException) -> str:
        log(LogEvent.SESSION_CRASHED, level=logging.ERROR, tenant=hold.tenant, error=error)
        return type(error).__name__

    async def _park(self, hosted: HostedSession) -> None:
        try:
            async with asyncio.timeout(PARK_TIMEOUT_SECONDS):
                await hosted.session.park()
        except Exception as error:
            _log_failure(LogEvent.PARK_FAILED, hosted, error)
            hosted.kill()

    async def _resume(self, hosted: HostedSession) -> None:
        try:
            await hosted.session.resume()
        except PageError:
            return  # the page's supervisor gets the same error, and starts another browser
        except Exception as error:
            _log_failure(LogEvent.RESUME_FAILED, hosted, error)
            hosted.kill()

    async def _drain_one(self, hosted: HostedSession, slots: asyncio.Semaphore) -> None:
        async with slots:
            with self._only_its_own(hosted):
                hosted.session.leave(ReleaseReason.DRAINED)
            await self._wait_until_closed(hosted)
        await hosted.gone.wait()

    async def _wait_until_closed(self, hosted: HostedSession) -> None:
        """Waits for the browser's end; a session may then wait for the control plane longer than a drain may take."""
        ways = [asyncio.ensure_future(event.wait()) for event in (hosted.session.closed, hosted.gone)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()

    async def _release_once_gone(self, hosted: HostedSession) -> None:
        await hosted.gone.wait()
        await self.release(hosted.hold, hosted.token, ReleaseReason.DRAIN_TIMED_OUT)


def first_error(error: BaseException) -> BaseException:
    """Returns the first error inside a group of exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_cancelled_again() -> bool:
    """Takes one cancellation of this task back; returns whether there was another."""
    task = asyncio.current_task()
    assert task is not None, "called in a task"
    return task.uncancel() > 0


def _log_failure(event: LogEvent, hosted: HostedSession, error: Exception) -> None:
    """Logs a page that is gone or stuck, which happens every day, as INFO; any other error is a bug of the runner."""
    first = first_error(error)
    level = logging.INFO if isinstance(first, PageError | TimeoutError) else logging.ERROR
    log(event, level=level, tenant=hosted.hold.tenant, error=first)
