"""Messages of the page reach the control plane once and completely, each wording in order, also after a restart."""

from __future__ import annotations

import logging

import pytest

from runner.browser.page import PageRefused
from runner.log_events import LogEvent
from runner.messages.journal import OVERLAP_SECONDS
from tests.unit.support.runner_line import Line


async def test_the_first_linking_hands_in_no_history(line: Line) -> None:
    line.page.receive("OLD", at_s=line.now_s - 61)
    line.page.receive("SLOW", at_s=line.now_s - 59)
    line.page.receive("NEW", at_s=line.now_s)
    line.link()
    await line.sweep()
    assert line.handed_in() == ["SLOW", "NEW"]


async def test_a_fresh_runner_reads_ten_minutes_back_and_no_further(line: Line) -> None:
    line.page.receive("OLD", at_s=line.now_s - OVERLAP_SECONDS - 1)
    line.page.receive("LATE", at_s=line.now_s - OVERLAP_SECONDS + 1)
    line.link(caught_up_to_ms=line.now_s * 1000)
    await line.sweep()
    assert line.handed_in() == ["LATE"]


async def test_a_message_is_handed_in_once_also_after_a_restart(line: Line) -> None:
    line.page.receive("A", at_s=line.now_s)
    line.link()
    await line.sweep()
    await line.sweep()
    line.restart()
    line.link()
    await line.sweep()
    assert line.handed_in() == ["A"]


async def test_more_messages_than_one_read_returns_are_handed_in_completely(line: Line) -> None:
    for index in range(450):
        line.page.receive(f"M{index:03}", at_s=line.now_s)
    line.link()
    await line.sweep()
    assert len(set(line.handed_in())) == 450


async def test_a_ciphertext_is_handed_in_again_once_it_can_be_read(line: Line) -> None:
    line.page.receive("A", "", at_s=line.now_s, kind="ciphertext")
    line.link()
    await line.sweep()
    line.page.messages.clear()
    line.page.receive("A", "readable", at_s=line.now_s)
    await line.sweep()
    assert [m.kind for r in line.control.handed_in for m in r.messages] == ["ciphertext", "text"]


async def test_an_edit_and_a_deletion_are_handed_in_after_a_restart_and_only_once(line: Line) -> None:
    line.link()
    line.page.receive("A", "Friday", at_s=line.now_s, key="A|")
    line.page.receive("B", "secret", at_s=line.now_s, key="B|")
    await line.sweep()
    line.clock.time += 3_600
    line.page.messages.clear()
    line.page.receive("A", "Saturday", at_s=line.now_s, key="A|e5", edited_at_ms=5, changed=True)
    line.page.receive("B", "", at_s=line.now_s, key="B|d", deleted=True, changed=True)
    for _ in range(2):
        line.restart()
        line.link()
        await line.sweep()
    wordings = [(m.id, m.text, m.deleted) for r in line.control.handed_in for m in r.messages]
    assert wordings == [("A", "Friday", False), ("B", "secret", False), ("A", "Saturday", False), ("B", "", True)]


async def test_a_new_document_learns_what_was_handed_in_and_an_old_one_does_not_again(line: Line) -> None:
    line.link()
    line.page.receive("A", at_s=line.now_s)
    await line.sweep()
    assert line.page.remembered == {}
    await line.sweep()
    assert line.page.calls.count("remember") == 1
    line.page.forget()
    await line.sweep()
    assert line.page.remembered == {"49170@c.us|A|text": line.now_s}
    assert line.handed_in() == ["A"]


async def test_a_chat_that_cannot_be_read_is_counted_and_logged_once_and_silences_no_other(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.link()
    line.page.receive("A", at_s=line.now_s)
    line.page.receive("B", at_s=line.now_s, chat="49171@c.us")
    line.page.unreadable = {"49171@c.us"}
    with caplog.at_level(logging.INFO, "runner"):
        for _ in range(3):
            await line.sweep()
        assert (line.handed_in(), line.conversation.inbox.unreadable_chats) == (["A"], 1)
        line.page.unreadable = set()
        await line.sweep()
    assert (line.handed_in(), line.conversation.inbox.unreadable_chats) == (["A", "B"], 0)
    counts = [
        record.__dict__["fields"]["chats"] for record in caplog.records if record.message == LogEvent.CHATS_UNREADABLE
    ]
    assert counts == [1, 0]


async def test_a_page_of_which_no_chat_can_be_read_is_no_page_without_messages(line: Line) -> None:
    line.link()
    line.page.receive("A", at_s=line.now_s)
    line.page.unreadable = {"49170@c.us"}
    with pytest.raises(PageRefused):
        await line.read()


async def test_a_page_that_refuses_for_another_reason_is_not_read_again_at_once(line: Line) -> None:
    line.link()
    line.page.error = PageRefused("TypeError")
    with pytest.raises(PageRefused):
        await line.read()
    assert line.page.calls == ["tail"]


async def test_odd_values_are_logged_by_their_names_and_never_by_themselves(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.page.receive("A", at_s=line.now_s, phone="4917", author=["canary"])
    line.page.receive("B", "canary", at_s=line.now_s, chat="canary")
    line.link()
    with caplog.at_level(logging.INFO, "runner"):
        await line.sweep()
    assert line.handed_in() == ["A"]
    logged = [(record.message, record.__dict__["fields"]) for record in caplog.records]
    assert [(event, fields["fields"]) for event, fields in logged] == [
        (LogEvent.MESSAGE_FIELDS_LEFT_OUT, ["author", "phone"]),
        (LogEvent.MESSAGE_NOT_CARRIED, ["chat"]),
    ]
    assert "canary" not in str(logged)
    assert "4917" not in str(logged)


async def test_a_message_that_makes_no_sense_is_left_alone(line: Line) -> None:
    line.page.receive("A", at_s=line.now_s, chat="not a chat")
    line.page.receive("B", at_s=line.now_s)
    line.link()
    await line.sweep()
    assert line.handed_in() == ["B"]
