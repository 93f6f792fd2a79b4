"""A line whose messages cannot be read is not online; one chat that cannot be read is only counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runner.browser.page import PageError, PageRefused, PageSilent, Tail
from runner.browser.recovery import PERSISTENT_INTERVAL_SECONDS
from runner.messages.inbox import MAX_HOLD_BACK_SECONDS, NO_CHAT_READABLE, UNREADABLE_AFTER_SECONDS
from tests.unit.runner.session.test_session import MAIN, Scene, living, no_other_thread
from wire import Delivery, Phase, ProblemCode

pytestmark = pytest.mark.thorough
__all__ = ["no_other_thread"]
ONLINE = replace(MAIN, delivered_offline=True, unsolicited_event_ms_ago=10)
CHAT, OTHER = "49170@c.us", "49171@c.us"


@asynccontextmanager
async def online(directory: Path) -> AsyncIterator[Scene]:
    async with living(directory) as scene:
        await scene.shows(ONLINE)
        await scene.heartbeat()
        await scene.clock.advance(20)
        yield scene


def refuse(scene: Scene, monkeypatch: pytest.MonkeyPatch, error: PageError | None) -> None:
    """Lets the page refuse to hand out messages; it answers everything else."""

    async def tail(*_: object) -> Tail:
        if error is not None:
            raise error
        return Tail()

    monkeypatch.setattr(scene.page, "tail", tail)


@pytest.mark.parametrize("error", [PageRefused("TypeError"), PageRefused("no_tail"), PageSilent("tail: no answer")])
async def test_a_line_that_cannot_be_read_is_offline_then_loaded_again_then_replaced_then_incompatible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: PageError
) -> None:
    async with online(tmp_path) as scene:
        refuse(scene, monkeypatch, error)
        await scene.clock.advance(UNREADABLE_AFTER_SECONDS - 10)
        assert scene.phase is Phase.ONLINE
        await scene.clock.advance(35)
        report = scene.session.report()
        assert (report.phase, str(error) in report.detail, scene.page.calls.count("load")) == (Phase.OFFLINE, True, 2)
        assert len(scene.whatsapp.opened) == 1
        scene.session.deliver(Delivery(tenant=scene.hold.tenant, epoch=1, chat=CHAT, turn="turn-0001", revision=1))
        await scene.clock.advance(140)
        report = scene.session.report()
        assert (len(scene.whatsapp.opened), report.phase) == (2, Phase.FAILED)
        assert (report.problem, str(error) in report.detail) == (ProblemCode.INCOMPATIBLE, True)
        loads = scene.page.calls.count("load")
        await scene.clock.advance(3_600)
        assert scene.page.calls.count("load") - loads <= 3_600 / PERSISTENT_INTERVAL_SECONDS + 1
        assert (len(scene.whatsapp.opened), scene.task.done()) == (2, False)
        assert "turn-0001" in scene.conversation.replies.due  # nothing is sent from a line that is not online
        refuse(scene, monkeypatch, None)
        await scene.clock.advance(40)
        assert (scene.phase, scene.session.report().problem) == (Phase.ONLINE, None)


async def test_a_line_of_which_no_chat_can_be_read_is_not_online_either(tmp_path: Path) -> None:
    async with online(tmp_path) as scene:
        scene.page.receive("A", at_s=scene.clock.wall_ms() // 1000 + 1)
        scene.page.unreadable = {CHAT}
        await scene.clock.advance(UNREADABLE_AFTER_SECONDS + 25)
        report = scene.session.report()
        assert (report.phase, NO_CHAT_READABLE in report.detail) == (Phase.OFFLINE, True)


async def test_a_page_that_was_away_for_a_while_is_not_taken_for_one_that_cannot_be_read(tmp_path: Path) -> None:
    """It is renewed for that it does not answer, and for nothing else afterwards."""
    async with online(tmp_path) as scene:
        scene.page.error = PageSilent("stopped")
        await scene.clock.advance(80)
        scene.page.error = None
        await scene.clock.advance(10)
        assert scene.phase is Phase.ONLINE
        renewals = (scene.page.calls.count("load"), len(scene.whatsapp.opened))
        await scene.clock.advance(300)
        assert (scene.phase, (scene.page.calls.count("load"), len(scene.whatsapp.opened))) == (Phase.ONLINE, renewals)


async def test_one_chat_that_cannot_be_read_is_said_and_holds_back_only_the_caught_up_time(tmp_path: Path) -> None:
    async with online(tmp_path) as scene:
        await scene.clock.advance(600)
        caught_up = scene.session.report().caught_up_to_ms
        for message, chat in (("A", CHAT), ("B", OTHER)):
            scene.page.receive(message, at_s=scene.clock.wall_ms() // 1000, chat=chat)
        scene.page.unreadable = {OTHER}
        await scene.clock.advance(30)
        report = scene.session.report()
        assert (report.phase, report.problem, report.detail) == (Phase.ONLINE, None, "1 chat cannot be read")
        assert [message.chat for request in scene.control.handed_in for message in request.messages] == [CHAT]
        await scene.clock.advance(MAX_HOLD_BACK_SECONDS - 120, step=5)
        assert scene.session.report().caught_up_to_ms == caught_up
        assert (scene.phase, scene.page.calls.count("load")) == (Phase.ONLINE, 1)
        scene.page.unreadable = set()
        await scene.clock.advance(30)
        assert scene.session.report().detail == ""
        assert len([message for request in scene.control.handed_in for message in request.messages]) == 2


async def test_a_chat_that_can_never_be_read_does_not_hold_the_caught_up_time_for_ever(tmp_path: Path) -> None:
    async with online(tmp_path) as scene:
        await scene.clock.advance(600)
        before = scene.session.report().caught_up_to_ms or 0
        for message, chat in (("A", CHAT), ("B", OTHER)):
            scene.page.receive(message, at_s=scene.clock.wall_ms() // 1000, chat=chat)
        scene.page.unreadable = {OTHER}
        await scene.clock.advance(MAX_HOLD_BACK_SECONDS + 60, step=5)
        scene.page.receive("later", at_s=scene.clock.wall_ms() // 1000 - 200, chat=CHAT)
        await scene.clock.advance(300, step=5)
        assert (scene.session.report().caught_up_to_ms or 0) > before
