"""What contacts and the owner do with messages reaches the control plane, through a real Chromium and wa-js."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.browser.whatsapp import WhatsApp
from tests.contract.runner_scene import CONTACT, NUMBER, link, running
from tests.simulators.whatsapp import Contact, WhatsAppSimulator
from tests.simulators.whatsapp import content as kinds
from tests.simulators.whatsapp.state import Message as Sent
from tests.unit.support.runner_fakes import TENANT, FakeControl, message_id
from wire import Message, MessageKind, Outcome

pytestmark = pytest.mark.chromium
JPEG, LAST = b"\xff\xd8\xff", "the last one"

#: How a contact sends it, and what the control plane gets.
KINDS: list[tuple[Callable[[Contact], Sent], dict[str, Any]]] = [
    (lambda ann: ann.write("hello"), {"kind": MessageKind.TEXT, "text": "hello", "author": "Ann", "phone": CONTACT}),
    (
        lambda ann: ann.send_media(JPEG, "image/jpeg", caption="this one?"),
        {"kind": MessageKind.IMAGE, "text": "", "caption": "this one?"},
    ),
    (lambda ann: ann.send_media(JPEG, "image/jpeg"), {"kind": MessageKind.IMAGE, "caption": ""}),
    (
        lambda ann: ann.send_media(b"ogg", "audio/ogg", kind="ptt", seconds=7),
        {"kind": MessageKind.VOICE, "text": ""},
    ),
    (lambda ann: ann.send_media(b"mp4", "video/mp4", kind="gif"), {"kind": MessageKind.VIDEO, "variant": "gif"}),
    (lambda ann: ann.send_media(b"mp4", "video/mp4", kind="ptv"), {"kind": MessageKind.VIDEO, "variant": "video_note"}),
    (
        lambda ann: ann.send_media(b"%PDF", "application/pdf", kind="document", filename="bill.pdf"),
        {"kind": MessageKind.DOCUMENT, "text": "", "caption": ""},
    ),
    (
        lambda ann: ann.send_media(b"%PDF", "application/pdf", kind="document", filename="a.pdf", caption="right?"),
        {"kind": MessageKind.DOCUMENT, "caption": "right?"},
    ),
    (lambda ann: ann.send_media(b"webp", "image/webp", kind="sticker"), {"kind": MessageKind.STICKER, "caption": ""}),
    (
        lambda ann: ann.send(kinds.location(name="Cafe", address="Main Street 1")),
        {"kind": MessageKind.LOCATION, "summary": "Cafe\nMain Street 1", "text": ""},
    ),
    (
        lambda ann: ann.send(kinds.live_location(comment="on my way")),
        {"variant": "live_location", "caption": "on my way"},
    ),
    (lambda ann: ann.send(kinds.contact_card("Paula")), {"kind": MessageKind.CONTACT_CARD, "summary": "Paula"}),
    (
        lambda ann: ann.send(kinds.contact_cards(["Paula", "Erik"])),
        {"variant": "contact_cards", "summary": "Paula\nErik"},
    ),
    (
        lambda ann: ann.send(kinds.poll("When?", ["Monday", "Friday"])),
        {"kind": MessageKind.OTHER, "variant": "poll", "summary": "When?\n- Monday\n- Friday"},
    ),
    (
        lambda ann: ann.send(kinds.order("Bread", message="before noon")),
        {"variant": "order", "summary": "Bread\nitems: 2\ntotal: 12.50 EUR", "caption": "before noon", "text": ""},
    ),
    (lambda ann: ann.send(kinds.product("Bread")), {"variant": "product", "summary": "Bread\n4.20 EUR", "text": ""}),
    (lambda ann: ann.send(kinds.list_answer("Haircut")), {"variant": "list_reply", "summary": "Haircut", "text": ""}),
    (lambda ann: ann.send(kinds.buttons_answer("Yes")), {"variant": "button_reply", "summary": "Yes", "text": ""}),
    (lambda ann: ann.send(kinds.template_answer("Confirm")), {"variant": "button_reply", "summary": "Confirm"}),
    (
        lambda ann: ann.send(kinds.interactive_answer("Sent", parameters='{"day": "Friday"}')),
        {"variant": "form_reply", "summary": "Sent\nday: Friday", "text": ""},
    ),
    (
        lambda ann: ann.send(kinds.group_invite("Neighbours", comment="join us")),
        {"variant": "group_invite", "summary": "Neighbours", "caption": "join us"},
    ),
    (lambda ann: ann.send(kinds.payment(20, note="for bread")), {"variant": "payment", "caption": "for bread"}),
    (lambda ann: ann.send(kinds.view_once()), {"kind": MessageKind.OTHER, "variant": "view_once"}),
]


async def test_each_kind_is_put_in_words_and_only_what_was_typed_is_a_text(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(outcome=lambda _message: Outcome.SKIPPED)
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    ann = phone.contact(CONTACT, "Ann", saved=True)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        sent = [(send(ann), expected) for send, expected in KINDS]
        ann.send(kinds.call())
        ann.send(kinds.notification())
        ann.send(kinds.ad_greeting())
        event = ann.send(kinds.event("Tasting", "Bring friends", "Market"))
        await control.until(lambda: len(control.messages_seen) == len(sent) + 1)
        seen = {message.id: message for message in control.messages_seen.values()}
        for written, expected in sent:
            message = seen[written.id]
            assert {name: getattr(message, name) for name in expected} == expected, expected
            assert (message.saved_contact, message.deleted, message.automatic) == (True, False, False)
            assert message.chat_since_ms == sent[0][0].at // 1000 * 1000
            assert message.chat.endswith("@lid")
            assert message.chat_alias == f"{CONTACT}@c.us"
        media = {written.text or number: seen[written.id].media for number, (written, _) in enumerate(sent)}
        assert media["this one?"] is not None
        assert (media["this one?"].mime, media["this one?"].size_bytes) == ("image/jpeg", 3)
        assert (media["bill.pdf"] or media[0]).file_name == "bill.pdf"  # type: ignore[union-attr]
        assert seen[event.id].summary.startswith("Tasting\nstart: ")
        assert seen[event.id].summary.endswith("place: Market\nBring friends")


def handed_in(control: FakeControl) -> list[Message]:
    """Returns every message that was handed in, in order."""
    return [message for request in control.handed_in for message in request.messages]


async def nothing_more_comes(control: FakeControl, contact: Contact) -> None:
    """Waits for the next look at all chats: what it finds of before is handed in before this message."""
    last = contact.write(LAST)
    await control.until(lambda: any(message.id == last.id for message in handed_in(control)))


async def test_edits_deletions_and_quotes_are_handed_in_at_once(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(outcome=lambda _message: Outcome.SKIPPED)
    control.hold(watched=True)
    ann = simulator.phone(NUMBER).contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        first = ann.write("Table for 2 on Friday")
        await control.until(lambda: len(handed_in(control)) == 1)
        ann.edit(first, "Table for 12 on Saturday")
        await control.until(lambda: len(handed_in(control)) == 2)
        picture = ann.send_media(JPEG, "image/jpeg", caption="this one?")
        await control.until(lambda: len(handed_in(control)) == 3)
        ann.edit(picture, "or that one?")
        await control.until(lambda: len(handed_in(control)) == 4)
        ann.write("yes please", quote=first)
        own = ann.owner_writes("fine", quote=picture)
        await control.until(lambda: len(handed_in(control)) == 6)
        ann.delete(first)
        ann.delete(own)
        await control.until(lambda: len(handed_in(control)) == 8)
        await nothing_more_comes(control, ann)
    wordings = [(message.id, message.text or message.caption, message.deleted) for message in handed_in(control)[:-1]]
    assert wordings[:4] == [
        (first.id, "Table for 2 on Friday", False),
        (first.id, "Table for 12 on Saturday", False),
        (picture.id, "this one?", False),
        (picture.id, "or that one?", False),
    ]
    assert sorted(wordings[6:]) == sorted([(first.id, "", True), (own.id, "", True)])
    assert len(wordings) == 8
    before, edited = handed_in(control)[:2]
    assert before.edited_at_ms is None
    assert edited.edited_at_ms is not None and edited.edited_at_ms >= first.at
    quotes = [message.quote for message in handed_in(control) if message.quote]
    assert [(quote.id, quote.from_me, quote.kind, quote.text) for quote in quotes] == [
        (first.id, False, MessageKind.TEXT, "Table for 12 on Saturday"),
        (picture.id, False, MessageKind.IMAGE, "or that one?"),
    ]


async def test_what_changed_while_the_browser_was_closed_is_handed_in_once(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(outcome=lambda _message: Outcome.SKIPPED)
    control.hold(watched=True)
    ann = simulator.phone(NUMBER).contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        edited, deleted, same = (ann.write(text) for text in ("Friday", "secret", "same"))
        unreadable = ann.write("readable later", unreadable=True)
        await control.until(lambda: len(handed_in(control)) == 4)
    ann.edit(edited, "Saturday")
    ann.delete(deleted)
    ann.decrypt(unreadable)
    for index in range(60):  # what changed is not in the page's memory any more
        ann.owner_writes(f"later {index}")
    # Everything of before is done: only what changed is read.
    control.hold(epoch=3, last_epoch=1, number=NUMBER, caught_up_to_ms=same.at + 3_600_000)
    async with running(browsers, control, tmp_path):
        await control.until(lambda: len(handed_in(control)) >= 4 + 3)
        await asyncio.sleep(6)
    assert sorted((message.id, message.text, message.deleted) for message in handed_in(control)[4:]) == sorted(
        [(edited.id, "Saturday", False), (deleted.id, "", True), (unreadable.id, "readable later", False)]
    )


async def test_a_group_names_who_writes_and_whether_we_are_mentioned(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(outcome=lambda _message: Outcome.SKIPPED)
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    phone.contact(CONTACT, "Ann", saved=True)
    phone.contact("491703333333", "Bob")
    group = phone.contact("120363000000000001", "Club", kind="group", members=[CONTACT, "491703333333"])
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        plain = group.write("hello", author=CONTACT, author_name="Annie")
        other = group.write("hello Ann", author="491703333333", author_name="Bob", mentions=[CONTACT])
        ours = group.write(
            f"{group.mention_of_line} hello", author="491703333333", author_name="Bob", mentions=[NUMBER]
        )
        quoting = group.write("right", author=CONTACT, author_name="Annie", quote=other)
        own = group.owner_writes("I am here")
        await control.until(lambda: len(control.messages_seen) == 5)
    seen = {message.id: message for message in control.messages_seen.values()}
    assert (seen[plain.id].author, seen[plain.id].phone, seen[plain.id].mentions_us) == ("Ann", CONTACT, False)
    assert (seen[other.id].author, seen[other.id].phone, seen[other.id].mentions_us) == ("Bob", "491703333333", False)
    assert (seen[ours.id].mentions_us, seen[own.id].author, seen[own.id].phone) == (True, "", None)
    assert seen[plain.id].sender not in (None, seen[other.id].sender)
    quote = seen[quoting.id].quote
    assert quote is not None
    assert (quote.sender, quote.text) == (seen[other.id].sender, "hello Ann")
    assert all(message.saved_contact is None and message.chat_alias is None for message in seen.values())


async def test_a_chat_from_before_the_linking_is_marked_as_such_and_nothing_of_it_is_read(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(outcome=lambda _message: Outcome.SKIPPED)
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    ann, bob = phone.contact(CONTACT, "Ann"), phone.contact("491703333333", "Bob", saved=True)
    old = ann.write("from last year", at=1_700_000_000_000)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        ann.write("hello again")
        first = bob.write("hello for the first time")
        await control.until(lambda: len(control.messages_seen) == 2)
    seen = {message.text: message for message in control.messages_seen.values()}
    assert seen["hello again"].chat_since_ms == old.at
    assert seen["hello for the first time"].chat_since_ms == first.at // 1000 * 1000
    assert [seen[text].saved_contact for text in ("hello again", "hello for the first time")] == [False, True]


async def test_nothing_is_read_of_chats_that_are_not_of_people_and_the_account_is_set_apart_from_its_app(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(outcome=lambda _message: Outcome.SKIPPED)
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    ann = phone.contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        for other in ("867051314767696@bot", "5511999990000@hosted", "120363999@newsletter"):
            phone.contact(other, "Other").write("canary")
        phone.me().owner_writes("canary")
        phone.broadcast([CONTACT], "News for all")
        ann.owner_writes("typed by hand")
        ann.write("hello")
        await nothing_more_comes(control, ann)
    seen = {message.text: (message.automatic, message.variant) for message in control.messages_seen.values()}
    assert seen.pop(LAST) == (False, "")
    assert seen == {"News for all": (True, "broadcast"), "typed by hand": (False, ""), "hello": (False, "")}


async def test_a_group_is_answered_under_its_own_id_and_names_the_author(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(answer=lambda message: ["to all"])
    control.hold(watched=True)
    group = simulator.phone(NUMBER).contact("120363000000000001", "Club", kind="group")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        written = group.write("hello", author=CONTACT, author_name="Ann")
        replies = await group.wait_for_reply()
        assert replies[0].id == message_id(TENANT, written.id)
        message = next(iter(control.messages_seen.values()))
        assert message.chat.endswith("@g.us")
        assert message.sender is not None
        assert message.chat_alias is None
        assert message.phone in {None, CONTACT}


async def test_a_late_reply_quotes_and_a_quote_that_is_gone_is_left_out(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        contact.write("first")
        await control.until(lambda: len(control.messages_seen) == 1)
        message = next(iter(control.messages_seen.values()))
        control.reply(TENANT, message, ["quoting"], quote=message.id)
        await contact.wait_for_reply(1)
        other = message.model_copy(update={"id": "3EB0FFFF"})
        control.reply(TENANT, other, ["not quoting"], quote="3EB0FFFF")
        await contact.wait_for_reply(2)


async def test_a_message_that_cannot_be_decrypted_yet_is_handed_in_twice(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    simulator.set(ciphertext_ms=1_500, duplicate_delivery=True)
    control = FakeControl()
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        contact.write("readable later")
        await control.until(lambda: len(control.handed_in) >= 2)
        await asyncio.sleep(1)
        handed_in = [(m.kind, m.text) for request in control.handed_in for m in request.messages]
        assert handed_in == [(MessageKind.CIPHERTEXT, ""), (MessageKind.TEXT, "readable later")]


async def test_a_long_tail_that_came_while_the_browser_was_closed_is_complete_and_in_order(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(outcome=lambda _message: Outcome.SKIPPED)
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT)
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        first = contact.write("message 0")
        await control.until(lambda: len(control.messages_seen) == 1)
    for index in range(1, 180):
        contact.write(f"message {index}")
    contact.owner_reads()  # unread counts lie now
    control.hold(epoch=3, last_epoch=1, number=NUMBER, caught_up_to_ms=first.at)
    async with running(browsers, control, tmp_path):
        await control.until(lambda: len(control.messages_seen) == 180)
    texts = [message.text for message in control.messages_seen.values()]
    assert texts == [f"message {index}" for index in range(180)]
