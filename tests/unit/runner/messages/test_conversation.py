"""A conversation goes on through errors of either side; contacts see that their message was read."""

from __future__ import annotations

import asyncio

import pytest

from runner.browser.page import PageGone
from runner.control_plane.client import TransientError
from tests.unit.support.runner_fakes import (
    settle,
)
from tests.unit.support.runner_line import CHAT, Line, running, send_replies
from wire import MessagesAnswer, MessagesRequest, Outcome


async def test_what_was_seen_but_not_acknowledged_survives_the_process_and_the_page(line: Line) -> None:
    line.page.receive("A", "keep me", at_s=line.now_s)
    line.link()
    line.control.down = True
    with pytest.raises(TransientError):
        await line.sweep()
    line.control.down = False
    line.restart()
    line.page.messages.clear()
    line.link()
    await line.sweep()
    assert [m.text for r in line.control.handed_in for m in r.messages] == ["keep me"]


async def test_after_a_long_outage_what_waits_is_handed_in_within_a_sweep(line: Line) -> None:
    line.link()
    line.page.receive("A", at_s=line.now_s)
    line.control.down = True
    async with running(line):
        await line.clock.advance(300)
        line.control.down = False
        await line.clock.advance(6)
        assert line.handed_in() == ["A"]


async def test_caught_up_lags_behind_and_waits_for_what_cannot_be_read_yet(line: Line) -> None:
    line.page.receive("A", "", at_s=line.now_s + 10, kind="ciphertext")
    line.page.receive("B", at_s=line.now_s + 70)
    line.link()
    await line.sweep()
    assert line.conversation.caught_up_to_ms == (line.now_s - 60) * 1000
    line.clock.time += 300
    await line.sweep()
    assert line.conversation.caught_up_to_ms == (line.now_s + 10) * 1000
    line.page.receive("A", "readable", at_s=line.now_s + 10)
    await line.sweep()
    assert line.conversation.caught_up_to_ms == (line.now_s + 70) * 1000


async def test_caught_up_does_not_move_while_a_message_waits_that_came_late(line: Line) -> None:
    line.page.receive("A", at_s=line.now_s + 10)
    line.link()
    await line.sweep()
    line.clock.time += 300
    line.control.down = True
    line.page.receive("B", at_s=line.now_s + 5)
    await line.read()
    assert line.conversation.caught_up_to_ms == (line.now_s - 60) * 1000
    line.control.down = False
    await line.sweep()
    assert line.conversation.caught_up_to_ms == (line.now_s + 10) * 1000


async def test_the_floor_does_not_rise_before_the_page_was_online_for_the_overlap(line: Line) -> None:
    line.link(caught_up_to_ms=(line.now_s - 5000) * 1000)
    line.page.receive("A", at_s=line.now_s - 300)
    await line.sweep()
    assert line.journal.floor_s == line.now_s - 5600
    line.clock.time += 600
    await line.sweep()
    assert line.journal.floor_s == line.now_s - 900


async def test_a_hint_is_enough_and_a_lost_one_costs_five_seconds(line: Line) -> None:
    line.link()
    async with running(line):
        await line.clock.advance()
        line.page.receive("A", at_s=line.now_s)
        line.conversation.wake()
        await settle()
        assert line.handed_in() == ["A"]
        line.page.receive("B", at_s=line.now_s)
        await line.clock.advance(5)
        assert line.handed_in() == ["A", "B"]


async def test_what_arrives_while_the_control_plane_hangs_is_on_disk_at_once(line: Line) -> None:
    async def hang(request: MessagesRequest, token: str) -> MessagesAnswer:
        await line.clock.sleep(3600)
        raise AssertionError

    line.control.messages = hang  # type: ignore[method-assign]
    line.link()
    line.page.receive("A", at_s=line.now_s)
    async with running(line):
        await line.clock.advance(1)
        line.page.receive("B", at_s=line.now_s)
        line.conversation.wake()
        await settle()
    assert [each.id for each in line.reread().waiting.values()] == ["A", "B"]


async def test_what_arrives_while_sent_parts_cannot_be_reported_is_handed_in(line: Line) -> None:
    async def unavailable(*_: object) -> None:
        raise TransientError("http_503")

    line.control.sent = unavailable  # type: ignore[method-assign, assignment]
    line.link()
    line.ring("one")
    async with running(line):
        await line.clock.advance(10)
        line.page.receive("A", at_s=line.now_s)
        await line.clock.advance(10)
    assert line.handed_in() == ["A"]
    assert len(line.reread().sent) == 1


async def test_a_page_of_the_own_account_is_read_before_it_is_proven_online(line: Line) -> None:
    line.conversation.mark_linked(line.now_s * 1000)
    line.conversation.mark_readable()
    line.page.receive("A", at_s=line.now_s)
    await send_replies(line)
    assert line.handed_in() == ["A"]


async def test_what_an_offline_page_still_has_is_read_before_it_ends(line: Line) -> None:
    line.link()
    line.conversation.mark_offline()
    line.page.receive("A", at_s=line.now_s)
    await line.conversation.read_rest(line.page)
    assert [each.id for each in line.reread().waiting.values()] == ["A"]


@pytest.mark.parametrize(("own_account", "read"), [(True, ["A"]), (False, [])])
async def test_the_rest_of_a_page_that_was_never_readable_is_read_only_if_it_shows_the_own_account(
    line: Line, own_account: bool, read: list[str]
) -> None:
    line.conversation.mark_linked(line.now_s * 1000)
    line.page.receive("A", at_s=line.now_s)
    await line.conversation.read_rest(line.page, own_account=own_account)
    assert [each.id for each in line.reread().waiting.values()] == read


async def test_the_rest_of_a_page_is_read_completely_although_the_journal_is_full_at_first(line: Line) -> None:
    for index in range(1_200):
        line.page.receive(f"M{index:04}", at_s=line.now_s)
    line.link()
    async with running(line):
        line.control.down = True
        reading = asyncio.create_task(line.conversation.read_rest(line.page))
        await line.clock.advance(1)
        assert (reading.done(), len(line.journal.waiting)) == (False, 1_000)
        line.control.down = False
        await line.clock.advance(10)
        assert reading.done()
        assert len(set(line.handed_in())) == 1_200


async def test_a_page_that_is_gone_has_no_rest(line: Line) -> None:
    line.link()
    line.page.error = PageGone("crash")
    await line.conversation.read_rest(line.page)
    await line.conversation.read_rest(None)


async def test_a_queued_message_is_seen_and_typing_is_shown_until_the_reply(line: Line) -> None:
    line.page.receive("A", at_s=line.now_s)
    line.link()
    async with running(line):
        await line.clock.advance(11)
        assert line.page.seen == [CHAT]
        assert line.page.typing == [(CHAT, True), (CHAT, True)]
        assert line.conversation.is_pending()
        line.ring("hi")
        await settle()
        assert line.page.typing[-1] == (CHAT, False)
        assert not line.conversation.is_pending()


async def test_typing_ends_after_a_minute_and_nothing_is_expected_after_two(line: Line) -> None:
    line.page.receive("A", at_s=line.now_s)
    line.link()
    async with running(line):
        await line.clock.advance(75)
        assert line.page.typing[-1] == (CHAT, False)
        assert line.conversation.is_pending()
        await line.clock.advance(60)
        assert not line.conversation.is_pending()


async def test_a_skipped_message_is_not_marked_seen(line: Line) -> None:
    line.control.outcome = lambda _message: Outcome.SKIPPED
    line.page.receive("A", at_s=line.now_s)
    line.link()
    await send_replies(line)
    assert line.page.seen == []
