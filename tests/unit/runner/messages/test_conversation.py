"""Messages of a contact are handed in once and in order; replies are sent once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infrastructure.local.lambda_runtime.gateway import MAX_PAYLOAD_BYTES
from runner.backoff import backoff_seconds
from runner.browser.page import PageGone, PageRefused
from runner.control_plane.client import Refused, TransientError
from runner.control_plane.lease import Lease
from runner.log_events import LogEvent
from runner.messages.conversation import Conversation
from runner.messages.journal import OVERLAP_SECONDS, Journal
from runner.messages.replies import ACK_TIMEOUT_SECONDS
from tests.unit.support.runner_fakes import (
    TENANT,
    FakeClient,
    FakeClock,
    FakeControl,
    FakePage,
    message_id,
    settle,
)
from wire import MAX_TEXT_BYTES, Delivery, Message, MessageKind, MessagesAnswer, MessagesRequest, Outcome

CHAT = "49170@c.us"


class Line:
    """A conversation with everything around it."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.now_s = self.clock.wall_ms() // 1000
        self.control = FakeControl()
        self.control.hold(number="491701111111")
        self.page = FakePage()
        self.lease = Lease(self.clock.now)
        self.lease.renew(self.clock.now())
        self.changes = 0
        self.path = path
        self.journal = Journal(path)
        self.journal.open()
        self.conversation = self.make()

    def make(self) -> Conversation:
        return Conversation(
            tenant=TENANT,
            epoch=1,
            client=FakeClient(self.control),
            lease=self.lease,
            journal=self.journal,
            clock=self.clock,
            jitter=lambda: 0.5,
            on_change=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    def link(self, caught_up_to_ms: int | None = None) -> None:
        self.conversation.mark_linked(caught_up_to_ms)
        self.conversation.mark_online(delivered_offline=True)

    def handed_in(self) -> list[str]:
        return [message.id for request in self.control.handed_in for message in request.messages]

    def reread(self) -> Journal:
        """Returns the journal as a new process would find it on the disk."""
        self.journal.close()
        journal = Journal(self.path)
        journal.open()
        journal.close()
        return journal

    def restart(self) -> None:
        """A new process on the same directory, with a new page."""
        self.journal.close()
        self.journal = Journal(self.path)
        self.journal.open()
        self.page.forget()
        self.conversation = self.make()

    def ring(self, *texts: str, quote: str | None = None, answers: str = "IN1") -> Delivery:
        first = Message(id=answers, chat=CHAT, from_me=False, sent_at_ms=self.now_s * 1000, kind=MessageKind.TEXT)
        name = self.control.reply(TENANT, first, texts, quote)
        delivery = Delivery(tenant=TENANT, epoch=1, chat=CHAT, turn=name, revision=1)
        self.conversation.replies.deliver(delivery)
        return delivery


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "journal.jsonl")
    yield line
    line.journal.close()


@asynccontextmanager
async def running(line: Line) -> AsyncIterator[asyncio.Task[None]]:
    """The conversation of this line, until the block ends."""
    task = asyncio.create_task(line.conversation.run(line.page))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send_replies(line: Line, seconds: float = 0.0) -> None:
    async with running(line):
        await line.clock.advance(seconds)


# -- messages in ------------------------------------------------------------------------------------------------


async def test_the_first_linking_hands_in_no_history(line: Line) -> None:
    line.page.receive("OLD", at_s=line.now_s - 61)
    line.page.receive("SLOW", at_s=line.now_s - 59)
    line.page.receive("NEW", at_s=line.now_s)
    line.link()
    await line.conversation.sweep(line.page)
    assert line.handed_in() == ["SLOW", "NEW"]


async def test_a_fresh_runner_reads_ten_minutes_back_and_no_further(line: Line) -> None:
    line.page.receive("OLD", at_s=line.now_s - OVERLAP_SECONDS - 1)
    line.page.receive("LATE", at_s=line.now_s - OVERLAP_SECONDS + 1)
    line.link(caught_up_to_ms=line.now_s * 1000)
    await line.conversation.sweep(line.page)
    assert line.handed_in() == ["LATE"]


