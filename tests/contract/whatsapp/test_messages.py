"""What people do with messages reaches the unmodified wa-js, in a real Chromium, as WhatsApp Web shows it."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Error, FilePayload

from tests.simulators.whatsapp import Contact, Phone, SimulatorClient, WhatsAppSimulator
from tests.simulators.whatsapp.browser import Tab, new_context, open_tab
from tests.simulators.whatsapp.content import CONTENTS, THUMBNAIL, call, live_location, location, view_once

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]

NUMBER = itertools.count(4917600000100)
#: A message as a client reads it: every attribute, ids as text.
READ = """(id) => WPP.chat.getMessageById(id).then(({ attributes }) => {
  const text = (value) => (value && value.toString !== Object.prototype.toString && !Array.isArray(value)
    && typeof value === 'object' ? value.toString() : Array.isArray(value) ? value.map(text) : value);
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, text(value)]));
})"""
STORED = (
    "(chat) => WPP.chat.getMessages(chat, { count: -1 }).then((all) => all.map(({ type, body, t }) => [type, body]))"
)
CONTACT = """(id) => { const { name, pushname, notifyName, username, isAddressBookContact, isMyContact } =
  WPP.whatsapp.ContactStore.get(id); return [name ?? null, pushname ?? null, notifyName, username ?? null,
  isAddressBookContact ?? null, isMyContact] }"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def old(phone: Phone) -> Contact:
    """Somebody who has written before the linking."""
    old = phone.contact("4917600000001", "Olga Old", saved=True)
    old.write("from before the linking", at=1_700_000_000_000)
    return old


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(context: BrowserContext, phone: Phone, old: Contact) -> Tab:
    tab = await open_tab(context)
    phone.scan(await tab.code())
    await tab.main()
    return tab


@pytest.fixture
def contact(phone: Phone) -> Contact:
    return phone.contact(str(next(NUMBER)), "Ann Archer")


@pytest.fixture
def group(phone: Phone) -> Contact:
    return phone.contact("120363000000000001", "Neighbours", kind="group", members=["4917600000003", "4917600000004"])


async def arrived(line: Tab, contact: Contact, identifier: str, *, mine: bool = False) -> dict[str, Any]:
    """Wait for a message; return all that a client can read of it."""

    def is_it(value: dict[str, Any]) -> bool:
        return str(value["id"]).split("_")[2] == identifier

    seen = await line.event("chat.new_message", is_it)
    read: dict[str, Any] = await line.evaluate(READ, seen["id"])
    assert seen["id"].startswith(f"{str(mine).lower()}_{contact.chat_id}_")
    return read


def says(text: str, value: dict[str, Any]) -> bool:
    return bool(value["body"] == text)


# Edits and deletions


async def test_an_edit_changes_the_message_in_place(line: Tab, contact: Contact) -> None:
    message = contact.write("a table for 2")
    before = await arrived(line, contact, message.id)
    assert (before["latestEditMsgKey"], before["latestEditSenderTimestampMs"]) == (None, None)
    contact.edit(message, "a table for 12")
    edited = await line.event("chat.msg_edited", lambda value: value["id"] == before["id"])
    assert edited["body"] == "a table for 12"
    after = await line.evaluate(READ, before["id"])
    assert after["latestEditMsgKey"] == edited["edit"] != after["id"] == before["id"]
    assert after["latestEditSenderTimestampMs"] == message.edited_at
    assert after["t"] == before["t"]


async def test_a_caption_can_be_edited_and_the_picture_stays(line: Tab, contact: Contact) -> None:
    message = contact.send_media(b"picture", "image/jpeg", caption="this part?")
    before = await arrived(line, contact, message.id)
    contact.edit(message, "that part?")
    edited = await line.event("chat.msg_edited", lambda value: value["id"] == before["id"])
    after = await line.evaluate(READ, before["id"])
    assert (edited["caption"], after["caption"], after["body"]) == ("that part?", "that part?", THUMBNAIL)
    assert after["filehash"] == before["filehash"]


async def test_a_deletion_empties_the_message_and_keeps_its_key(line: Tab, contact: Contact) -> None:
    first = contact.write("what I quote")
    message = contact.send_media(b"secret", "image/jpeg", caption="my card", quote=first)
    before = await arrived(line, contact, message.id)
    contact.delete(message)
    revoked = await line.event("chat.msg_revoke", lambda value: value["id"] == before["id"])
    assert revoked["type"] == "sender_revoke"
    after = await line.evaluate(READ, before["id"])
    assert (after["type"], after["subtype"]) == ("revoked", "sender")
    assert [after.get(name) for name in ("body", "caption", "filehash", "mimetype")] == [None] * 4


