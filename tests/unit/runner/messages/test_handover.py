"""What waits is handed in in order and in requests that fit; a refused message holds up no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infrastructure.local.lambda_runtime.gateway import MAX_PAYLOAD_BYTES
from runner.control_plane.client import Refused
from runner.messages.handover import Handover
from runner.messages.journal import Journal
from runner.messages.journal_entries import SentPart
from runner.messages.journal_owner import JournalOwner
from tests.unit.support.runner_fakes import TENANT, FakeClient
from tests.unit.support.runner_line import CHAT, Line
from wire import MAX_TEXT_BYTES, Message, MessageKind, MessagesAnswer, MessagesRequest


async def test_batches_are_bounded_and_in_order(line: Line) -> None:
    for index in range(120):
        line.page.receive(f"M{index:03}", at_s=line.now_s + index // 10)
    line.link()
    await line.sweep()
    assert [len(request.messages) for request in line.control.handed_in] == [50, 50, 20]
    assert line.handed_in() == [f"M{index:03}" for index in range(120)]


@pytest.mark.parametrize("text", ['"' * MAX_TEXT_BYTES, "\u00fc" * (MAX_TEXT_BYTES // 2)])
async def test_the_longest_messages_are_handed_in_with_requests_that_api_gateway_takes(line: Line, text: str) -> None:
    for index in range(40):
        line.page.receive(f"M{index:03}", text, at_s=line.now_s)
    line.link()
    await line.sweep()
    assert line.handed_in() == [f"M{index:03}" for index in range(40)]
    for request in line.control.handed_in:
        event = json.dumps({"body": request.model_dump_json(exclude_none=True)})
        assert len(event) < MAX_PAYLOAD_BYTES - 100_000  # what else stands in an event
    assert len(line.control.handed_in) < 40


@pytest.mark.parametrize(("spare", "batches"), [(0, [2, 1]), (-1, [1, 1, 1]), (-10_000, [1, 1, 1])])
async def test_a_request_has_what_fits_and_one_message_at_least(
    line: Line, monkeypatch: pytest.MonkeyPatch, spare: int, batches: list[int]
) -> None:
    for name in ("A", "B", "C"):
        line.page.receive(name, at_s=line.now_s)
    line.link()
    await line.read()
    a, b, _ = [len(json.dumps(message.model_dump_json(exclude_none=True))) for message in line.journal.waiting.values()]
    monkeypatch.setattr("runner.messages.handover.MAX_BATCH_BYTES", a + b + spare)
    assert await line.handover.hand_in()
    assert [len(request.messages) for request in line.control.handed_in] == batches
    assert line.handed_in() == ["A", "B", "C"]


async def test_sent_parts_are_reported_while_messages_are_held_back(line: Line, tmp_path: Path) -> None:
    line.control.reply(
        TENANT, Message(id="IN1", chat=CHAT, from_me=False, sent_at_ms=1, kind=MessageKind.TEXT), ["Yes."]
    )
    journal = Journal(tmp_path / "held back" / "journal", JournalOwner(1, "", held_back=True))
    journal.open()
    handover = Handover(tenant=TENANT, epoch=1, client=FakeClient(line.control), journal=journal)
    journal.add("A", Message(id="A", chat=CHAT, from_me=False, sent_at_ms=1, kind=MessageKind.TEXT))
    journal.add_sent(SentPart(CHAT, "turn-0000", 0, "3EB0", 1))
    assert await handover.hand_in()
    assert (len(line.control.sent_parts), line.control.handed_in, list(journal.waiting)) == (1, [], ["A"])
    journal.hold_back(False)
    assert await handover.hand_in()
    assert line.handed_in() == ["A"]
    journal.close()


async def test_a_later_wording_is_handed_in_after_the_first_one_in_the_same_request(line: Line) -> None:
    line.link()
    line.page.receive("A", "Friday", at_s=line.now_s, key="A|")
    await line.read()
    line.page.receive("A", "Saturday", at_s=line.now_s, key="A|e5", edited_at_ms=5)
    await line.sweep()
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
    await line.read()
    await line.handover._hand_in_batch(["A|", "A|e5"])
    assert list(line.journal.waiting) == ["A|e5"]


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
    await line.sweep()
    assert line.handed_in() == ["A", "B"]
    assert not line.journal.waiting


async def test_a_wording_that_a_deletion_takes_away_while_a_refused_batch_is_split_is_not_handed_in(line: Line) -> None:
    receive_a_bad_one_among_others(line)
    messages = line.control.messages

    async def deleted_meanwhile(request: MessagesRequest, token: str) -> MessagesAnswer:
        for key, message in list(line.journal.waiting.items()):
            if message.id == "B" and not message.deleted:
                line.journal.add(f"{key}d", message.model_copy(update={"text": "", "deleted": True}))
        return await messages(request, token)

    line.control.messages = deleted_meanwhile  # type: ignore[method-assign]
    await line.sweep()
    assert [[(m.id, m.deleted) for m in r.messages] for r in line.control.handed_in] == [[("A", False)], [("B", True)]]


async def test_a_message_that_is_never_acknowledged_ends_a_sweep(line: Line) -> None:
    async def deaf(request: MessagesRequest, token: str) -> MessagesAnswer:
        return MessagesAnswer(acknowledged=())

    line.control.messages = deaf  # type: ignore[method-assign]
    for index in range(1_200):
        line.page.receive(f"M{index:04}", at_s=line.now_s)
    line.link()
    await line.sweep()
    assert len(line.journal.waiting) == 1_000


async def test_what_an_answer_leaves_out_is_handed_in_next(line: Line) -> None:
    """A control plane that is slow answers for the first messages alone."""
    messages = line.control.messages

    async def slow(request: MessagesRequest, token: str) -> MessagesAnswer:
        return await messages(request.model_copy(update={"messages": request.messages[:2]}), token)

    line.control.messages = slow  # type: ignore[method-assign]
    for index in range(5):
        line.page.receive(f"M{index}", at_s=line.now_s)
    line.link()
    await line.sweep()
    assert line.handed_in() == [f"M{index}" for index in range(5)]
    assert not line.journal.waiting
