"""Replies are sent once, in order, under their ids; a reply that is not confirmed holds up no other."""

from __future__ import annotations

import asyncio

from runner.backoff import backoff_seconds
from runner.browser.page import PageGone
from runner.control_plane.client import TransientError
from runner.messages.replies import ACK_TIMEOUT_SECONDS
from tests.unit.support.runner_fakes import (
    TENANT,
    message_id,
)
from tests.unit.support.runner_line import CHAT, Line, running, send_replies


async def test_parts_are_sent_in_order_under_their_ids_and_reported(line: Line) -> None:
    line.link()
    line.ring("one", "two", quote="IN1")
    await send_replies(line)
    assert line.page.sent == [
        (CHAT, message_id(TENANT, "IN1", 0), "one", "IN1"),
        (CHAT, message_id(TENANT, "IN1", 1), "two", None),
    ]
    assert [request.part for request in line.control.sent_parts] == [0, 1]


async def test_a_part_that_is_in_the_chat_already_is_only_reported(line: Line) -> None:
    line.link()
    line.page.own[CHAT, message_id(TENANT, "IN1", 0)] = 2
    line.ring("one")
    await send_replies(line)
    assert line.page.sent == []
    assert len(line.control.sent_parts) == 1


async def test_a_part_without_ack_is_waited_for_and_not_sent_again(line: Line) -> None:
    line.link()
    line.page.acks = [0]
    line.ring("one")
    async with running(line):
        await line.clock.advance(5)
        assert not line.control.sent_parts
        line.page.own[CHAT, message_id(TENANT, "IN1", 0)] = 1
        await line.clock.advance(2)
        assert len(line.page.sent) == 1
        assert len(line.control.sent_parts) == 1


async def test_an_unconfirmed_part_lets_other_turns_be_sent_and_is_stuck_after_half_a_minute(
    line: Line,
) -> None:
    line.link()
    line.page.acks = [0]
    line.ring("one")
    line.ring("two", answers="IN2")
    async with running(line):
        await line.clock.advance()
        assert len(line.control.sent_parts) == 1, "the second is not held up by the first"
        for second in range(1, 26):  # nor is anything later, whenever the first is checked
            line.ring("more", answers=f"IN{second + 2}")
            await line.clock.advance(1)
            assert len(line.control.sent_parts) == second + 1
        assert not line.conversation.replies.are_stuck()
        await line.clock.advance(5)
        assert line.conversation.replies.are_stuck()
        assert [text for _, _, text, _ in line.page.sent].count("one") == 1
        line.conversation.forget_page()
        assert not line.conversation.replies.are_stuck(), "a new page has its own time"


async def test_who_leaves_waits_a_little_for_what_is_sent_and_not_confirmed(line: Line) -> None:
    line.link()
    line.page.acks = [0]
    line.ring("one", "two")
    async with running(line):
        await line.clock.advance(1)
        leaving = asyncio.create_task(line.conversation.replies.finish())
        await line.clock.advance(3)
        assert not leaving.done()
        line.page.own[CHAT, message_id(TENANT, "IN1", 0)] = 1
        await line.clock.advance(2)
        assert leaving.done()
        assert [request.part for request in line.control.sent_parts] == [0, 1]


async def test_who_leaves_does_not_wait_for_ever(line: Line) -> None:
    line.link()
    line.page.acks = [0]
    line.ring("one")
    async with running(line):
        await line.clock.advance(1)
        leaving = asyncio.create_task(line.conversation.replies.finish())
        await line.clock.advance(ACK_TIMEOUT_SECONDS + 1)
        assert leaving.done()


async def test_a_part_that_the_page_forgot_is_not_taken_for_sent(line: Line) -> None:
    line.link()
    line.page.acks = [0]
    line.ring("one")
    async with running(line):
        await line.clock.advance(2)
        line.page.own.clear()
        await line.clock.advance(1)
        assert not line.control.sent_parts
        await line.clock.advance(20)
        assert [id for _, id, _, _ in line.page.sent] == [message_id(TENANT, "IN1", 0)] * 2
        assert len(line.control.sent_parts) == 1


async def test_sending_begins_at_the_cursor(line: Line) -> None:
    line.link()
    delivery = line.ring("one", "two")
    line.control.turns[delivery.turn].cursor = 1
    await send_replies(line)
    assert [text for _, _, text, _ in line.page.sent] == ["two"]


async def test_nothing_is_sent_with_less_than_ten_seconds_of_lease(line: Line) -> None:
    line.link()
    line.clock.time += 36
    line.ring("one")
    await send_replies(line, 3)
    assert line.page.sent == []
    assert line.control.taken == []


async def test_a_lease_that_runs_short_after_taking_stops_the_send(line: Line) -> None:
    line.link()
    take = line.control.take

    async def slow(request: object, token: str) -> object:
        line.clock.time += 40
        return await take(request, token)  # type: ignore[arg-type]

    line.control.take = slow  # type: ignore[method-assign, assignment]
    line.ring("one")
    await send_replies(line)
    assert line.page.sent == []


async def test_nothing_is_sent_while_offline_or_leaving(line: Line) -> None:
    line.ring("one")
    await send_replies(line, 3)
    line.link()
    await line.conversation.replies.finish()
    await send_replies(line, 3)
    assert line.page.sent == []


async def test_a_turn_of_an_older_epoch_is_forgotten(line: Line) -> None:
    line.link()
    line.ring("one")
    line.control.hold(epoch=3)
    await send_replies(line, 3)
    assert line.page.sent == []
    assert not line.conversation.replies.due


async def test_a_lost_report_of_a_sent_part_is_repeated_and_the_message_is_not(line: Line) -> None:
    line.link()
    sent = line.control.sent
    errors = [TransientError("down")]

    async def flaky(request: object, token: str) -> object:
        if errors:
            raise errors.pop()
        return await sent(request, token)  # type: ignore[arg-type]

    line.control.sent = flaky  # type: ignore[method-assign, assignment]
    line.ring("one")
    async with running(line):
        await line.clock.advance(5)
        assert len(line.page.sent) == 1
        assert len(line.control.sent_parts) >= 1


async def test_a_dead_page_ends_neither_loop_and_loses_no_turn(line: Line) -> None:
    line.link()
    line.page.error = PageGone("crash")
    line.ring("one")
    async with running(line) as task:
        await line.clock.advance(2)
        assert not task.done()
        line.page.error = None
        await line.clock.advance(10)
        assert len(line.page.sent) == 1


async def test_a_turn_named_by_an_answer_on_its_way_is_not_taken_twice(line: Line) -> None:
    line.link()
    delivery = line.ring("one")
    await send_replies(line)
    line.conversation.replies.deliver(delivery)
    await send_replies(line)
    assert len(line.control.taken) == 1


def test_the_backoff_doubles_and_is_bounded() -> None:
    assert [backoff_seconds(attempt, 0.5) for attempt in (0, 1, 2)] == [0.5, 1.0, 2.0]
    assert backoff_seconds(40, 1.0) == 45.0