async def test_an_administrator_deletes_what_somebody_wrote_in_a_group(line: Tab, group: Contact) -> None:
    message = group.write("spam", author="4917600000003", author_name="Cleo")
    before = await arrived(line, group, message.id)
    group.delete(message, by_admin=True)
    await line.event("chat.msg_revoke", lambda value: value["id"] == before["id"] and value["type"] == "admin_revoke")
    assert (await line.evaluate(READ, before["id"]))["subtype"] == "admin"


async def test_edits_deletions_and_late_decryptions_are_found_after_a_restart_without_an_event(
    browser: Browser, simulator: WhatsAppSimulator
) -> None:
    phone = simulator.phone("4915100000002")
    contact = phone.contact("4917600000002", "Emma")
    context = await new_context(browser)
    tab = await open_tab(context)
    phone.scan(await tab.code())
    await tab.main()
    edited, captioned = contact.write("old words"), contact.send_media(b"1", "image/png", caption="old caption")
    deleted, late, never = (contact.write(text, unreadable=text != "gone") for text in ("gone", "late", "never"))
    await tab.until(f"WPP.chat.get('{contact.chat_id}')?.msgs.length === 5")
    await tab.page.close()
    contact.edit(edited, "new words")
    contact.edit(captioned, "new caption")
    contact.delete(deleted)
    contact.decrypt(late)
    for _ in range(2):  # as the page comes back, and once all has been written down
        tab = await open_tab(context)
        await tab.main()
        assert await simulator.exchange.until(lambda: not any(d.inbox for d in phone.account.devices.values()), 5)
        stored = await tab.evaluate(STORED, contact.chat_id)
        assert [body for kind, body in stored if kind == "chat"] == ["new words", "late"]
        assert [kind for kind, _ in stored] == ["chat", "image", "revoked", "chat", "ciphertext"]
        read = await tab.evaluate(READ, f"false_{contact.chat_id}_{captioned.id}")
        assert (read["caption"], read["latestEditSenderTimestampMs"]) == ("new caption", captioned.edited_at)
        assert not {"chat.msg_edited", "chat.msg_revoke", "chat.new_message"} & {name for name, _ in tab.events}
        await tab.page.close()
    await context.close()
    assert never.unreadable


async def test_a_message_decrypts_late_under_its_key_and_is_told_of_twice(line: Tab, contact: Contact) -> None:
    message = contact.write("at last", unreadable=True)
    first = await arrived(line, contact, message.id)
    assert (first["type"], first.get("body")) == ("ciphertext", None)
    contact.decrypt(message)
    second = await line.event("chat.new_message", lambda value: value["body"] == "at last")
    assert second["id"] == first["id"]
    photo = contact.send_media(b"late", "image/jpeg", caption="late picture", unreadable=True)
    await arrived(line, contact, photo.id)
    contact.decrypt(photo)
    await line.event("chat.new_message", lambda value: value["caption"] == "late picture")
    assert await line.evaluate(
        f"WPP.chat.downloadMedia('false_{contact.chat_id}_{photo.id}').then(({{ size }}) => size)"
    )


# Quotes


async def test_a_quote_carries_a_copy_the_id_and_the_author(line: Tab, contact: Contact, phone: Phone) -> None:
    theirs = contact.send_media(b"1", "image/jpeg", caption="the blue one")
    ours = contact.owner_writes("We have two.")
    asked = await arrived(line, contact, contact.write("this one", quote=theirs).id)
    assert asked["quotedMsg"] | {"caption": "the blue one", "type": "image"} == asked["quotedMsg"]
    assert (asked["quotedStanzaID"], asked["quotedParticipant"]) == (theirs.id, contact.chat_id)
    asked = await arrived(line, contact, contact.write("sure?", quote=ours).id)
    assert asked["quotedMsg"]["body"] == "We have two."
    assert (asked["quotedStanzaID"], asked["quotedParticipant"]) == (ours.id, phone.account.lid)
    # wa-js takes a quote of ours for somebody else's where the chat goes by LID: it knows us by number only.
    found = "(id) => WPP.chat.getMessageById(id).then(({ quotedMsgId }) => quotedMsgId.toString())"
    assert await line.evaluate(found, asked["id"]) == f"true_{contact.chat_id}_{ours.id}"
    with pytest.raises(Error, match="not found"):
        await line.evaluate("(id) => WPP.chat.getQuotedMsg(id)", asked["id"])


