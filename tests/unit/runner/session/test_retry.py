"""A person's order to try again: what it does in each state of the page, and that it is carried out once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.browser.page import PageObservation
from tests.unit.runner.session.test_session import MAIN, NUMBER, QR, living, no_other_thread
from tests.unit.support.runner_fakes import settle
from wire import Phase, ProblemCode

__all__ = ["no_other_thread"]
CONFLICT = replace(MAIN, mode="CONFLICT", socket="CONFLICT")
ASKED = replace(QR, passkey_asked=True)
BLOCKED = replace(MAIN, socket="TOS_BLOCK")


@pytest.mark.parametrize(
    ("shown", "taken_over", "loaded"),
    [(MAIN, 0, 0), (QR, 0, 0), (CONFLICT, 1, 0), (ASKED, 0, 1), (BLOCKED, 0, 0)],
    ids=["online", "code", "conflict", "passkey", "blocked"],
)
async def test_each_order_is_carried_out_once_and_only_where_there_is_something_to_try(
    tmp_path: Path, shown: PageObservation, taken_over: int, loaded: int
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(shown)
        before = list(scene.page.calls)
        for order in (1, 2):
            scene.confirm(try_again=order)
            await scene.clock.advance(2)
            scene.confirm()  # the next answers repeat it
            await scene.clock.advance(2)
            calls = scene.page.calls[len(before) :]
            assert calls.count("take_over") == order * taken_over
            assert calls.count("load") == order * loaded


async def test_an_order_counts_the_takeovers_from_zero(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(CONFLICT)
        for _ in range(200):
            scene.confirm()
            await scene.clock.advance(1)
        assert scene.page.calls.count("take_over") == 3
        assert scene.session.report().problem is ProblemCode.CONFLICT
        scene.confirm(try_again=5)
        await scene.clock.advance(1)
        assert scene.page.calls.count("take_over") == 4
        assert (scene.phase, scene.session.report().problem) == (Phase.CONFLICT, None)
        # If another browser takes it at once, the line has its own three attempts again.
        for _ in range(200):
            scene.confirm()
            await scene.clock.advance(1)
        assert scene.page.calls.count("take_over") == 6
        assert scene.session.report().problem is ProblemCode.CONFLICT


async def test_an_order_from_before_the_session_was_given_to_this_runner_is_none(tmp_path: Path) -> None:
    async with living(tmp_path, try_again=7) as scene:
        await scene.shows(ASKED)
        loads = scene.page.calls.count("load")
        scene.confirm()
        await scene.clock.advance(5)
        assert scene.page.calls.count("load") == loads


async def test_an_order_while_the_line_is_online_does_not_wait_for_the_next_conflict(tmp_path: Path) -> None:
    async with living(tmp_path, number=NUMBER) as scene:
        await scene.shows(MAIN)
        scene.confirm(try_again=1)
        await scene.clock.advance(20)
        await scene.shows(CONFLICT, 1)
        assert "take_over" not in scene.page.calls


async def test_the_page_of_a_passkey_says_at_once_that_a_new_code_comes(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(ASKED)
        assert scene.phase is Phase.PASSKEY_REQUIRED
        del scene.phases[:]
        scene.confirm(try_again=1)
        await settle()
        assert scene.phases == [Phase.STARTING]
        await scene.shows(QR)
        assert scene.phases == [Phase.STARTING, Phase.QR]
