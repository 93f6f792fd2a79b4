"""The reconcile loop of a runner: heartbeat, lease, hosted sessions, and the graceful shutdown."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runner.backoff import backoff_seconds
from runner.browser.launches import NoBrowserStarts
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, TransientError, Unauthorised
from runner.control_plane.lease import Lease
from runner.disk import Disk
from runner.hosted_sessions import HostedSessions, MakeSession
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.outbox import Outbox
from runner.session.release_reason import ReleaseReason
from wire import MAX_BELL_HOLD_MS, BellRequest, Delivery, Hold, Identity, SyncAnswer, SyncRequest, Wanted

RETRY_SECONDS = 2.0
#: However much changes, and however fast the control plane answers, it is not called in a storm.
MIN_CALL_INTERVAL_SECONDS = 0.2
#: The time for a graceful shutdown: Fargate kills 120 s after SIGTERM.
DRAIN_TIMEOUT_SECONDS = 100.0
#: The same, after a second signal.
HASTENED_DRAIN_TIMEOUT_SECONDS = 5.0
#: The time to release sessions that were killed.
FINAL_RELEASES_TIMEOUT_SECONDS = 5.0
#: The time to hand in what is left in the journals before the process ends.
FINAL_HAND_IN_SECONDS = 10.0


class RegistrationRefused(Exception):
    """The control plane does not accept RUNNER_BOOTSTRAP_TOKEN, or not from this task."""


@dataclass(frozen=True, slots=True)
class RunnerInfo:
    """The runner as it describes itself to the control plane."""

    #: How many sessions the runner hosts at most.
    capacity: int
    #: The name under which ECS or the supervisor knows this process, and reports its end.
    task: str = ""
    image: str = ""
    commit: str = ""
    chromium: str = ""
    wa_js: str = ""


class Host:
    """The level-triggered loop: each answer is the whole desired state, so that a lost one costs a call and no more.

    Not guaranteed: that no other runner uses a session at the same time. The host stops its sessions before the lease
    lets the control plane give them to another, and goes back online only after the same epoch was confirmed.
    """

    def __init__(
        self,
        *,
        client: ControlPlaneClient,
        make_session: MakeSession,
        lease: Lease,
        info: RunnerInfo,
        clock: Clock,
        jitter: Callable[[], float],
        outbox: Outbox,
        disk: Disk | None = None,
        no_browser_starts: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        #: Bound to the bootstrap token; a registered runner has a token of its own.
        self._client = client
        self._outbox = outbox
        self._disk = disk
        self._no_browser_starts = no_browser_starts
        #: Raised once the runner is drained.
        self._failure: Exception | None = None
        self._lease = lease
        self._info = info
        self._clock = clock
        self._jitter = jitter
        #: There is something to report, or the bell rang.
        self._changed = asyncio.Event()
        self._sessions = HostedSessions(
            client=client, make_session=make_session, clock=clock, jitter=jitter, on_change=self._changed.set
        )
        self._identity: Identity | None = None
        #: The value of the bell that the last answer brought.
        self._bell = 0
        #: A sync was answered: a session may expect something now.
        self._synced = asyncio.Event()
        self._draining = asyncio.Event()
        self._drained = asyncio.Event()
        self._hastened = False
        self._drain_timeout: asyncio.Timeout | None = None
        self._reachable = True
        self._group: asyncio.TaskGroup

    async def run(self) -> None:
        """Runs until drained.

        Raises RegistrationRefused if the control plane does not accept this runner, and NoBrowserStarts.
        """
        async with asyncio.TaskGroup() as self._group:
            loops = [
                self._group.create_task(self._outbox.run(), name="outbox"),
                self._group.create_task(self._listen_for_bell(), name="bell"),
                self._group.create_task(self._keep_lease(), name="keep lease"),
            ]
            if self._no_browser_starts is not None:
                waiting = self._stop_when_no_browser_starts(self._no_browser_starts)
                loops.append(self._group.create_task(waiting, name="wait until no browser starts"))
            self._group.create_task(self._keep_in_sync(), name="sync")  # last: a refusal drains the outbox
            await self._draining.wait()
            await self._drain()
            self._drained.set()  # a sync that is under way ends by itself
            self._changed.set()
            for loop in loops:
                loop.cancel()
        if self._failure is not None:
            raise self._failure

    async def _stop_when_no_browser_starts(self, no_browser_starts: Callable[[], Awaitable[None]]) -> None:
        """Drains a sick machine: the browsers that run on it go on elsewhere."""
        await no_browser_starts()
        self._failure = NoBrowserStarts(NoBrowserStarts.__doc__)
        self.stop()

    def stop(self) -> None:
        """Starts the graceful shutdown; a second call shortens it."""
        if not self._draining.is_set():
            log(LogEvent.DRAIN_STARTED, sessions=len(self._sessions))
            self._draining.set()
            self._changed.set()
        elif not self._hastened:
            self._hastened = True
            log(LogEvent.DRAIN_HASTENED)
            if self._drain_timeout is not None and not self._drain_timeout.expired():
                now = asyncio.get_running_loop().time()
                self._drain_timeout.reschedule(now + HASTENED_DRAIN_TIMEOUT_SECONDS)

    # -- the calls to the control plane ---------------------------------------------------------------------------

    async def _keep_in_sync(self) -> None:
        """Syncs in turn, the next call no sooner than the one before has ended; none is ever given up half way."""
        failures = 0
        while not self._drained.is_set():
            begun_at = self._clock.now()
            self._changed.clear()
            try:
                answer = await self._sync()
            except Unauthorised as error:
                await self._start_over(error.code)
            except TransientError as error:
                self._log_unreachable(error)
                await self._clock.wait(self._drained, RETRY_SECONDS * (0.5 + self._jitter()))
            except Exception as error:  # whatever it is, the sessions live on: the lease ends them
                if not failures:
                    log(LogEvent.SYNC_FAILED, level=logging.ERROR, error=error)
                await self._clock.wait(self._drained, backoff_seconds(failures, self._jitter()))
                failures += 1
            else:
                failures = 0
                await self._rest(begun_at, answer.next_in_ms / 1000)

    async def _rest(self, begun_at: float, next_in_seconds: float) -> None:
        """Waits until the next sync is due, or something changed."""
        await self._clock.sleep(max(0.0, begun_at + MIN_CALL_INTERVAL_SECONDS - self._clock.now()))
        await self._clock.wait(self._changed, max(0.0, begun_at + next_in_seconds - self._clock.now()))

    async def _listen_for_bell(self) -> None:
        """Waits at the control plane for the bell, while a session expects something.

        A control plane of an earlier release has no bell, and one that is away or considers this runner dead does not
        answer: the syncs bring the same, a little later, and act on it.
        """
        failures = 0
        while True:
            identity, begun_at = self._identity, self._clock.now()
            if identity is None or not self._sessions.is_pending():
                self._synced.clear()
                await self._synced.wait()
                continue
            request = BellRequest(bell=self._bell, wait_ms=MAX_BELL_HOLD_MS)
            try:
                answer = await self._client.bound_to(identity.token).wait_for_bell(request)
                self._heed(answer.bell, answer.deliver)
            except Exception as error:
                if not failures:
                    log(LogEvent.BELL_UNANSWERED, error=error)
                await self._clock.sleep(backoff_seconds(failures, self._jitter()))
                failures += 1
            else:
                failures = 0
                await self._clock.sleep(max(0.0, begun_at + MIN_CALL_INTERVAL_SECONDS - self._clock.now()))

    def _heed(self, bell: int, deliver: tuple[Delivery, ...]) -> None:
        """Gives the replies to their sessions, and syncs at once if the bell rang."""
        for delivery in deliver:
            self._sessions.deliver(delivery)
        if bell != self._bell:
            self._bell = bell
            self._changed.set()

    async def _sync(self) -> SyncAnswer:
        identity = self._identity
        request = SyncRequest(
            capacity=self._disk.capacity(self._info.capacity) if self._disk is not None else self._info.capacity,
            draining=self._draining.is_set(),
            bell=self._bell,
            task=self._info.task,
            image=self._info.image,
            commit=self._info.commit,
            chromium=self._info.chromium,
            wa_js=self._info.wa_js,
            disk=self._disk.identity if self._disk is not None else "",
            disk_full=self._disk is not None and self._disk.is_full(),
            sessions=self._sessions.build_reports(),
        )
        sent_at = self._clock.now()
        client = self._client.bound_to(identity.token) if identity else self._client
        answer = await client.sync(request)
        self._apply(answer, sent_at)
        return answer

    def _apply(self, answer: SyncAnswer, sent_at: float) -> None:
        if not self._reachable:
            self._reachable = True
            log(LogEvent.CONTROL_PLANE_REACHABLE)
        if self._identity is None:
            if answer.identity is None:
                return
            self._identity = answer.identity
            log(LogEvent.REGISTERED, runner=answer.identity.runner)
        self._lease.renew(sent_at)
        if answer.drain and not self._draining.is_set():
            self.stop()
        self._reconcile(answer.hold, sent_at, self._identity.token)
        self._bell = answer.bell
        for delivery in answer.deliver:
            self._sessions.deliver(delivery)
        self._synced.set()

    def _reconcile(self, holds: tuple[Hold, ...], sent_at: float, token: str) -> None:
        """Ends, updates, starts and releases sessions until the runner hosts what it holds."""
        for hosted in self._sessions.list_lost(holds):
            self._group.create_task(self._sessions.end(hosted))
        for hold in holds:
            if self._sessions.is_hosted(hold):
                self._sessions.update(hold, sent_at)
            elif self._sessions.is_new(hold):
                if hold.wanted is Wanted.RUN and not self._draining.is_set():
                    self._sessions.start(hold, token, self._group)
                else:
                    self._group.create_task(self._sessions.release(hold, token, ReleaseReason.NEVER_STARTED))
            elif self._sessions.is_release_lost(hold):
                self._group.create_task(self._sessions.release(hold, token, ReleaseReason.RELEASED_BEFORE))
        if self._lease.parked:
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
            await self._clock.sleep(min(1.0, max(0.05, self._lease.remaining_seconds())))

    async def _start_over(self, code: str) -> None:
        """Ends a dead identity (401): kills all sessions, registers anew."""
        if self._identity is None:
            await self._outbox.drain(FINAL_HAND_IN_SECONDS)  # no other runner uses this disk
            raise RegistrationRefused(f"{RegistrationRefused.__doc__} ({code})")
        log(LogEvent.DECLARED_DEAD, level=logging.WARNING, runner=self._identity.runner, sessions=len(self._sessions))
        self._identity = None
        await self._sessions.end_all()
        self._lease.reset()

    async def _drain(self) -> None:
        """Ends all sessions in peace within the time there is, then by force."""
        timeout_seconds = HASTENED_DRAIN_TIMEOUT_SECONDS if self._hastened else DRAIN_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(timeout_seconds) as self._drain_timeout:
                try:
                    await self._sessions.drain()
                finally:
                    self._drain_timeout = None  # one that has expired cannot be rescheduled
        except TimeoutError:
            log(LogEvent.DRAIN_TIMED_OUT, level=logging.WARNING, sessions=len(self._sessions))
            try:
                async with asyncio.timeout(FINAL_RELEASES_TIMEOUT_SECONDS):
                    await self._sessions.drain_by_force()
            except TimeoutError:
                log(LogEvent.RELEASES_TIMED_OUT, level=logging.WARNING)
        await self._outbox.drain(FINAL_HAND_IN_SECONDS)
        log(LogEvent.DRAIN_FINISHED)

    def _log_unreachable(self, error: TransientError) -> None:
        if self._reachable:
            self._reachable = False
            log(LogEvent.CONTROL_PLANE_UNREACHABLE, level=logging.WARNING, error=error, code=error.code)