async def test_a_quote_in_a_group_names_the_member(line: Tab, group: Contact, phone: Phone) -> None:
    first = group.write("who is in?", author="4917600000003", author_name="Cleo")
    seen = await arrived(line, group, group.write("me", author="4917600000004", author_name="Dan", quote=first).id)
    assert seen["quotedParticipant"] == phone.account.wid_of("4917600000003")
    assert seen["author"] == phone.account.wid_of("4917600000004")
    assert (seen["notifyName"], seen["quotedMsg"]["body"]) == ("Dan", "who is in?")


# Files


@pytest.mark.parametrize(
    ("kind", "mimetype", "more", "expected"),
    [
        ("video", "video/mp4", {"caption": "look", "seconds": 7}, {"type": "video", "caption": "look", "duration": 7}),
        ("gif", "video/mp4", {}, {"type": "video", "isGif": True, "caption": None}),
        ("ptv", "video/mp4", {"seconds": 9}, {"type": "ptv", "duration": 9}),
        ("ptt", "audio/ogg; codecs=opus", {"seconds": 3}, {"type": "ptt", "duration": 3, "body": None}),
        ("audio", "audio/mpeg", {"filename": "song.mp3"}, {"type": "audio", "filename": "song.mp3"}),
        ("sticker", "image/webp", {}, {"type": "sticker", "caption": None}),
        ("image", "image/jpeg", {"details": {"isViewOnce": True}}, {"isViewOnce": True, "isCaptionByUser": False}),
        (
            "document",
            "application/pdf",
            {"filename": "Rechnung.pdf"},
            {"caption": "Rechnung.pdf", "filename": "Rechnung.pdf", "isCaptionByUser": False},
        ),
        (
            "document",
            "application/pdf",
            {"filename": "Rechnung.pdf", "caption": "is it right?"},
            {"caption": "is it right?", "filename": "Rechnung.pdf", "isCaptionByUser": True},
        ),
    ],
)
async def test_a_file_has_its_facts(
    line: Tab, contact: Contact, kind: str, mimetype: str, more: dict[str, Any], expected: dict[str, Any]
) -> None:
    seen = await arrived(line, contact, contact.send_media(b"12345", mimetype, kind=kind, **more).id)
    assert (seen["mimetype"], seen["size"]) == (mimetype, 5)
    assert {name: seen.get(name) for name in expected} == expected


# Everything else


@pytest.mark.parametrize("name", CONTENTS)
async def test_every_kind_arrives_with_its_attributes(line: Tab, contact: Contact, name: str) -> None:
    content = CONTENTS[name]()
    seen = await arrived(line, contact, contact.send(content).id)
    assert (seen["type"], seen.get("body") or "") == (content.type, content.text)
    assert {attribute: seen[attribute] for attribute in content.details} == content.details


async def test_places_and_calls_behave_as_wa_js_expects(line: Tab, contact: Contact) -> None:
    place = await arrived(line, contact, contact.send(location(1.5, 2.5, "Bakery", "Market 1")).id)
    assert (place["loc"], place["lat"], place["body"]) == ("Bakery\nMarket 1", 1.5, THUMBNAIL)
    moving = contact.send(live_location(3.5, 4.5))
    await line.event("chat.live_location_start", lambda value: value["id"].endswith(moving.id) and value["lat"] == 3.5)
    contact.send(call())
    last = contact.write("you did not answer")
    await arrived(line, contact, last.id)
    assert "call_log" not in [kind for kind, _ in await line.evaluate(STORED, contact.chat_id)]
    hidden = await arrived(line, contact, contact.send(view_once()).id)
    assert (hidden["type"], hidden["subtype"]) == ("ciphertext", "view_once_unavailable_fanout")


