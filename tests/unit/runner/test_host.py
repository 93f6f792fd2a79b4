"""The host holds the sessions that the control plane names, as long as its lease lasts, and no longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from runner.browser.launches import NoBrowserStarts
from runner.browser.page import PageSilent
from runner.control_plane.client import Refused, StaleEpoch, TransientError, Unauthorised
from runner.control_plane.lease import Lease
from runner.disk import ROOM_TO_HOST_BYTES, Disk
from runner.host import FINAL_HAND_IN_SECONDS, Host, RegistrationRefused, RunnerInfo
from runner.hosted_sessions import MAX_DRAINED_AT_ONCE, MAX_RELEASE_ATTEMPTS
from runner.log_events import LogEvent
from runner.messages.outbox import Outbox
from runner.session.session import Session
from tests.unit.support.runner_fakes import BOOTSTRAP, TENANT, FakeClient, FakeClock, FakeControl, Turn, settle
from wire import (
    MAX_CAPACITY,
    Delivery,
    Hold,
    Part,
    Phase,
    ReleaseAnswer,
    ReleaseRequest,
    SessionReport,
    SyncAnswer,
    SyncRequest,
    Wanted,
)

OTHER = "tenant00002"


class FakeSession:
    """A session that does as the test says, and remembers its calls."""

    def __init__(self, hold: Hold, token: str, changed: Callable[[], None]) -> None:
        self.hold = hold
        self.token = token
        self.changed = changed
        self.done: list[str] = []
        self.delivered: list[Delivery] = []
        self.phase = Phase.STARTING
        self.pending = False
        self.number: str | None = None
        self.bugs: set[str] = set()
        self.sequence = 1
        self.error: Exception | None = None
        self.resume_error: Exception | None = None
        self._end = asyncio.Event()
        self._reason = ""
        self.finishes = True
        self.closed = asyncio.Event()
        self.gave_up = False

    def update(self, hold: Hold, _sent_at: float) -> None:
        if "update" in self.bugs:
            raise RuntimeError("a bug")
        self.hold = hold
        if hold.wanted is Wanted.RELEASE:
            self.leave("no longer wanted")

    def deliver(self, delivery: Delivery) -> None:
        if "deliver" in self.bugs:
            raise RuntimeError("a bug")
        self.delivered.append(delivery)

    def leave(self, reason: str) -> None:
        if "leave" in self.bugs:
            raise RuntimeError("a bug")
        self.done.append("leave")
        self._reason = reason
        if self.finishes:
            self._end.set()

    def is_pending(self) -> bool:
        if "is_pending" in self.bugs:
            raise RuntimeError("a bug")
        return self.pending

    def report(self) -> SessionReport:
        if self.number is not None:  # as a value of the page that no wire takes
            return SessionReport(
                tenant=self.hold.tenant, epoch=self.hold.epoch, sequence=1, phase=self.phase, number=self.number
            )
        return SessionReport(tenant=self.hold.tenant, epoch=self.hold.epoch, sequence=self.sequence, phase=self.phase)

    def becomes(self, phase: Phase) -> None:
        self.phase = phase
        self.sequence += 1
        self.changed()

    async def park(self) -> None:
        self.done.append("park")
        if self.error is not None:
            raise self.error

    async def resume(self) -> None:
        self.done.append("resume")
        if self.resume_error is not None:
            raise self.resume_error

    async def read_rest(self) -> None:
        self.done.append("read")

    def crash(self) -> None:
        self._reason = "crash"
        self._end.set()

    async def run(self) -> str:
        self.done.append("run")
        try:
            await self._end.wait()
        except asyncio.CancelledError:
            self.done.append("killed")
            raise
        if self._reason == "crash":
            raise RuntimeError("a bug")
        return self._reason


class FakeOutbox:
    """An outbox that notes when it was asked to hand in all that is left."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.runs = False
        #: How often the runner was registered, and what it had released then.
        self.drains: list[tuple[int, int, float]] = []

    async def run(self) -> None:
        self.runs = True
        try:
            await asyncio.Event().wait()
        finally:
            self.runs = False

    async def drain(self, seconds: float) -> None:
        assert self.runs
        self.drains.append((self._stage.control.registered, len(self._stage.control.releases), seconds))


