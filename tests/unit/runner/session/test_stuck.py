"""A linked page that stays in one phase is stuck; the time in line, or parked, is none of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from runner.browser.recovery import PERSISTENT_INTERVAL_SECONDS
from runner.session.page_supervisor import STUCK_AFTER_SECONDS
from tests.unit.runner.session.test_session import MAIN, NUMBER, Scene, living, no_other_thread
from wire import Phase

__all__ = ["no_other_thread"]
#: wa-js answers, and the page has not read its login yet.
LOGGING_IN = replace(MAIN, authenticated=False, mode=None, info=None, number=None)
DISCONNECTED = replace(MAIN, info="OPENING", socket="OPENING")
HOUR_SECONDS = 3_600


@asynccontextmanager
async def starting(directory: Path) -> AsyncIterator[Scene]:
    """A linked session whose page never goes beyond its start, and that no owner looks at."""
    scene = Scene(directory, number=NUMBER, watched=False)
    scene.page.observation = LOGGING_IN
    scene.task = asyncio.create_task(scene.session.run())
    try:
        yield scene
    finally:
        await scene.end()


def renewals(scene: Scene) -> tuple[int, int]:
    return scene.page.calls.count("load"), len(scene.whatsapp.opened)


async def test_a_page_that_never_logs_in_gets_one_new_browser_and_is_then_loaded_now_and_then(tmp_path: Path) -> None:
    async with starting(tmp_path) as scene:
        await scene.clock.advance(STUCK_AFTER_SECONDS[Phase.STARTING] + 10)
        assert renewals(scene) == (2, 1)
        await scene.clock.advance(HOUR_SECONDS)
        loads, browsers = renewals(scene)
        assert (browsers, loads <= 3 + HOUR_SECONDS / PERSISTENT_INTERVAL_SECONDS) == (2, True)
        assert not scene.task.done()


async def test_a_page_is_not_stuck_for_having_waited_long_in_line(tmp_path: Path) -> None:
    gate = Scene(tmp_path / "others").gate
    line = [gate.place() for _ in range(6)]
    assert [place.enter(urgent=True) for place in line] == [True, *[False] * 5]
    scene = Scene(tmp_path / "own", gate=gate, number=NUMBER, watched=False)
    scene.page.observation = LOGGING_IN
    scene.task = asyncio.create_task(scene.session.run())
    for place in line:
        assert place.enter(urgent=True)
        await scene.clock.advance(30)
        place.leave()
    await scene.clock.advance(10)
    assert renewals(scene) == (1, 1)
    await scene.shows(MAIN, 5)
    assert (scene.phase, renewals(scene)) == (Phase.ONLINE, (1, 1))
    await scene.end()


async def test_a_page_is_not_stuck_for_having_been_parked_long(tmp_path: Path) -> None:
    """Or else the end of an outage would load all pages again at once, just when they connect."""
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.shows(MAIN, 20)
        before = renewals(scene)
        await scene.session.park()
        scene.page.observation = DISCONNECTED
        await scene.clock.advance(2 * STUCK_AFTER_SECONDS[Phase.OFFLINE])
        await scene.session.resume()
        await scene.clock.advance(10)
        assert (scene.phase, renewals(scene)) == (Phase.OFFLINE, before)
        await scene.shows(MAIN, 20)
        assert (scene.phase, renewals(scene)) == (Phase.ONLINE, before)