async def test_half_surrogates_and_very_long_texts_arrive_as_they_are(
    line: Tab, contact: Contact, simulator: WhatsAppSimulator
) -> None:
    texts = ["half \ud83d", "long " * 20_000]

    def play() -> list[str]:
        with SimulatorClient(simulator.control_url) as client:
            sender = client.phone("4915100000001").contact(contact.person.number)
            return [str(sender.write(text)["id"]) for text in texts]

    for identifier, text in zip(await asyncio.to_thread(play), texts, strict=True):
        await arrived(line, contact, identifier)
        body = "(id) => WPP.chat.getMessageById(id).then(({ body }) => [body.length, body.isWellFormed()])"
        key = f"false_{contact.chat_id}_{identifier}"
        assert await line.evaluate(body, key) == [len(text), not text.startswith("half")]


# Who writes, to whom


async def test_a_group_has_members_and_a_mention_names_the_line(line: Tab, group: Contact, phone: Phone) -> None:
    account = phone.account
    text = f"{group.mention_of_line} are you open?"
    seen = await arrived(line, group, group.write(text, author="4917600000003", mentions=[account.number]).id)
    assert seen["mentionedJidList"] == [account.lid]
    assert seen["body"].startswith(f"@{account.lid.split('@')[0]} ")
    by_phone = group.write("@all", author="4917600000003", mentions=[account.wid], details={"nonJidMentions": 1})
    seen = await arrived(line, group, by_phone.id)
    assert (seen["mentionedJidList"], seen["nonJidMentions"]) == ([account.wid], 1)
    members = await line.evaluate(
        "(id) => WPP.group.getParticipants(id).then((all) => all.map(({ id }) => id.toString()))", group.chat_id
    )
    assert members == [account.lid, account.wid_of("4917600000003"), account.wid_of("4917600000004")]


async def test_a_group_can_be_mentioned_and_an_author_can_have_a_device(line: Tab, group: Contact) -> None:
    mention = {"groupMentions": [{"groupJid": "120363000000000002@g.us", "groupSubject": "Garden"}]}
    sent = group.write("@Garden", author="49176:5@c.us", author_name="Odd", details=mention)
    seen = await arrived(line, group, sent.id)
    assert seen["author"] == "49176:5@c.us"
    (mentioned,) = seen["groupMentions"]
    assert (mentioned["groupJid"]["_serialized"], mentioned["groupSubject"]) == ("120363000000000002@g.us", "Garden")


async def test_a_reply_in_a_group_is_acknowledged_and_delivered(line: Tab, group: Contact, phone: Phone) -> None:
    key = f"true_{group.chat_id}_3EB000000000000000AA_{phone.account.lid}"
    await line.evaluate(
        "([chat, messageId]) => WPP.chat.sendTextMessage(chat, 'yes', { messageId })", [group.chat_id, key]
    )
    await line.until(f"WPP.whatsapp.MsgStore.get('{key}').ack === 2")


async def test_the_owner_and_the_phone_write_alike_and_a_broadcast_says_so(
    line: Tab, contact: Contact, phone: Phone
) -> None:
    phone.answer_automatically(greeting="Thanks for contacting us!", away="We are closed.", after_ms=10)
    contact.write("hello?")
    for text in ("Thanks for contacting us!", "We are closed."):
        seen = await line.event("chat.new_message", partial(says, text))
        read = await line.evaluate(READ, seen["id"])
        assert (read["self"], read["broadcast"], read["id"][:5]) == ("out", False, "true_")
        contact.write("and now?")
    phone.answer_automatically()
    typed = await arrived(line, contact, contact.owner_writes("I am here.").id, mine=True)
    assert sorted(typed) == sorted(read)
    (sent,) = phone.broadcast([contact.person.number], "News for all of you")
    assert (await arrived(line, contact, sent.id, mine=True))["broadcast"] is True


async def test_saved_and_unsaved_contacts_are_told_apart(
    line: Tab, phone: Phone, old: Contact, contact: Contact
) -> None:
    contact.write("hi")
    await line.until(f"WPP.whatsapp.ContactStore.get('{contact.person.wid}')")
    assert await line.evaluate(CONTACT, contact.person.wid) == [None, "Ann Archer", "Ann Archer", None, 0, False]
    saved = ["Olga Old", "Olga Old", "Olga Old", None, 1, True]
    assert await line.evaluate(CONTACT, old.person.wid) == saved
    assert await line.evaluate(CONTACT, old.chat_id) == [None, "Olga Old", "Olga Old", None, None, False]
    contact.save(name="Ann from work")
    await line.until(f"WPP.whatsapp.ContactStore.get('{contact.person.wid}').isAddressBookContact === 1")
    stranger = phone.contact("271828182845904@lid", username="ann.archer")
    await arrived(line, stranger, stranger.write("no number").id)
    assert await line.evaluate(CONTACT, stranger.chat_id) == [None, "ann.archer", "ann.archer", "ann.archer", 0, False]
    other = f"WPP.whatsapp.lidPnCache.getPhoneNumber(WPP.whatsapp.WidFactory.createWid('{stranger.chat_id}')) ?? null"
    assert await line.evaluate(other) is None