class Stage:
    """A host with everything around it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.control = FakeControl()
        self.sessions: list[FakeSession] = []
        self.lease = Lease(self.clock.now)
        self.outbox = FakeOutbox(self)
        self.host = Host(
            client=FakeClient(self.control, BOOTSTRAP),
            make_session=self._make,
            lease=self.lease,
            info=RunnerInfo(capacity=5, commit="abc"),
            clock=self.clock,
            jitter=lambda: 0.5,
            outbox=cast("Outbox", self.outbox),
            disk=Disk(Path("/dev/shm"), lambda _: self.free),
            no_browser_starts=self._wait_until_no_browser_starts,
        )
        self.sick = asyncio.Event()
        self.unmakeable: set[str] = set()
        self.free = 1 << 40
        self.task: asyncio.Task[None]

    async def _wait_until_no_browser_starts(self) -> None:
        await self.sick.wait()

    def _make(self, hold: Hold, token: str, changed: Callable[[], None]) -> Session:
        if hold.tenant in self.unmakeable:
            raise OSError("no such directory")
        self.sessions.append(FakeSession(hold, token, changed))
        return cast("Session", self.sessions[-1])

    def slow_release(self) -> tuple[list[str], asyncio.Event]:
        """Holds up each release until the event is set; returns the reasons of those that began, and the event."""
        release, answered = self.control.release, asyncio.Event()
        begun: list[str] = []

        async def slow(request: ReleaseRequest, token: str) -> ReleaseAnswer:
            begun.append(request.reason)
            await answered.wait()
            return await release(request, token)

        self.control.release = slow  # type: ignore[method-assign]
        return begun, answered

    @property
    def session(self) -> FakeSession:
        return self.sessions[-1]


@asynccontextmanager
async def running(*, hold: bool = True) -> AsyncIterator[Stage]:
    stage = Stage()
    if hold:
        stage.control.hold()
    stage.task = asyncio.create_task(stage.host.run())
    await stage.clock.advance()
    try:
        yield stage
    finally:
        stage.task.cancel()
        await asyncio.gather(stage.task, return_exceptions=True)


async def test_the_outbox_hands_in_from_the_start_whether_or_not_the_control_plane_answers() -> None:
    stage = Stage()
    stage.control.down = True
    stage.task = asyncio.create_task(stage.host.run())
    await stage.clock.advance(5)
    assert (stage.outbox.runs, stage.outbox.drains) == (True, [])
    stage.task.cancel()
    await asyncio.gather(stage.task, return_exceptions=True)


async def test_a_runner_registers_once_and_then_uses_its_own_token() -> None:
    async with running() as stage:
        await stage.clock.advance(10)
        assert stage.control.registered == 1
        assert stage.control.tokens[0] == BOOTSTRAP
        assert set(stage.control.tokens[1:]) == {"runner0001.secret"}
        assert stage.control.syncs[0].capacity == 5


async def test_a_full_disk_asks_for_no_more_sessions_and_keeps_those_there_are() -> None:
    async with running() as stage:
        stage.free = ROOM_TO_HOST_BYTES - 1
        await stage.clock.advance(10)
        assert (stage.control.syncs[-1].capacity, stage.control.syncs[-1].disk_full) == (0, False)
        stage.free = 0
        await stage.clock.advance(10)
        assert (stage.control.syncs[-1].capacity, stage.control.syncs[-1].disk_full) == (0, True)
        assert "killed" not in stage.session.done
        stage.free = 1 << 40
        await stage.clock.advance(10)
        assert (stage.control.syncs[-1].capacity, stage.control.syncs[-1].disk_full) == (5, False)
        assert {sync.disk for sync in stage.control.syncs} == {Disk(Path("/dev/shm")).identity}


async def test_what_is_held_is_started_once_and_reported() -> None:
    async with running() as stage:
        await stage.clock.advance(10)
        assert len(stage.sessions) == 1
        assert stage.control.reports[TENANT].phase is Phase.STARTING


async def test_an_idle_runner_syncs_every_three_seconds_and_asks_for_no_bell() -> None:
    async with running() as stage:
        await stage.clock.advance(30)
        assert len(stage.control.syncs) == 11
        assert stage.control.bells == []


async def test_while_something_is_pending_a_second_call_waits_for_the_bell_and_syncs_go_on() -> None:
    async with running() as stage:
        stage.session.pending = True
        before = len(stage.control.syncs)
        await stage.clock.advance(9)
        assert [request.wait_ms for request in stage.control.bells] == [10_000]
        assert len(stage.control.syncs) == before + 3


async def test_a_bell_that_rings_brings_its_deliveries_and_the_next_sync() -> None:
    async with running() as stage:
        stage.session.pending = True
        await stage.clock.advance(4)
        before = len(stage.control.syncs)
        stage.control.turns["turn-0001"] = Turn(TENANT, "1@lid", [Part(id="M", text="Hello")])
        stage.control.hold(watched=True)
        await settle()
        assert {delivery.turn for delivery in stage.session.delivered} == {"turn-0001"}
        assert len(stage.control.syncs) == before + 1
        await stage.clock.advance(0.4, step=0.2)
        assert stage.session.hold.watched
        assert stage.control.bells[-1].bell == stage.control.bell
        assert len(stage.control.bells) == 2


async def test_a_bell_that_answers_at_once_is_not_asked_in_a_storm() -> None:
    async with running() as stage:
        stage.session.pending = True
        await stage.clock.advance(4)
        stage.control.answers_bell_at_once = True
        stage.control.ring()
        await settle()
        await stage.clock.advance(1)
        bells, syncs = len(stage.control.bells), len(stage.control.syncs)
        await stage.clock.advance(2, step=0.05)
        assert 8 <= len(stage.control.bells) - bells <= 10
        assert len(stage.control.syncs) - syncs <= 1, "it did not ring"


async def test_an_earlier_control_plane_without_a_bell_is_asked_seldom_and_syncs_bring_the_deliveries(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as stage:
        caplog.set_level(logging.INFO, logger="runner")
        stage.control.has_no_bell = True
        stage.session.pending = True
        await stage.clock.advance(60)
        assert 4 <= len(stage.control.bells) <= 8
        assert [record.getMessage() for record in caplog.records] == [LogEvent.BELL_UNANSWERED]
        stage.control.turns["turn-0001"] = Turn(TENANT, "1@lid", [Part(id="M", text="Hello")])
        await stage.clock.advance(3)
        assert stage.session.delivered[0].turn == "turn-0001"
        stage.control.has_no_bell = False
        await stage.clock.advance(30)
        assert stage.control.bells[-1].bell == stage.control.bell
        stage.control.ring()
        stage.control.has_no_bell = True
        await stage.clock.advance(4)
        assert [record.getMessage() for record in caplog.records] == 2 * [LogEvent.BELL_UNANSWERED]


async def test_a_dead_identity_that_the_bell_meets_is_left_to_the_sync() -> None:
    async with running() as stage:
        stage.session.pending = True
        stage.control.dead.add("runner0001.secret")
        stage.host._synced.set()
        await stage.clock.advance(1)
        assert stage.control.bells and stage.control.registered == 1
        assert "killed" not in stage.session.done
        await stage.clock.advance(4)
        assert stage.control.registered == 2


async def test_a_change_is_reported_at_once_but_changes_do_not_make_a_storm_of_syncs() -> None:
    async with running() as stage:
        await stage.clock.advance(4)
        stage.session.becomes(Phase.QR)
        await settle()
        assert stage.control.reports[TENANT].phase is Phase.QR
        before = len(stage.control.syncs)
        for _ in range(40):
            stage.session.becomes(Phase.QR)
            await stage.clock.advance(0.05, step=0.05)
        assert 8 <= len(stage.control.syncs) - before <= 10
        assert stage.control.reports[TENANT].sequence == stage.session.sequence
        before = len(stage.control.syncs)
        await stage.clock.advance(9)
        assert len(stage.control.syncs) == before + 3


async def test_no_two_syncs_are_under_way_and_none_is_given_up() -> None:
    async with running() as stage:
        await stage.clock.advance(4)
        sync, answered, under_way = stage.control.sync, asyncio.Event(), 0

        async def slow(request: SyncRequest, token: str) -> SyncAnswer:
            nonlocal under_way
            under_way += 1
            await answered.wait()
            under_way -= 1
            return await sync(request, token)

        stage.control.sync = slow  # type: ignore[method-assign]
        for _ in range(5):
            stage.session.becomes(Phase.QR)
            await stage.clock.advance(1)
            assert under_way == 1
        stage.control.hold(wanted=Wanted.RELEASE)
        stage.host.stop()
        await stage.clock.advance(10)
        assert stage.session.done[-1] == "leave"
        assert not stage.task.done(), "the sync that is under way is awaited"
        answered.set()
        await stage.clock.advance(1)
        await stage.task


async def test_a_registration_is_not_given_up_by_a_drain() -> None:
    stage = Stage()
    sync, answered = stage.control.sync, asyncio.Event()

    async def slow(request: SyncRequest, token: str) -> SyncAnswer:
        await answered.wait()
        return await sync(request, token)

    stage.control.sync = slow  # type: ignore[method-assign]
    stage.task = asyncio.create_task(stage.host.run())
    await stage.clock.advance(1)
    stage.host.stop()
    await stage.clock.advance(1)
    assert not stage.task.done()
    answered.set()
    await stage.task
    assert stage.control.registered == 1


async def test_a_session_that_is_not_held_any_more_is_harvested_and_killed_but_not_released() -> None:
    async with running() as stage:
        del stage.control.holds[TENANT]
        await stage.clock.advance(4)
        assert stage.session.done == ["run", "park", "read", "killed"]
        assert stage.control.releases == []


async def test_a_new_epoch_is_a_new_session() -> None:
    async with running() as stage:
        stage.control.hold(epoch=3)
        await stage.clock.advance(8)
        assert [session.hold.epoch for session in stage.sessions] == [1, 3]
        assert stage.sessions[0].done[-1] == "killed"


async def test_a_session_to_release_is_left_in_peace_and_released() -> None:
    async with running() as stage:
        stage.control.hold(wanted=Wanted.RELEASE)
        await stage.clock.advance(4)
        assert stage.session.done == ["run", "leave"]
        assert [(release.epoch, release.reason) for release in stage.control.releases] == [(1, "no longer wanted")]


async def test_an_answer_on_its_way_does_not_start_again_what_was_released() -> None:
    async with running() as stage:
        stage.control.hold(wanted=Wanted.RELEASE)
        await stage.clock.advance(4)
        stage.control.hold(epoch=1)
        await stage.clock.advance(8)
        assert len(stage.sessions) == 1
        stage.control.hold(epoch=3)
        await stage.clock.advance(4)
        assert len(stage.sessions) == 2


async def test_a_crash_of_one_session_is_reported_and_touches_no_other() -> None:
    async with running() as stage:
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        stage.sessions[0].crash()
        await stage.clock.advance(1)
        assert stage.control.releases[0].reason == "crashed: RuntimeError"
        assert stage.control.releases[0].failed
        assert stage.sessions[1].done == ["run"]


async def test_deliveries_reach_the_session_of_their_epoch_only() -> None:
    async with running() as stage:
        delivery = Delivery(tenant=TENANT, epoch=1, chat="1@lid", turn="turn-0001", revision=1)
        stage.host._apply(
            SyncAnswer(
                hold=tuple(stage.control.holds.values()),
                deliver=(delivery, delivery.model_copy(update={"epoch": 2})),
            ),
            stage.clock.now(),
        )
        assert stage.session.delivered == [delivery]


async def test_a_session_with_an_error_is_not_released_while_the_whole_runner_is_cancelled() -> None:
    async with running() as stage:
        await stage.clock.advance(4)
        stage.session.bugs.add("update")
        stage.host._sessions.update(stage.session.hold, stage.clock.now())
        stage.task.cancel()
        await asyncio.gather(stage.task, return_exceptions=True)
        assert stage.session.done == ["run", "killed"]
        assert stage.control.releases == []


async def test_a_session_whose_leaving_fails_does_not_hold_up_a_drain() -> None:
    async with running() as stage:
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        stage.sessions[0].bugs.add("leave")
        stage.host.stop()
        await stage.clock.advance(4)
        await stage.task
        assert sorted(one.reason for one in stage.control.releases) == ["crashed: RuntimeError", "drained"]


# -- one session's error ----------------------------------------------------------------------------------------------


async def test_a_report_that_cannot_be_built_ends_its_session_and_no_other() -> None:
    async with running() as stage:
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        stage.sessions[0].number = "\ud800"
        stage.sessions[1].becomes(Phase.ONLINE)
        await stage.clock.advance(4)
        assert [(one.tenant, one.reason, one.failed) for one in stage.control.releases] == [
            (TENANT, "crashed: ValidationError", True)
        ]
        assert stage.sessions[0].done == ["run", "killed"]
        assert stage.sessions[1].done == ["run"]
        assert stage.control.reports[OTHER].phase is Phase.ONLINE
        await stage.clock.advance(60)
        assert len(stage.sessions) == 2, "it is not hosted again here at the same epoch"
        assert not stage.lease.parked


@pytest.mark.parametrize("call", ["update", "deliver", "is_pending"])
async def test_an_error_in_a_call_to_one_session_ends_it_and_no_other(call: str) -> None:
    async with running() as stage:
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        stage.sessions[0].bugs.add(call)
        for tenant in (TENANT, OTHER):
            stage.control.turns[f"turn-{tenant}"] = Turn(tenant, "1@lid", [Part(id="M", text="Hello")])
        await stage.clock.advance(4)
        assert [one.reason for one in stage.control.releases] == ["crashed: RuntimeError"]
        assert stage.sessions[1].delivered
        assert not stage.task.done()


async def test_an_error_of_a_session_in_its_first_moment_ends_it_too() -> None:
    async with running(hold=False) as stage:
        delivery = Delivery(tenant=TENANT, epoch=1, chat="1@lid", turn="turn-0001", revision=1)
        make = stage._make

        def make_broken(hold: Hold, token: str, changed: Callable[[], None]) -> Session:
            session = make(hold, token, changed)
            stage.session.bugs.add("deliver")
            return session

        stage.host._sessions._make_session = make_broken
        hold = stage.control.hold()
        stage.host._apply(SyncAnswer(hold=(hold,), deliver=(delivery,)), stage.clock.now())
        await stage.clock.advance(1)
        assert [one.reason for one in stage.control.releases] == ["crashed: RuntimeError"]
        assert len(stage.host._sessions) == 0


async def test_a_session_that_cannot_be_made_is_released_and_touches_no_other() -> None:
    async with running(hold=False) as stage:
        stage.unmakeable.add(TENANT)
        stage.control.hold()
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        assert [(one.tenant, one.reason, one.failed) for one in stage.control.releases] == [
            (TENANT, "crashed: OSError", True)
        ]
        assert [session.hold.tenant for session in stage.sessions] == [OTHER]


async def test_a_release_that_fails_by_a_bug_is_retried_and_touches_no_other() -> None:
    async with running() as stage:
        release, errors = stage.control.release, [RuntimeError("a bug")]

        async def buggy(request: Any, token: str) -> Any:
            if errors:
                raise errors.pop()
            return await release(request, token)

        stage.control.release = buggy  # type: ignore[method-assign]
        stage.sessions[0].crash()
        await stage.clock.advance(2)
        assert [one.reason for one in stage.control.releases] == ["crashed: RuntimeError"]


async def test_a_full_runner_that_ends_one_session_and_gets_another_reports_what_it_holds() -> None:
    async with running(hold=False) as stage:
        for number in range(MAX_CAPACITY):
            stage.control.hold(f"tenant{number:05}")
        await stage.clock.advance(4)
        ended = asyncio.Event()

        async def slow() -> None:
            await ended.wait()

        stage.sessions[0].read_rest = slow  # type: ignore[method-assign]
        del stage.control.holds["tenant00000"]
        stage.control.hold("tenant00099")
        await stage.clock.advance(7)
        assert len(stage.sessions) == MAX_CAPACITY + 1
        assert stage.sessions[0].done == ["run", "park"]
        reported = [report.tenant for report in stage.control.syncs[-1].sessions]
        assert sorted(reported) == sorted(stage.control.holds)


@pytest.mark.parametrize(
    "error", [Refused("bad_request"), StaleEpoch("epoch"), RuntimeError("a bug"), OSError("the disk")]
)
async def test_a_sync_that_fails_in_any_way_is_logged_and_retried_with_backoff(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as stage:
        sync, failing, calls = stage.control.sync, True, 0

        async def failed(request: SyncRequest, token: str) -> SyncAnswer:
            nonlocal calls
            calls += 1
            if failing:
                raise error
            return await sync(request, token)

        stage.control.sync = failed  # type: ignore[method-assign]
        await stage.clock.advance(30)
        assert 5 <= calls <= 8
        assert [record.getMessage() for record in caplog.records] == [LogEvent.SYNC_FAILED]
        assert stage.session.done == ["run"]
        await stage.clock.advance(15)
        assert stage.lease.parked, "the lease decides"
        failing = False
        await stage.clock.advance(60)
        assert stage.session.done == ["run", "park", "resume"]
        caplog.clear()
        failing = True
        await stage.clock.advance(4)
        assert [record.getMessage() for record in caplog.records] == [LogEvent.SYNC_FAILED]


async def test_an_error_that_comes_again_does_not_cut_off_the_release() -> None:
    async with running() as stage:
        begun, answered = stage.slow_release()
        await stage.clock.advance(4)
        stage.session.bugs.add("update")
        await stage.clock.advance(12)
        assert stage.control.syncs[-1].sessions == ()
        answered.set()
        await stage.clock.advance(3)
        assert begun == ["crashed: RuntimeError"]
        assert [one.failed for one in stage.control.releases] == [True]


async def test_a_release_under_way_is_not_made_a_second_time_for_another_reason() -> None:
    async with running() as stage:
        begun, answered = stage.slow_release()
        stage.unmakeable.add("tenant00003")
        stage.control.hold("tenant00003")
        await stage.clock.advance(12)
        assert begun == ["crashed: OSError"]
        answered.set()


async def test_at_the_deadline_every_session_is_parked_and_the_same_epoch_resumes_it() -> None:
    async with running() as stage:
        stage.control.down = True
        await stage.clock.advance(39)
        assert stage.session.done == ["run"]
        await stage.clock.advance(3)
        assert stage.session.done == ["run", "park"]
        assert stage.lease.parked
        await stage.clock.advance(60)
        assert not stage.lease.is_wedged()
        stage.control.down = False
        await stage.clock.advance(4)
        assert stage.session.done == ["run", "park", "resume"]
        assert not stage.lease.parked


async def test_a_parked_session_that_another_runner_got_is_flushed_and_killed() -> None:
    async with running() as stage:
        stage.control.down = True
        await stage.clock.advance(50)
        stage.control.hold(epoch=3)
        stage.control.down = False
        await stage.clock.advance(4)
        assert stage.sessions[0].done == ["run", "park", "park", "read", "killed"]


async def test_a_session_that_cannot_be_parked_is_killed() -> None:
    async with running() as stage:
        stage.session.error = PageSilent("stuck")
        stage.control.down = True
        await stage.clock.advance(50)
        assert stage.session.done == ["run", "park", "killed"]


async def test_a_bug_in_parking_or_resuming_one_session_kills_it_and_touches_no_other() -> None:
    async with running() as stage:
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        parking, resuming = stage.sessions
        parking.error, resuming.resume_error = RuntimeError("a bug"), RuntimeError("a bug")
        stage.control.down = True
        await stage.clock.advance(50)
        assert (parking.done, resuming.done) == (["run", "park", "killed"], ["run", "park"])
        assert stage.lease.parked
        stage.control.down = False
        await stage.clock.advance(4)
        assert resuming.done == ["run", "park", "resume", "killed"]
        assert not stage.task.done()


async def test_a_bug_in_harvesting_one_session_kills_it_and_touches_no_other() -> None:
    async with running() as stage:
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        stage.sessions[0].error = RuntimeError("a bug")
        stage.control.hold(epoch=3)
        await stage.clock.advance(4)
        assert stage.sessions[0].done == ["run", "park", "killed"]
        assert stage.sessions[1].done == ["run"]
        assert not stage.task.done()


async def test_a_runner_declared_dead_kills_everything_and_comes_back_as_another() -> None:
    async with running() as stage:
        stage.control.kill("runner0001.secret")
        await stage.clock.advance(8)
        assert stage.sessions[0].done == ["run", "park", "read", "killed"]
        assert stage.sessions[0].token == "runner0001.secret"
        assert stage.control.registered == 2
        assert stage.sessions[1].token == "runner0002.secret"


async def test_a_runner_that_comes_back_as_another_hosts_also_earlier_epochs() -> None:
    async with running(hold=False) as stage:
        stage.control.hold(epoch=7, wanted=Wanted.RELEASE)
        await stage.clock.advance(4)
        assert [one.epoch for one in stage.control.releases] == [7]
        stage.control.hold(epoch=3)  # the control plane was set back to an earlier state
        await stage.clock.advance(4)
        assert stage.sessions == []
        stage.control.kill("runner0001.secret")
        await stage.clock.advance(8)
        assert [session.hold.epoch for session in stage.sessions] == [3]


async def test_a_refused_bootstrap_token_ends_the_runner() -> None:
    stage = Stage()
    stage.control.kill(BOOTSTRAP)
    with pytest.raises(ExceptionGroup) as caught:
        await stage.host.run()
    assert caught.group_contains(RegistrationRefused, match=r"RUNNER_BOOTSTRAP_TOKEN.*\(dead\)")


async def test_a_runner_that_is_not_taken_in_again_hands_in_what_is_on_its_disk_before_it_ends() -> None:
    async with running(hold=False) as stage:
        stage.control.kill(BOOTSTRAP)
        stage.control.kill("runner0001.secret")
        await stage.clock.advance(10)
        with pytest.raises(ExceptionGroup) as caught:
            await stage.task
        assert caught.group_contains(RegistrationRefused)
        assert stage.outbox.drains == [(1, 0, FINAL_HAND_IN_SECONDS)]


async def test_a_drained_runner_hands_in_what_is_left_after_it_released_its_sessions() -> None:
    async with running() as stage:
        stage.host.stop()
        await stage.clock.advance(4)
        await stage.task
        assert stage.outbox.drains == [(1, 1, FINAL_HAND_IN_SECONDS)]


async def test_an_unreachable_control_plane_is_retried_every_two_seconds() -> None:
    stage = Stage()
    stage.control.down = True
    task = asyncio.create_task(stage.host.run())
    await stage.clock.advance(20)
    assert 9 <= len(stage.control.tokens) <= 12
    stage.control.down = False
    await stage.clock.advance(3)
    assert stage.control.registered == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_runner_on_which_no_browser_starts_lets_its_sessions_leave_in_peace_and_fails() -> None:
    async with running() as stage:
        stage.sick.set()
        await stage.clock.advance(1)
        assert [(one.reason, one.failed) for one in stage.control.releases] == [("drained", False)]
        assert "killed" not in stage.session.done
        with pytest.raises(NoBrowserStarts):
            await stage.task


async def test_draining_takes_nothing_new_releases_everything_and_ends() -> None:
    async with running() as stage:
        stage.control.hold(OTHER)
        await stage.clock.advance(4)
        stage.host.stop()
        stage.control.hold("tenant00003")
        await stage.clock.advance(4)
        await stage.task
        assert sorted(release.tenant for release in stage.control.releases) == [TENANT, OTHER, "tenant00003"]
        assert len(stage.sessions) == 2
        assert stage.control.syncs[-1].draining


async def test_a_session_that_only_hands_in_its_journal_holds_up_no_other_in_a_drain() -> None:
    async with running() as stage:
        for number in range(2, MAX_DRAINED_AT_ONCE + 3):
            stage.control.hold(f"tenant{number:05}")
        await stage.clock.advance(4)
        for session in stage.sessions:
            session.finishes = False
        stage.host.stop()
        await stage.clock.advance(1)
        leaving = [session for session in stage.sessions if "leave" in session.done]
        assert (len(leaving), len(stage.sessions)) == (MAX_DRAINED_AT_ONCE, MAX_DRAINED_AT_ONCE + 2)
        leaving[0].closed.set()
        await stage.clock.advance(1)
        assert sum("leave" in session.done for session in stage.sessions) == MAX_DRAINED_AT_ONCE + 1
        leaving[1].crash()
        await stage.clock.advance(1)
        assert sum("leave" in session.done for session in stage.sessions) == MAX_DRAINED_AT_ONCE + 2
        assert not stage.task.done()


async def test_the_control_plane_may_ask_for_the_drain() -> None:
    async with running() as stage:
        sync = stage.control.sync

        async def drained(request: SyncRequest, token: str) -> SyncAnswer:
            return (await sync(request, token)).model_copy(update={"drain": True})

        stage.control.sync = drained  # type: ignore[method-assign]
        await stage.clock.advance(4)
        await stage.task
        assert stage.control.releases[0].reason == "drained"


async def test_a_drain_that_the_control_plane_asks_for_again_and_again_is_not_hastened(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as stage:
        caplog.set_level(logging.INFO, logger="runner")
        sync = stage.control.sync

        async def drained(request: SyncRequest, token: str) -> SyncAnswer:
            return (await sync(request, token)).model_copy(update={"drain": True})

        stage.control.sync = drained  # type: ignore[method-assign]
        stage.session.finishes = False
        await stage.clock.advance(12)
        assert [record.getMessage() for record in caplog.records] == [LogEvent.DRAIN_STARTED]


@pytest.mark.parametrize("down", [True, False])
async def test_a_drained_runner_ends_at_once(down: bool) -> None:
    async with running(hold=False) as stage:
        stage.control.down = down
        await stage.clock.advance(4.5, step=0.5)
        stage.host.stop()
        await settle()
        assert stage.task.done()


async def test_a_runner_that_was_drained_by_force_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.host.DRAIN_TIMEOUT_SECONDS", 0.0)
    async with running() as stage:
        await stage.clock.advance(4)
        _, answered = stage.slow_release()
        stage.session.finishes = False
        stage.host.stop()
        await stage.clock.advance(1, step=0.2)
        assert not stage.task.done()
        answered.set()
        await settle()
        assert stage.task.done()


async def test_a_second_signal_after_all_is_drained_is_one_too_many_and_no_harm() -> None:
    async with running() as stage:
        stage.host.stop()
        await stage.clock.advance(4)
        await stage.task
        stage.host.stop()
        assert [release.reason for release in stage.control.releases] == ["drained"]


async def test_a_second_signal_kills_what_does_not_finish_and_still_releases_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runner.host.HASTENED_DRAIN_TIMEOUT_SECONDS", 0.0)
    async with running() as stage:
        stage.session.finishes = False
        stage.host.stop()
        await stage.clock.advance(1)
        assert not stage.task.done()
        stage.host.stop()
        await stage.clock.advance(1)
        await stage.task
        assert stage.session.done[-1] == "killed"
        assert stage.control.releases[0].reason == "drain took too long"


async def test_a_release_that_did_not_arrive_is_repeated() -> None:
    async with running() as stage:
        release = stage.control.release
        errors: list[Exception] = [TransientError("down"), TransientError("down")]

        async def flaky(request: Any, token: str) -> Any:
            if errors:
                raise errors.pop()
            return await release(request, token)

        stage.control.release = flaky  # type: ignore[method-assign]
        stage.control.hold(wanted=Wanted.RELEASE)
        await stage.clock.advance(8)
        assert len(stage.control.releases) == 1


async def test_a_release_that_failed_to_its_last_attempt_is_made_when_the_session_is_called_ours_again() -> None:
    async with running() as stage:
        release, calls, down = stage.control.release, 0, True

        async def unreachable_for_long(request: Any, token: str) -> Any:
            nonlocal calls
            calls += 1
            if down:
                raise TransientError("down")
            return await release(request, token)

        stage.control.release = unreachable_for_long  # type: ignore[method-assign]
        stage.control.hold(wanted=Wanted.RELEASE)
        while calls < MAX_RELEASE_ATTEMPTS:
            await stage.clock.advance(5)
        assert stage.control.releases == []
        down = False
        await stage.clock.advance(40)
        assert [one.epoch for one in stage.control.releases] == [1]
        assert len(stage.sessions) == 1


async def test_a_release_by_a_dead_runner_is_not_repeated() -> None:
    async with running() as stage:

        async def refused(_request: Any, _token: str) -> Any:
            raise Unauthorised("dead")

        stage.control.release = refused  # type: ignore[method-assign, assignment]
        stage.session.leave("wedged")
        await stage.clock.advance(1)
        assert stage.control.releases == []
