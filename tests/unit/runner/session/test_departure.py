"""A page that may have received messages comes online before its session leaves, so that nothing stays behind in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runner.browser.page import Hint, PageGone, PageObservation
from runner.session.departure import ARRIVAL_TIMEOUT_SECONDS
from runner.session.release_reason import ReleaseReason
from tests.unit.runner.session.test_session import MAIN, NUMBER, Scene, living, no_other_thread
from tests.unit.support.runner_fakes import TENANT
from wire import Phase

__all__ = ["no_other_thread"]

BOOTING = PageObservation()


@asynccontextmanager
async def arriving(directory: Path) -> AsyncIterator[Scene]:
    """A session whose second browser boots, with a message that WhatsApp brought meanwhile."""
    async with living(directory, number=NUMBER) as scene:
        await scene.shows(MAIN)
        scene.whatsapp.opening = lambda _profile: setattr(scene.page, "observation", BOOTING)
        scene.page.error = PageGone("crash")
        scene.whatsapp.hint(Hint.GONE, "")
        await scene.clock.advance(5)
        assert scene.phase is Phase.STARTING
        scene.page.receive("late", at_s=scene.clock.wall_ms() // 1000)
        yield scene


def handed_in(scene: Scene) -> list[str]:
    return [message.id for request in scene.control.handed_in for message in request.messages]


@pytest.mark.parametrize("reason", [ReleaseReason.DRAINED, ReleaseReason.NO_LONGER_WANTED])
async def test_a_page_that_boots_is_read_and_saved_before_its_session_leaves(
    tmp_path: Path, reason: ReleaseReason
) -> None:
    async with arriving(tmp_path) as scene:
        scene.session.leave(reason)
        await scene.clock.advance(ARRIVAL_TIMEOUT_SECONDS / 2)
        assert not scene.session.closed.is_set()
        assert TENANT not in scene.control.snapshots
        await scene.shows(MAIN, 60)
        assert scene.task.result() == reason
        assert handed_in(scene) == ["late"]
        assert len(scene.control.snapshots[TENANT]) == 1


async def test_a_page_that_does_not_come_online_holds_no_release_up_for_long(tmp_path: Path) -> None:
    async with arriving(tmp_path) as scene:
        scene.session.leave(ReleaseReason.DRAINED)
        await scene.clock.advance(ARRIVAL_TIMEOUT_SECONDS + 5)
        assert scene.task.result() == ReleaseReason.DRAINED


@pytest.mark.parametrize("reason", [ReleaseReason.NO_ROOM, ReleaseReason.PROFILE_TOO_LARGE])
async def test_a_session_that_must_end_waits_for_no_page(tmp_path: Path, reason: ReleaseReason) -> None:
    async with arriving(tmp_path) as scene:
        scene.session.leave(reason)
        await scene.clock.advance(2)
        assert scene.task.result() == reason


@pytest.mark.parametrize(
    "seen",
    [
        replace(MAIN, mode="CONFLICT"),
        replace(MAIN, number="491700000000"),
    ],
)
async def test_a_page_that_will_not_come_online_is_not_waited_for(tmp_path: Path, seen: PageObservation) -> None:
    async with arriving(tmp_path) as scene:
        await scene.shows(seen, 2)
        scene.session.leave(ReleaseReason.DRAINED)
        await scene.clock.advance(2)
        assert scene.task.done()


async def test_a_parked_session_waits_for_no_page(tmp_path: Path) -> None:
    async with arriving(tmp_path) as scene:
        await scene.session.park()
        scene.session.leave(ReleaseReason.DRAINED)
        await scene.clock.advance(2)
        assert scene.task.done()