async def test_chats_from_before_the_linking_came_with_the_history(line: Tab, old: Contact, contact: Contact) -> None:
    contact.write("new here")
    await line.until(f"WPP.chat.get('{contact.chat_id}')")
    kinds = "(chat) => [WPP.chat.get(chat).endOfHistoryTransferType ?? null, WPP.chat.get(chat).t]"
    assert await line.evaluate(kinds, old.chat_id) == [1, 1_700_000_000]
    assert (await line.evaluate(kinds, contact.chat_id))[0] is None
    history = "(chat) => WPP.chat.get(chat).msgs.getModelsArray().map(({ isMdHistoryMsg }) => isMdHistoryMsg)"
    assert await line.evaluate(history, old.chat_id) == [True]
    assert await line.evaluate(history, contact.chat_id) == [False]


async def test_history_may_come_late_and_names_stand_on_lids_too(
    browser: Browser, simulator: WhatsAppSimulator
) -> None:
    simulator.set(history_ms=400, saved_names_on_lids=True)
    phone = simulator.phone("4915100000003")
    contact = phone.contact("4917600000009", "Hanna", saved=True)
    contact.write("long ago", at=1_700_000_000_000)
    context = await new_context(browser)
    tab = await open_tab(context)
    phone.scan(await tab.code())
    await tab.main()
    contact.write("just now")
    await tab.event("chat.new_message", lambda value: value["body"] == "just now")
    chat = f"WPP.chat.get('{contact.chat_id}')"
    await tab.until(f"{chat}.endOfHistoryTransferType === 1")
    assert [body for _, body in await tab.evaluate(STORED, contact.chat_id)] == ["long ago", "just now"]
    assert await tab.evaluate(CONTACT, contact.chat_id) == ["Hanna", "Hanna", "Hanna", None, 1, True]
    await context.close()


@pytest.mark.parametrize(
    "identity",
    ["867051314767696@bot", "4917600000077@hosted", "99887766@hosted.lid", "4917@c.us", "49170:5@c.us", "0@c.us",
     "120363000000000003@newsletter", "1700000000@broadcast"],
)  # fmt: skip
async def test_odd_chats_have_their_ids(line: Tab, phone: Phone, identity: str) -> None:
    chat = phone.contact(identity, "Odd")
    seen = await arrived(line, chat, chat.write("hello").id)
    assert (seen["from"], seen.get("author")) == (identity, None)


async def test_status_posts_and_notes_to_oneself(line: Tab, phone: Phone) -> None:
    status = phone.contact("status", kind="status")
    seen = await arrived(line, status, status.write("holidays!", author="4917600000003").id)
    assert seen["id"].startswith("false_status@broadcast_")
    own = phone.me()
    seen = await arrived(line, own, own.owner_writes("buy flour").id, mine=True)
    assert seen["from"] == seen["to"] == phone.account.lid


# From elsewhere


