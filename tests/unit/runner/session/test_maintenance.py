"""A page that is online is maintained, at moments when no contact notices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.browser.page import Dialog, Hint
from runner.browser.recovery import MAX_WAIT_SECONDS
from runner.browser.rotation import (
    LIFETIME_SECONDS,
    LIFETIME_SPREAD_SECONDS,
    MIN_INTERVAL_SECONDS,
    Rotation,
    RotationSlots,
)
from runner.session.page_supervisor import ONLINE_CHECK_SECONDS
from tests.unit.runner.session.test_session import MAIN, QR, Scene, living, no_other_thread
from tests.unit.support.runner_fakes import FakeClock, FakePage
from wire import Delivery, Phase, ProblemCode

__all__ = ["no_other_thread"]
CHAT = "49170@c.us"
UPDATE = replace(MAIN, needs_update=True)


def loads(scene: Scene) -> int:
    return scene.page.calls.count("load")


def expect_an_answer(scene: Scene) -> None:
    """A contact wrote, and the control plane is making a reply."""
    scene.page.receive("3EB01", at_s=scene.clock.wall_ms() // 1000 + 1)
    scene.whatsapp.hint(Hint.MESSAGE, "")


# -- an updated WhatsApp Web -------------------------------------------------------------------------------------------


async def test_an_updated_page_is_loaded_again_once(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 60)
        await scene.shows(UPDATE, 60)
        assert loads(scene) == 2
        assert scene.phase is Phase.ONLINE


async def test_updated_pages_of_a_runner_take_turns(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 60)
        assert scene.rotation_slots.take()  # another session's page is being renewed
        await scene.shows(UPDATE, MIN_INTERVAL_SECONDS - 20)
        assert loads(scene) == 1
        assert scene.other.enter()  # a page that waits for its turn keeps no other from booting
        scene.other.leave()
        await scene.clock.advance(40)
        assert loads(scene) == 2


async def test_an_updated_page_waits_until_the_answer_that_is_expected_was_given(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 60)
        await scene.heartbeat()
        expect_an_answer(scene)
        await scene.shows(UPDATE, 100)
        assert loads(scene) == 1
        await scene.clock.advance(120)
        assert loads(scene) == 2


async def test_an_updated_page_in_a_chat_that_never_rests_is_loaded_between_two_sends(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 60)
        await scene.heartbeat()
        scene.page.observation = UPDATE
        for minute in range(40):
            scene.page.receive(f"3EB0{minute}", at_s=scene.clock.wall_ms() // 1000 + 1)
            scene.whatsapp.hint(Hint.MESSAGE, "")
            await scene.clock.advance(60, step=5)
            if minute < MAX_WAIT_SECONDS / 60 - 1:
                assert loads(scene) == 1
        assert loads(scene) == 2


async def test_a_page_is_never_loaded_again_while_a_reply_is_due(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 60)
        scene.control.down = True  # the turn cannot be taken
        scene.session.deliver(Delivery(tenant=scene.hold.tenant, epoch=1, chat=CHAT, turn="turn-0001", revision=1))
        await scene.shows(UPDATE, 20)
        assert loads(scene) == 1


# -- dialogs -----------------------------------------------------------------------------------------------------------


async def test_a_dialog_that_stays_is_confirmed_and_one_that_goes_away_is_not(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, dialog=Dialog.CONFIRM))
        assert "confirm_dialog" not in scene.page.calls
        await scene.shows(MAIN, ONLINE_CHECK_SECONDS)
        await scene.shows(replace(MAIN, dialog=Dialog.CONFIRM), 2 * ONLINE_CHECK_SECONDS)
        assert "confirm_dialog" in scene.page.calls


async def test_a_dialog_that_comes_back_however_often_it_is_confirmed_is_left_alone(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, dialog=Dialog.CONFIRM), 600)
        assert scene.page.calls.count("confirm_dialog") == 3


async def test_a_dialog_with_something_to_decide_is_not_touched(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, dialog=Dialog.UNCLEAR), 120)
        assert "confirm_dialog" not in scene.page.calls


async def test_a_dialog_before_the_linking_is_not_touched(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(QR, dialog=Dialog.CONFIRM), 60)
        assert "confirm_dialog" not in scene.page.calls


# -- browsers that are old or large ------------------------------------------------------------------------------------


EARLY = 1_800


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.browser.rotation.MIN_GROWN_AGE_SECONDS", float(EARLY))


async def test_a_browser_that_has_grown_is_replaced_in_peace_and_not_counted_as_an_error(
    tmp_path: Path, early: None
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, unsolicited_event_ms_ago=10), EARLY - 600)
        scene.page.memory = 950_000_000
        await scene.clock.advance(1_200, step=5)
        assert scene.whatsapp.closed == ["in peace"]
        assert scene.phase is Phase.ONLINE
        await scene.clock.advance(900, step=5)
        assert len(scene.whatsapp.opened) == 2


async def test_a_grown_heap_is_a_reason_too_but_not_while_an_answer_is_expected(tmp_path: Path, early: None) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, unsolicited_event_ms_ago=10), EARLY)
        await scene.heartbeat()
        expect_an_answer(scene)
        await scene.shows(replace(MAIN, unsolicited_event_ms_ago=10, heap_bytes=450_000_000), 100)
        assert len(scene.whatsapp.opened) == 1
        await scene.clock.advance(120)
        assert len(scene.whatsapp.opened) == 2


async def test_a_page_that_works_is_not_renewed_while_the_disk_is_full_and_is_once_there_is_room(
    tmp_path: Path,
) -> None:
    """It goes on in memory; what it would find on the disk is not known."""
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 60)
        scene.free = 0
        await scene.shows(UPDATE, 30)
        await scene.clock.advance(LIFETIME_SECONDS + LIFETIME_SPREAD_SECONDS, step=60)
        assert (loads(scene), len(scene.whatsapp.opened), scene.phase) == (1, 1, Phase.ONLINE)
        scene.free = 1 << 40
        await scene.clock.advance(60)
        assert len(scene.whatsapp.opened) == 2


async def test_files_that_were_written_on_a_full_disk_are_tried_by_a_new_browser_once_there_is_room(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, unsolicited_event_ms_ago=10), 60)
        scene.free = 0
        await scene.clock.advance(60)
        assert scene.profile.is_suspect
        assert len(scene.whatsapp.opened) == 1  # it could not even be started
        scene.free = 1 << 40
        await scene.clock.advance(60)
        assert (len(scene.whatsapp.opened), scene.whatsapp.closed) == (2, ["in peace"])
        assert scene.phase is Phase.ONLINE
        assert not scene.profile.is_suspect


async def test_browsers_grow_old_at_different_times() -> None:
    clock, page = FakeClock(), FakePage()
    ages = []
    for chance in (0.0, 0.5, 1.0):
        rotation = Rotation(clock, lambda chance=chance: chance)  # type: ignore[misc]
        born = clock.time
        for _ in range(200):
            if await rotation.reason_to_replace(page, MAIN) is not None:
                ages.append(clock.time - born)
                break
            clock.time += 600
    assert ages == [
        LIFETIME_SECONDS - LIFETIME_SPREAD_SECONDS,
        LIFETIME_SECONDS,
        LIFETIME_SECONDS + LIFETIME_SPREAD_SECONDS,
    ]


def test_browsers_are_replaced_one_after_the_other() -> None:
    clock = FakeClock()
    rotation_slots = RotationSlots(clock)
    assert (rotation_slots.take(), rotation_slots.take()) == (True, False)
    clock.time += MIN_INTERVAL_SECONDS
    assert rotation_slots.take()


# -- deaf pages --------------------------------------------------------------------------------------------------------


async def test_a_page_that_is_proven_online_and_receives_nothing_is_loaded_again_then_replaced(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 3_700)
        assert (loads(scene), len(scene.whatsapp.opened)) == (2, 1)
        await scene.clock.advance(7_300, step=5)
        assert (len(scene.whatsapp.opened), scene.whatsapp.closed) == (2, ["in peace"])
        assert scene.phase is Phase.ONLINE


async def test_a_page_that_receives_an_event_now_and_then_is_left_alone(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, unsolicited_event_ms_ago=10), 2 * 3_600)
        assert loads(scene) == 1


async def test_a_message_that_only_the_sweep_found_counts_as_received(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(MAIN, 3_000)
        expect_an_answer(scene)
        await scene.clock.advance(1_500, step=5)
        assert loads(scene) == 1


# -- a page that wa-js does not understand -----------------------------------------------------------------------------


@pytest.mark.parametrize("observation", [replace(QR, qr=None), MAIN], ids=["unlinked", "linked"])
async def test_a_part_that_stays_missing_is_incompatible_and_checked_again_every_five_minutes(
    tmp_path: Path, observation: object
) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(observation, missing=("ChatStore",)), 90)  # type: ignore[type-var,arg-type]
        report = scene.session.report()
        assert (report.phase, report.problem) == (Phase.FAILED, ProblemCode.INCOMPATIBLE)
        assert "ChatStore" in report.detail
        await scene.clock.advance(1_800, step=5)
        assert len(scene.whatsapp.opened) == 1
        assert 4 <= loads(scene) <= 8


async def test_what_is_missing_for_a_moment_is_no_problem(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, missing=("ChatStore",)), 45)
        await scene.shows(MAIN, 60)
        assert scene.session.report().problem is None


async def test_once_everything_is_found_again_the_problem_is_over(tmp_path: Path) -> None:
    async with living(tmp_path) as scene:
        await scene.shows(replace(MAIN, missing=("ChatStore",)), 90)
        await scene.shows(MAIN, 420)
        assert (scene.phase, scene.session.report().problem) == (Phase.ONLINE, None)
