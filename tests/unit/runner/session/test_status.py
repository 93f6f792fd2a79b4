"""The reports of a session: each change is new to the control plane, and is sent once."""

import asyncio

import pytest

from runner.browser.page import PageRestriction
from runner.browser.page_state import PageState
from runner.session.status import MARK_INTERVAL_SECONDS, MAX_WORK_SECONDS, Status
from tests.unit.support.runner_fakes import TENANT, FakeClock
from wire import Hold, Phase, Wanted

HOLD = Hold(tenant=TENANT, epoch=1, wanted=Wanted.RUN)


def test_a_report_gets_a_new_sequence_number_only_when_its_content_changes() -> None:
    status = Status(TENANT, FakeClock(), lambda: None)
    first = status.report(HOLD, None).sequence
    assert status.report(HOLD, None).sequence == first
    status.update(PageState(Phase.ONLINE))
    assert status.report(HOLD, None).sequence > first


def test_a_session_started_again_at_the_same_epoch_is_not_taken_for_old_news() -> None:
    clock = FakeClock()
    killed = Status(TENANT, clock, lambda: None)
    for phase in (Phase.SYNCING, Phase.ONLINE, Phase.OFFLINE):
        killed.update(PageState(phase))
        last = killed.report(HOLD, None).sequence
    clock.time += 1.0
    assert Status(TENANT, clock, lambda: None).report(HOLD, None).sequence > last


def test_a_restriction_travels_as_a_field_of_its_own_because_an_older_control_plane_refuses_an_unknown_problem() -> (
    None
):
    status = Status(TENANT, FakeClock(), lambda: None)
    status.update(PageState(Phase.ONLINE))
    before = status.report(HOLD, None)
    during = status.report(HOLD, None, restriction=PageRestriction(5, "WEB_COMPANION_ONLY"))
    assert during.restriction is not None and (during.restriction.until_ms, during.problem) == (5, None)
    assert during.sequence > before.sequence
    assert status.report(HOLD, None, restriction=PageRestriction(5, "WEB_COMPANION_ONLY")).sequence == during.sequence
    assert status.report(HOLD, None, restriction=PageRestriction(6, "WEB_COMPANION_ONLY")).sequence > during.sequence
    assert status.report(HOLD, None).restriction is None


async def test_a_session_that_restores_a_large_profile_is_not_taken_for_wedged_unless_it_never_ends() -> None:
    clock = FakeClock()
    status = Status(TENANT, clock, lambda: None)
    done = asyncio.Event()
    working = asyncio.create_task(status.work(done.wait()))
    for _ in range(5):
        await clock.advance(MAX_WORK_SECONDS / 6)
        assert (status.report(HOLD, None).probed_ms_ago or 0) <= MARK_INTERVAL_SECONDS * 1000
    await clock.advance(MAX_WORK_SECONDS)
    assert (status.report(HOLD, None).probed_ms_ago or 0) > MAX_WORK_SECONDS / 2 * 1000
    done.set()
    assert await working


async def test_work_that_ends_or_fails_leaves_nothing_behind() -> None:
    clock = FakeClock()
    status = Status(TENANT, clock, lambda: None)

    async def fail() -> None:
        await clock.sleep(5)
        raise OSError("full")

    working = asyncio.create_task(status.work(fail()))
    await clock.advance(10)
    with pytest.raises(OSError, match="full"):
        await working
    await clock.advance(100)
    assert (status.report(HOLD, None).probed_ms_ago or 0) > 100_000