async def test_another_process_does_all_of_this_over_http(tmp_path: Path) -> None:
    async with WhatsAppSimulator(state_file=tmp_path / "state.json") as simulator:

        def play() -> list[dict[str, Any]]:
            with SimulatorClient(simulator.control_url) as client:
                phone = client.phone("4915100000030", "Bookshop")
                contact = phone.contact("4917600000030", "Hugo", saved=True)
                phone.answer_automatically(greeting="Welcome!", after_ms=0)
                first = contact.write("first")["id"]
                phone.answer_automatically()
                contact.edit(first, "first, better")
                contact.delete(contact.send("poll", {"name": "When?"})["id"])
                contact.decrypt(contact.write("sealed", unreadable=True)["id"])
                contact.send_media(b"file", "text/plain", kind="document", filename="a.txt", quote=first)
                contact.owner_writes("typed", quote=first)
                contact.phone_answers("closed")
                phone.broadcast(["4917600000030"], "news")
                contact.save(False)
                group = phone.contact("120363000000000009", "Readers", kind="group", members=["4917600000030"])
                group.write(f"{group.mention_of_line} hi", author="4917600000030", mentions=["4915100000030"])
                return contact.messages()

        sent = await asyncio.to_thread(play)
    assert [(m["type"], m["text"], m["origin"]) for m in sent] == [
        ("chat", "first, better", "contact"),
        ("chat", "Welcome!", "phone"),
        ("revoked", "", "contact"),
        ("chat", "sealed", "contact"),
        ("document", "a.txt", "contact"),
        ("chat", "typed", "phone"),
        ("chat", "closed", "phone"),
        ("chat", "news", "phone"),
    ]
    async with WhatsAppSimulator(state_file=tmp_path / "state.json") as again:
        hugo, readers = again.phone("4915100000030").contacts()
        assert [asdict(message) | {"from_me": message.from_me} for message in hugo.messages()] == sent
        assert (hugo.person.saved, readers.person.members) == (False, ["4917600000030"])


# The phone page


async def test_a_person_does_all_of_this_on_the_phone_page(
    line: Tab, browser: Browser, simulator: WhatsAppSimulator, phone: Phone, group: Contact
) -> None:
    ann = phone.contact("4917600000900", "Page Ann")
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(5_000)
    await page.goto(simulator.control_url)
    contacts, text = page.get_by_label("Contacts"), page.get_by_label("Message")
    bubbles = page.get_by_role("listitem")

    async def write(words: str, button: str = "Send as Page Ann") -> None:
        await text.fill(words)
        await page.get_by_role("button", name=button, exact=True).click()

    await page.get_by_label("Phones").get_by_role("button", name="Bakery").click()
    await contacts.get_by_role("button", name="Page Ann").click()
    await page.get_by_role("button", name="Save in the phone").click()
    await page.get_by_role("button", name="Remove from the phone").wait_for()
    await write("a table for 2")
    first = bubbles.filter(has_text="a table for 2")
    await first.get_by_role("button", name="Edit").click()
    await write("a table for 12")
    await page.get_by_text("edited").wait_for()
    await bubbles.filter(has_text="table for 12").get_by_role("button", name="Answer").click()
    await write("or 13?")
    await page.get_by_text("More than words").click()
    for name, mimetype, words in (("part.png", "image/png", "this part?"), ("Rechnung.pdf", "application/pdf", "")):
        file = FilePayload(name=name, mimeType=mimetype, buffer=b"file")
        await page.get_by_label("Attach a file").set_input_files(file)
        await write(words)
        await bubbles.filter(has_text=words or name).wait_for()
    await page.get_by_label("Or send").select_option("poll")
    await write("")
    await write("Thanks for contacting us!", "The phone answers by itself")
    await page.get_by_label("Cannot be decrypted yet").check()
    await write("sealed")
    await bubbles.filter(has_text="sealed").get_by_role("button", name="Decrypt").click()
    await write("oops")
    await bubbles.filter(has_text="oops").get_by_role("button", name="Delete for everyone").click()
    await bubbles.filter(has_text="[revoked]").wait_for()
    await contacts.get_by_role("button", name="Neighbours").click()
    await page.get_by_label("Mentions the line").check()
    await page.get_by_label("Written by (number)").fill("4917600000003")
    await write("are you open?", "Send as Neighbours")
    seen = await line.event("chat.new_message", lambda value: "are you open?" in str(value["body"]) and value["author"])
    await context.close()

    said = [(m.type, m.text, m.origin) for m in ann.messages()]
    assert said == [
        ("chat", "a table for 12", "contact"),
        ("chat", "or 13?", "contact"),
        ("image", "this part?", "contact"),
        ("document", "Rechnung.pdf", "contact"),
        ("poll_creation", "", "contact"),
        ("chat", "Thanks for contacting us!", "phone"),
        ("chat", "sealed", "contact"),
        ("revoked", "", "contact"),
    ]
    assert ann.messages()[1].quoted == ann.messages()[0].id
    assert ann.messages()[3].details["isCaptionByUser"] is False
    assert (ann.person.saved, ann.messages()[6].unreadable) == (True, False)
    assert (await line.evaluate(READ, seen["id"]))["mentionedJidList"] == [phone.account.lid]
