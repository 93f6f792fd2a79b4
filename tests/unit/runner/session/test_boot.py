"""A session's page boots when it is its turn, is given its time, and keeps no slot longer than it boots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.browser.boot_gate import BOOT_TIMEOUT_SECONDS
from runner.browser.page import LoadTimedOut, PageObservation, PageUnreachable
from runner.browser.recovery import MIN_INTERVAL_SECONDS
from runner.session.boot import WAITING
from runner.session.release_reason import ReleaseReason
from tests.unit.runner.session.test_session import MAIN, NUMBER, QR, Scene, living, no_other_thread
from tests.unit.support.runner_fakes import settle
from wire import Phase

__all__ = ["no_other_thread"]


def loads(scene: Scene) -> int:
    return scene.page.calls.count("load")


def is_free(scene: Scene) -> bool:
    """Whether the only slot can be had."""
    place = scene.gate.place()
    entered = place.enter()
    place.leave()
    return entered


@asynccontextmanager
async def waiting(directory: Path, **hold: Any) -> AsyncIterator[Scene]:
    """A session for which there is no slot."""
    scene = Scene(directory, **hold)
    assert scene.other.enter()
    scene.task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(5)
    try:
        yield scene
    finally:
        scene.task.cancel()
        await asyncio.gather(scene.task, return_exceptions=True)


async def test_a_session_in_line_says_so_and_is_not_taken_for_wedged(tmp_path: Path) -> None:
    async with waiting(tmp_path) as scene:
        report = scene.session.report()
        assert (report.phase, report.detail, scene.whatsapp.opened) == (Phase.STARTING, WAITING, [])
        assert report.probed_ms_ago is not None and report.probed_ms_ago < 2_000
        scene.other.leave()
        await scene.clock.advance(2)
        assert scene.phase is Phase.QR


@pytest.mark.parametrize("way", ["released", "parked", "cancelled"])
async def test_a_session_that_is_to_end_leaves_the_line_at_once(tmp_path: Path, way: str) -> None:
    async with waiting(tmp_path) as scene:
        if way == "released":
            scene.session.leave(ReleaseReason.DRAINED)
            await settle()
            assert scene.task.result() == "drained"
        elif way == "parked":
            await scene.session.park()
        else:
            scene.task.cancel()
        await settle()
        assert scene.whatsapp.opened == []
        scene.other.leave()
        await scene.clock.advance(5)
        assert (is_free(scene), scene.whatsapp.opened) == (True, [])


async def test_a_session_parked_in_line_boots_when_it_is_resumed(tmp_path: Path) -> None:
    async with waiting(tmp_path) as scene:
        await scene.session.park()
        scene.other.leave()
        await scene.clock.advance(5)
        await scene.session.resume()
        await scene.clock.advance(2)
        assert scene.phase is Phase.QR


async def test_the_slot_is_held_until_wa_js_answers(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.page.observation = PageObservation()
    scene.task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(10)
    assert (loads(scene), is_free(scene)) == (1, False)
    await scene.shows(QR)
    assert (scene.phase, is_free(scene)) == (Phase.QR, True)
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)


@pytest.mark.parametrize("way", ["released", "parked", "cancelled"])
async def test_a_booting_session_that_is_to_end_keeps_no_slot(tmp_path: Path, way: str) -> None:
    scene = Scene(tmp_path)
    scene.page.is_busy = True
    scene.task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(5)
    assert not is_free(scene)
    if way == "released":
        scene.session.leave(ReleaseReason.DRAINED)
    elif way == "parked":
        await scene.session.park()
    else:
        scene.task.cancel()
    await settle()
    assert is_free(scene)
    if way == "parked":  # it was interrupted, and begins anew in its turn
        scene.page.is_busy = False
        await scene.session.resume()
        await scene.clock.advance(2)
        assert (loads(scene), scene.phase) == (2, Phase.QR)
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)


@pytest.mark.parametrize("silent", [True, False], ids=["no answer", "no wa-js"])
async def test_a_booting_page_is_given_its_time_then_loaded_again_and_its_slot_freed(
    tmp_path: Path, silent: bool
) -> None:
    scene = Scene(tmp_path, number=NUMBER)
    scene.page.is_busy, scene.page.observation = silent, PageObservation()
    scene.task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(BOOT_TIMEOUT_SECONDS - 2)
    assert loads(scene) == 1
    await scene.clock.advance(5)
    assert loads(scene) == 2
    scene.page.is_busy, scene.page.observation = False, MAIN
    await scene.clock.advance(5)
    assert (scene.phase, len(scene.whatsapp.opened), is_free(scene)) == (Phase.ONLINE, 1, True)
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)


async def test_a_page_that_has_booted_and_answers_no_more_is_loaded_again_sooner(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        scene.page.is_busy = True
        await scene.clock.advance(25)
        assert loads(scene) == 2


async def test_a_page_that_loads_itself_again_is_given_its_time_too(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        await scene.shows(PageObservation())
        scene.page.is_busy = True
        await scene.clock.advance(BOOT_TIMEOUT_SECONDS - 5)
        assert loads(scene) == 1
        scene.page.is_busy = False
        await scene.shows(MAIN, 2)
        assert (loads(scene), scene.phase) == (1, Phase.ONLINE)


async def test_a_reload_waits_for_its_turn_and_a_page_that_works_stays_online_until_then(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 60)
        other = scene.gate.place()
        assert other.enter()
        await scene.shows(replace(MAIN, needs_update=True), 30)
        assert (loads(scene), scene.phase) == (1, Phase.ONLINE)
        other.leave()
        await scene.clock.advance(20)
        assert (loads(scene), scene.phase) == (2, Phase.ONLINE)


async def test_a_broken_page_is_loaded_again_in_its_turn(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN)
        other = scene.gate.place()
        assert other.enter()
        scene.page.is_busy = True
        await scene.clock.advance(30)
        assert (loads(scene), scene.phase, scene.session.report().detail) == (1, Phase.STARTING, WAITING)
        other.leave()
        scene.page.is_busy = False
        await scene.clock.advance(2)
        assert (loads(scene), scene.phase) == (2, Phase.ONLINE)


async def test_a_page_that_cannot_be_loaded_keeps_no_slot(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    async def unreachable() -> None:
        raise PageUnreachable("net::ERR_INTERNET_DISCONNECTED")

    scene.page.load = unreachable  # type: ignore[method-assign]
    scene.task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(300)
    assert is_free(scene)
    assert len(scene.whatsapp.opened) == 1  # a new browser would not help
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)


async def test_a_browser_in_which_no_load_ends_is_replaced(tmp_path: Path) -> None:
    """Perhaps the browser itself hangs; it cannot be told apart from a network that swallows everything."""
    scene = Scene(tmp_path)

    async def hang() -> None:
        await scene.clock.sleep(30)
        raise LoadTimedOut("WhatsApp Web does not answer")

    scene.page.load = hang  # type: ignore[method-assign]
    scene.task = asyncio.create_task(scene.session.run())
    await scene.clock.advance(2 * MIN_INTERVAL_SECONDS)
    assert len(scene.whatsapp.opened) == 2
    await scene.clock.advance(3_000)
    assert (scene.task.done(), len(scene.whatsapp.opened) <= 13) == (False, True)
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)
