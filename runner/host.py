"""The reconcile loop of a runner: heartbeat, lease, hosted sessions, and the graceful shutdown."""

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
from runner.messages.orphaned_journals import MAX_ATTEMPTS
from runner.session.release_reason import ReleaseReason
from wire import MAX_SYNC_HOLD_MS, Hold, Identity, SyncAnswer, SyncRequest, Wanted

RETRY_SECONDS = 2.0
#: A control plane that answers a held call at once must not be called in a storm.
MIN_CALL_INTERVAL_SECONDS = 0.2
#: The time for a graceful shutdown: Fargate kills 120 s after SIGTERM.
DRAIN_TIMEOUT_SECONDS = 100.0
#: The same, after a second signal.
HASTENED_DRAIN_TIMEOUT_SECONDS = 5.0
#: Orphaned journals that could not be handed in are tried again this often.
ORPHANED_JOURNALS_EVERY_SECONDS = 30.0
#: The time to release sessions that were killed.
FINAL_RELEASES_TIMEOUT_SECONDS = 5.0


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
        capacity: Callable[[int], int] = lambda desired: desired,
        hand_in_orphans: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        #: Bound to the bootstrap token; a registered runner has a token of its own.
        self._client = client
        self._hand_in_orphans = hand_in_orphans
        self._capacity = capacity
        self._lease = lease
        self._info = info
        self._clock = clock
        self._jitter = jitter
        self._sessions = HostedSessions(
            client=client, make_session=make_session, clock=clock, jitter=jitter, on_change=self._notify
        )
        self._identity: Identity | None = None
        self._sequence = 0
        self._applied_sequence = 0
        self._bell = 0
        self._changed = asyncio.Event()
        self._woken = asyncio.Event()
        self._draining = asyncio.Event()
        self._hastened = False
        self._drain_timeout: asyncio.Timeout | None = None
        self._reachable = True
        self._group: asyncio.TaskGroup

    async def run(self) -> None:
        """Runs until drained. Raises RegistrationRefused if the control plane does not accept this runner."""
        async with asyncio.TaskGroup() as self._group:
            loops = [
                self._group.create_task(self._send_heartbeats(), name="heartbeat"),
                self._group.create_task(self._report_changes(), name="report changes"),
                self._group.create_task(self._keep_lease(), name="keep lease"),
                self._group.create_task(self._retry_orphaned_journals(), name="orphaned journals"),
            ]
            await self._draining.wait()
            await self._drain()
            for loop in loops:
                loop.cancel()

    def stop(self) -> None:
        """Starts the graceful shutdown; a second call shortens it."""
        if not self._draining.is_set():
            log(LogEvent.DRAIN_STARTED, sessions=len(self._sessions))
            self._draining.set()
            self._notify()
        elif not self._hastened:
            self._hastened = True
            log(LogEvent.DRAIN_HASTENED)
            if self._drain_timeout is not None and not self._drain_timeout.expired():
                now = asyncio.get_running_loop().time()
                self._drain_timeout.reschedule(now + HASTENED_DRAIN_TIMEOUT_SECONDS)

    # -- the calls to the control plane ---------------------------------------------------------------------------

    async def _send_heartbeats(self) -> None:
        while True:
            started_at = self._clock.now()
            registers = self._identity is None
            held = not registers and self._sessions.is_pending()
            try:
                answer = await self._sync(MAX_SYNC_HOLD_MS if held else 0)
            except Unauthorised as error:
                await self._start_over(error.code)
            except ControlPlaneError as error:
                self._log_unreachable(error)
                await self._clock.sleep(RETRY_SECONDS * (0.5 + self._jitter()))
            else:
                if registers and self._hand_in_orphans is not None:
                    await self._hand_in_orphans(MAX_ATTEMPTS)
                await self._rest(MIN_CALL_INTERVAL_SECONDS if held else answer.next_in_ms / 1000, started_at)

    async def _rest(self, interval_seconds: float, started_at: float) -> None:
        """Waits until the next call is due, or until a session expects an answer that a held call would bring."""
        end = started_at + interval_seconds
        while (left := end - self._clock.now()) > 0:
            woken = await self._clock.wait(self._woken, left)
            self._woken.clear()
            if woken and interval_seconds > MIN_CALL_INTERVAL_SECONDS and self._sessions.is_pending():
                return

    async def _report_changes(self) -> None:
        """Reports a change at once, beside the call that is being held."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._identity is None:
                continue
            try:
                await self._sync(0)
            except Unauthorised:
                continue  # the heartbeat gets the same answer, and starts over
            except ControlPlaneError as error:
                self._log_unreachable(error)
                await self._clock.sleep(RETRY_SECONDS * (0.5 + self._jitter()))
                self._changed.set()

    async def _retry_orphaned_journals(self) -> None:
        """Hands in the journals that neither an ended session nor the first attempt could hand in."""
        while self._hand_in_orphans is not None:
            await self._clock.sleep(ORPHANED_JOURNALS_EVERY_SECONDS)
            if self._identity is not None and self._reachable:
                await self._hand_in_orphans(1)  # each attempt holds a profile's lock; the next round comes soon

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
            sessions=self._sessions.build_reports(),
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
        if sequence > self._applied_sequence:
            self._applied_sequence = sequence
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
        """Ends, updates, starts and releases sessions until the runner hosts what it holds."""
        for hosted in self._sessions.list_lost(holds):
            self._group.create_task(self._sessions.end(hosted))
        for hold in holds:
            session = self._sessions.get(hold.tenant, hold.epoch)
            if session is not None:
                session.update(hold, sent_at)
            elif self._sessions.is_new(hold):
                if hold.wanted is Wanted.RUN and not self._draining.is_set():
                    self._sessions.start(hold, token, self._group)
                else:
                    self._group.create_task(self._sessions.release(hold, token, ReleaseReason.NEVER_STARTED))
            elif self._sessions.is_release_lost(hold):
                self._group.create_task(self._sessions.release(hold, token, ReleaseReason.RELEASED_BEFORE))
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
            await self._clock.sleep(min(1.0, max(0.05, self._lease.remaining_seconds())))

    async def _start_over(self, code: str) -> None:
        """Ends a dead identity (401): hands in messages under its token, kills all sessions, registers anew."""
        if self._identity is None:
            if self._hand_in_orphans is not None:
                # No other runner uses this disk, and its journals are accepted under their former tokens for a day.
                await self._hand_in_orphans(MAX_ATTEMPTS)
            raise RegistrationRefused(f"{RegistrationRefused.__doc__} ({code})")
        log(LogEvent.DECLARED_DEAD, level=logging.WARNING, runner=self._identity.runner, sessions=len(self._sessions))
        self._identity = None
        await self._sessions.end_all()
        self._lease.reset()
        self._bell = 0

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
        log(LogEvent.DRAIN_FINISHED)

    # -- notifications --------------------------------------------------------------------------------------------

    def _notify(self) -> None:
        self._changed.set()
        self._woken.set()

    def _log_unreachable(self, error: ControlPlaneError) -> None:
        if self._reachable:
            self._reachable = False
            log(LogEvent.CONTROL_PLANE_UNREACHABLE, level=logging.WARNING, error=error, code=error.code)
