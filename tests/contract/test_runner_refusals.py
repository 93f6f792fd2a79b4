"""What WhatsApp refuses, and whom it restricts, through a real Chromium and wa-js."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runner.browser.whatsapp import WhatsApp
from runner.messages import refusals
from tests.contract.runner_scene import CONTACT, NUMBER, becomes_true, is_online, link, running
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.support.runner_fakes import TENANT, FakeControl, message_id
from wire import Message

pytestmark = pytest.mark.chromium
BOB = "491755500002"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "RESEND_AFTER_SECONDS", (0.2, 0.4, 0.6))
    monkeypatch.setattr("runner.session.page_supervisor.ONLINE_CHECK_SECONDS", 0.5)


def control_that_answers() -> FakeControl:
    control = FakeControl(answer=lambda message: [f"You said {message.text}"])
    control.hold(watched=True)
    return control


def last_message(control: FakeControl) -> Message:
    return [message for message in control.messages_seen.values() if not message.from_me][-1]


async def test_a_reply_that_is_refused_twice_is_one_bubble_under_one_id(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control, phone = control_that_answers(), simulator.phone(NUMBER)
    ann = phone.contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        phone.refuse_sends(2)
        ann.write("hello")
        (reply,) = await ann.wait_for_reply(1, timeout=20)
        await control.until(lambda: len(control.sent_parts) == 1)
        assert (reply.text, reply.id) == ("You said hello", message_id(TENANT, last_message(control).id, 0))
        assert phone.duplicates == 0 and not control.refused_parts
        assert phone.refusals_left == 0
        ann.write("and now?")
        assert [each.text for each in await ann.wait_for_reply(2)] == ["You said hello", "You said and now?"]


async def test_a_reply_that_is_always_refused_ends_and_the_next_message_is_answered(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control, phone = control_that_answers(), simulator.phone(NUMBER)
    ann = phone.contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        phone.refuse_sends(4)
        ann.write("hello")
        await control.until(lambda: len(control.refused_parts) == 1, 30)
        assert [(report.part, report.ack) for report in control.refused_parts] == [(0, -1)]
        assert phone.refusals_left == 0, "sent once, and three times again"
        ann.write("and now?")
        assert [each.text for each in await ann.wait_for_reply(1)] == ["You said and now?"]
        await control.until(lambda: len(control.sent_parts) == 1)


async def test_a_refused_reply_is_found_after_a_restart_of_the_browser_and_sent_again(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "RESEND_AFTER_SECONDS", (600.0,) * 3)
    control, phone = control_that_answers(), simulator.phone(NUMBER)
    ann = phone.contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        phone.refuse_sends(1)
        ann.write("hello")
        await becomes_true(lambda: phone.refusals_left == 0)
    assert not ann.replies()
    control.hold(epoch=2, number=NUMBER)
    async with running(browsers, control, tmp_path):
        await control.until_report(is_online)
        (reply,) = await ann.wait_for_reply(1, timeout=30)
        assert reply.id == message_id(TENANT, last_message(control).id, 0)
        await control.until(lambda: len(control.sent_parts) == 1)


async def test_a_restricted_account_is_reported_and_answers_where_whatsapp_lets_it(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control, phone = control_that_answers(), simulator.phone(NUMBER)
    ann, bob = phone.contact(CONTACT, "Ann"), phone.contact(BOB, "Bob")
    until = time.time_ns() // 1_000_000 + 3_600_000
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        phone.restrict(until, answered=[BOB])
        report = await control.until_report(lambda report: report.restriction is not None, within=30)
        assert report.restriction is not None and is_online(report)
        assert (report.restriction.until_ms, report.restriction.kind) == (until, "WEB_COMPANION_ONLY")
        ann.write("hello")
        bob.write("hello")
        assert [each.text for each in await bob.wait_for_reply(1, timeout=20)] == ["You said hello"]
        assert not ann.replies()
        phone.restrict(None)
        await control.until_report(lambda report: report.restriction is None, within=30)
        assert [each.text for each in await ann.wait_for_reply(1, timeout=20)] == ["You said hello"]