async def test_a_message_is_handed_in_once_also_after_a_restart(line: Line) -> None:
    line.page.receive("A", at_s=line.now_s)
    line.link()
    await line.conversation.sweep(line.page)
    await line.conversation.sweep(line.page)
    line.restart()
    line.link()
    await line.conversation.sweep(line.page)
    assert line.handed_in() == ["A"]


async def test_what_was_seen_but_not_acknowledged_survives_the_process_and_the_page(line: Line) -> None:
    line.page.receive("A", "keep me", at_s=line.now_s)
    line.link()
    line.control.down = True
    with pytest.raises(TransientError):
        await line.conversation.sweep(line.page)
    line.control.down = False
    line.restart()
    line.page.messages.clear()
    line.link()
    await line.conversation.sweep(line.page)
    assert [m.text for r in line.control.handed_in for m in r.messages] == ["keep me"]


async def test_batches_are_bounded_and_in_order(line: Line) -> None:
    for index in range(120):
        line.page.receive(f"M{index:03}", at_s=line.now_s + index // 10)
    line.link()
    await line.conversation.sweep(line.page)
    assert [len(request.messages) for request in line.control.handed_in] == [50, 50, 20]
    assert line.handed_in() == [f"M{index:03}" for index in range(120)]


@pytest.mark.parametrize("text", ['"' * MAX_TEXT_BYTES, "\u00fc" * (MAX_TEXT_BYTES // 2)])
async def test_the_longest_messages_are_handed_in_with_requests_that_api_gateway_takes(line: Line, text: str) -> None:
    for index in range(40):
        line.page.receive(f"M{index:03}", text, at_s=line.now_s)
    line.link()
    await line.conversation.sweep(line.page)
    assert line.handed_in() == [f"M{index:03}" for index in range(40)]
    for request in line.control.handed_in:
        event = json.dumps({"body": request.model_dump_json(exclude_none=True)})
        assert len(event) < MAX_PAYLOAD_BYTES - 100_000  # what else stands in an event
    assert len(line.control.handed_in) < 40


async def test_after_a_long_outage_what_waits_is_handed_in_within_a_sweep(line: Line) -> None:
    line.link()
    line.page.receive("A", at_s=line.now_s)
    line.control.down = True
    async with running(line):
        await line.clock.advance(300)
        line.control.down = False
        await line.clock.advance(6)
        assert line.handed_in() == ["A"]


async def test_more_messages_than_one_read_returns_are_handed_in_completely(line: Line) -> None:
    for index in range(450):
        line.page.receive(f"M{index:03}", at_s=line.now_s)
    line.link()
    await line.conversation.sweep(line.page)
    assert len(set(line.handed_in())) == 450


async def test_a_ciphertext_is_handed_in_again_once_it_can_be_read(line: Line) -> None:
    line.page.receive("A", "", at_s=line.now_s, kind="ciphertext")
    line.link()
    await line.conversation.sweep(line.page)
    line.page.messages.clear()
    line.page.receive("A", "readable", at_s=line.now_s)
    await line.conversation.sweep(line.page)
    assert [m.kind for r in line.control.handed_in for m in r.messages] == ["ciphertext", "text"]


async def test_a_later_wording_is_handed_in_after_the_first_one_in_the_same_request(line: Line) -> None:
    line.link()
    line.page.receive("A", "Friday", at_s=line.now_s, key="A|")
    await line.conversation._read(line.page)
    line.page.receive("A", "Saturday", at_s=line.now_s, key="A|e5", edited_at_ms=5)
    await line.conversation.sweep(line.page)
    [request] = line.control.handed_in
    assert [(m.text, m.edited_at_ms) for m in request.messages] == [("Friday", None), ("Saturday", 5)]
    assert not line.journal.waiting


async def test_an_answer_to_one_of_two_wordings_leaves_the_other_waiting(line: Line) -> None:
    messages = line.control.messages

    async def forgetful(request: MessagesRequest, token: str) -> MessagesAnswer:
        answer = await messages(request, token)
        return answer.model_copy(update={"acknowledged": answer.acknowledged[:1]})

    line.control.messages = forgetful  # type: ignore[method-assign]
    line.link()
    line.page.receive("A", "Friday", at_s=line.now_s, key="A|")
    line.page.receive("A", "Saturday", at_s=line.now_s, key="A|e5", edited_at_ms=5)
    await line.conversation._read(line.page)
    await line.conversation._handover._hand_in_batch(["A|", "A|e5"])
    assert list(line.journal.waiting) == ["A|e5"]


async def test_an_edit_and_a_deletion_are_handed_in_after_a_restart_and_only_once(line: Line) -> None:
    line.link()
    line.page.receive("A", "Friday", at_s=line.now_s, key="A|")
    line.page.receive("B", "secret", at_s=line.now_s, key="B|")
    await line.conversation.sweep(line.page)
    line.clock.time += 3_600
    line.page.messages.clear()
    line.page.receive("A", "Saturday", at_s=line.now_s, key="A|e5", edited_at_ms=5, changed=True)
    line.page.receive("B", "", at_s=line.now_s, key="B|d", deleted=True, changed=True)
    for _ in range(2):
        line.restart()
        line.link()
        await line.conversation.sweep(line.page)
    wordings = [(m.id, m.text, m.deleted) for r in line.control.handed_in for m in r.messages]
    assert wordings == [("A", "Friday", False), ("B", "secret", False), ("A", "Saturday", False), ("B", "", True)]


async def test_a_new_document_learns_what_was_handed_in_and_an_old_one_does_not_again(line: Line) -> None:
    line.link()
    line.page.receive("A", at_s=line.now_s)
    await line.conversation.sweep(line.page)
    assert line.page.remembered == {}
    await line.conversation.sweep(line.page)
    assert line.page.calls.count("remember") == 1
    line.page.forget()
    await line.conversation.sweep(line.page)
    assert line.page.remembered == {"49170@c.us|A|text": line.now_s}
    assert line.handed_in() == ["A"]


async def test_a_page_that_refuses_for_another_reason_is_not_read_again_at_once(line: Line) -> None:
    line.link()
    line.page.error = PageRefused("TypeError")
    with pytest.raises(PageRefused):
        await line.conversation._read(line.page)
    assert line.page.calls == ["tail"]


async def test_odd_values_are_logged_by_their_names_and_never_by_themselves(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.page.receive("A", at_s=line.now_s, phone="4917", author=["canary"])
    line.page.receive("B", "canary", at_s=line.now_s, chat="canary")
    line.link()
    with caplog.at_level(logging.INFO, "runner"):
        await line.conversation.sweep(line.page)
    assert line.handed_in() == ["A"]
    logged = [(record.message, record.__dict__["fields"]) for record in caplog.records]
    assert [(event, fields["fields"]) for event, fields in logged] == [
        (LogEvent.MESSAGE_FIELDS_LEFT_OUT, ["author", "phone"]),
        (LogEvent.MESSAGE_NOT_CARRIED, ["chat"]),
    ]
    assert "canary" not in str(logged)
    assert "4917" not in str(logged)


def receive_a_bad_one_among_others(line: Line) -> None:
    """The control plane takes no batch with that one in it."""
    messages = line.control.messages

    async def picky(request: MessagesRequest, token: str) -> MessagesAnswer:
        if any(message.id == "BAD" for message in request.messages):
            raise Refused("bad_request")
        return await messages(request, token)

    line.control.messages = picky  # type: ignore[method-assign]
    for name in ("A", "BAD", "B"):
        line.page.receive(name, at_s=line.now_s)
    line.link()


async def test_a_message_the_control_plane_refuses_does_not_hold_up_the_others(line: Line) -> None:
    receive_a_bad_one_among_others(line)
    await line.conversation.sweep(line.page)
    assert line.handed_in() == ["A", "B"]
    assert not line.journal.waiting


async def test_two_who_split_a_refused_batch_at_the_same_time_take_nothing_from_each_other(line: Line) -> None:
    receive_a_bad_one_among_others(line)
    messages, calls = line.control.messages, 0

    async def slow(request: MessagesRequest, token: str) -> MessagesAnswer:
        nonlocal calls
        calls += 1
        await line.clock.sleep(10 if calls == 2 else 1)  # the second caller finds no message left once it splits
        return await messages(request, token)

    line.control.messages = slow  # type: ignore[method-assign]
    await line.conversation._read(line.page)
    both = [asyncio.create_task(line.conversation.hand_in()) for _ in range(2)]
    await line.clock.advance(60)
    assert [task.result() for task in both] == [True, True]
    assert set(line.handed_in()) == {"A", "B"}


async def test_a_message_that_makes_no_sense_is_left_alone(line: Line) -> None:
    line.page.receive("A", at_s=line.now_s, chat="not a chat")
    line.page.receive("B", at_s=line.now_s)
    line.link()
    await line.conversation.sweep(line.page)
    assert line.handed_in() == ["B"]


async def test_caught_up_lags_behind_and_waits_for_what_cannot_be_read_yet(line: Line) -> None:
    line.page.receive("A", "", at_s=line.now_s + 10, kind="ciphertext")
    line.page.receive("B", at_s=line.now_s + 70)
    line.link()
    await line.conversation.sweep(line.page)
    assert line.conversation.caught_up_to_ms == (line.now_s - 60) * 1000
    line.clock.time += 300
    await line.conversation.sweep(line.page)
    assert line.conversation.caught_up_to_ms == (line.now_s + 10) * 1000
    line.page.receive("A", "readable", at_s=line.now_s + 10)
    await line.conversation.sweep(line.page)
    assert line.conversation.caught_up_to_ms == (line.now_s + 70) * 1000


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
    assert len(line.conversation.replies._unreported) == 1


async def test_a_page_of_the_own_account_is_read_before_it_is_proven_online(line: Line) -> None:
    line.conversation.mark_linked(line.now_s * 1000)
    line.conversation.mark_readable()
    line.page.receive("A", at_s=line.now_s)
    await send_replies(line)
    assert line.handed_in() == ["A"]


async def test_a_message_that_is_never_acknowledged_ends_a_sweep(line: Line) -> None:
    async def deaf(request: MessagesRequest, token: str) -> MessagesAnswer:
        return MessagesAnswer(acknowledged=())

    line.control.messages = deaf  # type: ignore[method-assign]
    for index in range(1_200):
        line.page.receive(f"M{index:04}", at_s=line.now_s)
    line.link()
    await line.conversation.sweep(line.page)
    assert len(line.journal.waiting) == 1_000


async def test_harvest_hands_in_from_an_offline_page(line: Line) -> None:
    line.link()
    line.conversation.mark_offline()
    line.page.receive("A", at_s=line.now_s)
    await line.conversation.flush(line.page)
    assert line.handed_in() == ["A"]


async def test_a_harvest_hands_in_although_sent_parts_cannot_be_reported_and_the_other_way_round(line: Line) -> None:
    sent = line.control.sent

    async def unavailable(*_: object) -> None:
        raise TransientError("http_503")

    line.control.sent = unavailable  # type: ignore[method-assign, assignment]
    line.link()
    line.ring("one")
    await send_replies(line, 10)
    line.page.receive("A", at_s=line.now_s)
    await line.conversation.flush(line.page, own_account=True)
    assert line.handed_in() == ["A"]

    line.control.sent, line.control.messages = sent, unavailable  # type: ignore[method-assign, assignment]
    line.page.receive("B", at_s=line.now_s)
    await line.conversation.flush(line.page, own_account=True)
    assert {request.part for request in line.control.sent_parts} == {0}
    assert [message.id for message in line.journal.waiting.values()] == ["B"]


# -- signs ------------------------------------------------------------------------------------------------------


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


# -- replies out ------------------------------------------------------------------------------------------------


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
