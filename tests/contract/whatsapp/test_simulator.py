"""The simulator does for the unmodified wa-js, in a real Chromium, what the runner needs from web.whatsapp.com."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Error, async_playwright

from tests.contract.whatsapp.switches import FAST
from tests.simulators.whatsapp import Contact, Phone, ScanRefused, SimulatorClient, WhatsAppSimulator
from tests.simulators.whatsapp.browser import URL, Tab, launch_profile, new_context, open_tab

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]

NEW_ID = itertools.count(1)
SEND = "([chat, text, messageId]) => WPP.chat.sendTextMessage(chat, text, { messageId })"
UNREAD = """WPP.chat.list({ onlyWithUnreadMessage: true })
  .then((chats) => chats.map((chat) => [chat.id.toString(), chat.unreadCount]))"""
TAIL = """(chat) => WPP.chat.getMessages(chat, { count: -1 })
  .then((messages) => messages.map(({ body }) => body))"""
DOWNLOAD = """(id) => WPP.chat.downloadMedia(id)
  .then(async (blob) => [blob.type, [...new Uint8Array(await blob.arrayBuffer())]])"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(phone: Phone) -> Contact:
    ann = phone.contact("4917600000001", "Ann")
    ann.write("from before the linking")
    return ann


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(context: BrowserContext, phone: Phone, ann: Contact) -> Tab:
    """A linked line that most tests share."""
    tab = await open_tab(context)
    phone.scan(await tab.code())
    await tab.main()
    return tab


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await new_context(browser)
    yield context
    await context.close()


@pytest.fixture(autouse=True)
def same_switches_afterwards(simulator: WhatsAppSimulator) -> Iterator[None]:
    yield
    simulator.set(**FAST.as_dict())


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def doomed(simulator: WhatsAppSimulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A profile linked before all else, because it must be ten seconds old when its browser is killed."""
    profile = tmp_path_factory.mktemp("profile")
    async with async_playwright() as playwright:
        context = await launch_profile(playwright, simulator.chromium_arguments, profile)
        tab = await open_tab(context)
        simulator.phone("4915100000020").scan(await tab.code())
        await tab.main()
        yield profile
        kill_browsers_of(profile)


def kill_browsers_of(profile: Path) -> None:
    """Kill every process whose command line names the profile, and wait until none is left."""
    while pids := [pid for pid, command in processes() if str(profile) in command]:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def processes() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                yield int(folder.name), (folder / "cmdline").read_text()


def is_receipt(ack: int, message: str, value: dict[str, Any]) -> bool:
    return bool(value["ack"] == ack and value["ids"][0]["id"] == message.split("_")[2])


def message_id(contact: Contact) -> str:
    return f"true_{contact.chat_id}_3EB0{next(NEW_ID):018X}"


# Linking


async def test_the_code_has_a_reference_and_three_keys_and_is_in_the_dom(fresh: BrowserContext) -> None:
    tab = await open_tab(fresh)
    code = await tab.code()
    assert len(code.split(",")) == 4
    assert await tab.evaluate("document.querySelector('canvas').closest('[data-ref]').dataset.ref") == code
    assert await tab.evaluate("document.querySelector('canvas').toDataURL()") != ""


async def test_main_ready_already_fires_on_the_qr_screen(fresh: BrowserContext) -> None:
    tab = await open_tab(fresh)
    await tab.event("conn.main_ready")
    await tab.event("loader.full_ready")
    assert await tab.evaluate("WPP.conn.isMainReady()") is True
    assert await tab.evaluate("WPP.conn.isAuthenticated()") is False
    assert await tab.evaluate("WPP.conn.isRegistered()") is False


async def test_scanning_links_the_page(line: Tab, phone: Phone) -> None:
    await line.event("conn.authenticated")
    assert await line.evaluate("WPP.conn.isAuthenticated()") is True
    assert await line.evaluate("WPP.conn.getMyUserId().toString()") == f"{phone.number}@c.us"
    modes = [value for name, value in line.events if name == "conn.stream_mode_changed"]
    assert modes == ["QR", "SYNCING", "MAIN"]
    codes = [value for name, value in line.events if name == "conn.auth_code_change"]
    assert codes[-1] is None


async def test_an_account_is_linked_by_typing_the_code(fresh: BrowserContext, simulator: WhatsAppSimulator) -> None:
    phone = simulator.phone("4915100000002")
    tab = await open_tab(fresh)
    await tab.code()
    code = await tab.evaluate(f"WPP.conn.genLinkDeviceCodeForPhoneNumber('{phone.number}')")
    assert len(code) == 8
    with pytest.raises(ScanRefused, match="unknown"):
        simulator.phone("4915100000003").enter_code(code)
    phone.enter_code(f"{code[:4]}-{code[4:]}".lower())
    await tab.event("conn.authenticated")


async def test_codes_expire_are_replaced_and_finally_rest_until_refreshed(
    fresh: BrowserContext, simulator: WhatsAppSimulator, phone: Phone
) -> None:
    simulator.set(qr_first_ms=1200, qr_next_ms=250, qr_max=2)
    tab = await open_tab(fresh)
    first = await tab.code()
    second = await tab.event("conn.auth_code_change", lambda code: code and code["fullCode"] != first)
    with pytest.raises(ScanRefused, match="unknown"):
        phone.scan(first)
    await tab.event("conn.qrcode_idle")
    assert await tab.evaluate("WPP.conn.isIdle()") is True
    with pytest.raises(ScanRefused, match="expired"):
        phone.scan(second["fullCode"])
    refreshed = await tab.evaluate("WPP.conn.refreshQR()")
    assert refreshed["ref"] not in (first.split(",")[0], second["ref"])
    assert await tab.evaluate("WPP.conn.isIdle()") is False


async def test_a_code_with_foreign_keys_is_refused(fresh: BrowserContext, phone: Phone) -> None:
    ref, noise, identity, secret = (await (await open_tab(fresh)).code()).split(",")
    with pytest.raises(ScanRefused, match="keys"):
        phone.scan(",".join([ref, identity, noise, secret]))
    with pytest.raises(ScanRefused, match="malformed"):
        phone.scan("hello")


async def test_a_passkey_demand_calls_for_credentials_and_links_nothing_without_them(
    fresh: BrowserContext, simulator: WhatsAppSimulator
) -> None:
    phone = simulator.phone("4915100000004")
    phone.require_passkey()
    await fresh.add_init_script(
        """navigator.credentials.get = (wanted) =>
          new Promise((give, refuse) => Object.assign(window, { wanted, give, refuse }))"""
    )
    tab = await open_tab(fresh)
    with pytest.raises(ScanRefused, match="passkey"):
        phone.scan(await tab.code())
    await tab.until("window.wanted?.publicKey.rpId === 'web.whatsapp.com'")
    assert await tab.evaluate("document.querySelector('#passkey-required') !== null")
    assert await tab.evaluate("WPP.conn.isAuthenticated()") is False
    await tab.evaluate("window.give({})")
    await tab.event("conn.authenticated")


async def test_history_is_there_but_never_new(line: Tab, ann: Contact) -> None:
    bodies = [value["body"] for name, value in line.events if name == "chat.new_message"]
    assert "from before the linking" not in bodies
    found = await line.evaluate(TAIL, ann.chat_id)
    assert found[0] == "from before the linking"


async def test_a_page_that_reloads_after_pairing_is_logged_in_without_saying_so(
    fresh: BrowserContext, simulator: WhatsAppSimulator
) -> None:
    simulator.set(reload_after_pair=True)
    tab = await open_tab(fresh)
    phone = simulator.phone("4915100000005")
    phone.scan(await tab.code())
    await tab.main()
    assert await tab.evaluate("WPP.conn.isAuthenticated()") is True
    assert "conn.authenticated" not in [name for name, _ in tab.events]


# Talking


async def test_a_message_arrives_as_an_event_under_the_lid(line: Tab, ann: Contact) -> None:
    message = ann.write("hello")
    seen = await line.event("chat.new_message", lambda value: value["body"] == "hello")
    assert ann.chat_id.endswith("@lid")
    assert seen["id"] == f"false_{ann.chat_id}_{message.id}"
    assert seen["from"] == ann.chat_id
    known = await line.evaluate("(id) => WPP.chat.getMessageById(id).then((m) => m.body)", seen["id"])
    assert known == "hello"


async def test_a_reply_is_acknowledged_delivered_and_read(line: Tab, ann: Contact) -> None:
    wanted, before = message_id(ann), len(ann.replies())
    sent = await line.evaluate(SEND, [ann.chat_id, "good morning", wanted])
    assert sent["id"] == wanted
    assert sent["sendMsgResult"]["messageSendResult"] == "OK"
    assert (await ann.wait_for_reply(before + 1))[-1].text == "good morning"
    for ack in (1, 2):
        await line.event("chat.msg_ack_change", partial(is_receipt, ack, wanted))
    ann.read()
    await line.event("chat.msg_ack_change", partial(is_receipt, 3, wanted))


async def test_the_same_id_twice_is_one_message(line: Tab, ann: Contact, phone: Phone) -> None:
    wanted, duplicates = message_id(ann), phone.duplicates
    await line.evaluate(SEND, [ann.chat_id, "only once", wanted])
    await line.evaluate(SEND, [ann.chat_id, "only once", wanted])
    assert [message.text for message in ann.messages()].count("only once") == 1
    assert phone.duplicates == duplicates + 1


async def test_a_phone_number_and_its_lid_are_one_chat(line: Tab, ann: Contact) -> None:
    before = len(ann.replies())
    sent = await line.evaluate(SEND, [f"{ann.person.number}@c.us", "by number", None])
    assert sent["to"] == ann.chat_id
    assert (await ann.wait_for_reply(before + 1))[-1].text == "by number"


async def test_unread_chats_are_listed_until_they_are_marked_read(line: Tab, phone: Phone) -> None:
    bob = phone.contact("4917600000002", "Bob")
    bob.write("one")
    bob.write("two")
    await line.event("chat.new_message", lambda value: value["body"] == "two")
    assert [bob.chat_id, 2] in await line.evaluate(UNREAD)
    assert (await line.evaluate("(chat) => WPP.chat.markIsRead(chat)", bob.chat_id))["unreadCount"] == 2
    await bob.wait_until_read()
    assert bob.chat_id not in [chat for chat, _ in await line.evaluate(UNREAD)]


async def test_the_contact_sees_the_line_typing_and_the_line_sees_the_contact(line: Tab, ann: Contact) -> None:
    await line.evaluate("(chat) => WPP.chat.markIsComposing(chat)", ann.chat_id)
    await ann.wait_for_line_state("composing")
    await line.evaluate("(chat) => WPP.chat.markIsPaused(chat)", ann.chat_id)
    await ann.wait_for_line_state("paused")
    ann.typing()
    seen = await line.event("chat.presence_change", lambda value: value["state"] == "composing")
    assert seen["shortName"] == "Ann"


@pytest.mark.parametrize(("kind", "mimetype"), [("image", "image/jpeg"), ("ptt", "audio/ogg; codecs=opus")])
async def test_media_can_be_downloaded(line: Tab, ann: Contact, kind: str, mimetype: str) -> None:
    ann.send_media(kind.encode() * 500, mimetype, kind=kind, caption=f"a caption for {kind}")
    seen = await line.event("chat.new_message", lambda value: value["type"] == kind)
    assert seen["caption"] == f"a caption for {kind}"
    assert seen["body"] != seen["caption"]
    blob = await line.evaluate(DOWNLOAD, seen["id"])
    assert blob == [mimetype, list(kind.encode() * 500)]


async def test_numbers_exist_or_do_not(line: Tab, simulator: WhatsAppSimulator) -> None:
    simulator.phone("4915100000006")
    found = await line.evaluate("WPP.contact.queryExists('4915100000006@c.us')")
    assert found["wid"]["_serialized"] == "4915100000006@c.us"
    assert found["lid"]["server"] == "lid"
    assert await line.evaluate("WPP.contact.queryExists('490@c.us')") is None
    with pytest.raises(Error, match="not on WhatsApp"):
        await line.evaluate(SEND, ["490@c.us", "nobody there", None])


async def test_a_group_message_names_its_author(line: Tab, phone: Phone) -> None:
    group = phone.contact("120363000000000001", "Neighbours", kind="group")
    group.write("hello all", author="4917600000003", author_name="Cleo")
    seen = await line.event("chat.new_message", lambda value: value["body"] == "hello all")
    assert seen["from"] == "120363000000000001@g.us"
    assert seen["id"].endswith(seen["author"])


async def test_a_message_may_be_unreadable_at_first(line: Tab, ann: Contact, simulator: WhatsAppSimulator) -> None:
    simulator.set(ciphertext_ms=50)
    ann.write("decrypted later")
    first = await line.event("chat.new_message", lambda value: value["type"] == "ciphertext")
    assert first["body"] is None
    second = await line.event("chat.new_message", lambda value: value["body"] == "decrypted later")
    assert second["id"] == first["id"]


async def test_what_the_owner_types_on_the_phone_is_seen_as_own(line: Tab, ann: Contact) -> None:
    ann.owner_writes("the owner here")
    seen = await line.event("chat.new_message", lambda value: value["body"] == "the owner here")
    assert seen["id"].startswith("true_")
    await line.until(f"WPP.chat.get('{ann.chat_id}').unreadCount === 0")


async def test_an_event_delivered_twice_is_one_message(line: Tab, ann: Contact, simulator: WhatsAppSimulator) -> None:
    simulator.set(duplicate_delivery=True)
    ann.write("twice on the wire")
    ann.write("the last of two")
    await line.event("chat.new_message", lambda value: value["body"] == "the last of two")
    bodies = [value["body"] for name, value in line.events if name == "chat.new_message"]
    assert bodies.count("twice on the wire") == 1


# Faults


async def test_a_dropped_line_comes_back_with_what_it_missed(line: Tab, ann: Contact, phone: Phone) -> None:
    start = len(line.events)
    phone.drop()
    await line.event("conn.stream_info_changed", lambda info: info == "OFFLINE", after=start)
    ann.write("while you were out")
    await line.event("chat.new_message", lambda value: value["body"] == "while you were out", after=start)
    await line.event("conn.stream_info_changed", lambda info: info == "NORMAL", after=start)


@pytest.mark.parametrize(("after_taking", "duplicates"), [(False, 0), (True, 1)])
async def test_a_send_cut_off_is_repeated_under_the_same_id(
    line: Tab, ann: Contact, phone: Phone, after_taking: bool, duplicates: int
) -> None:
    text, before = f"cut off {after_taking}", phone.duplicates
    phone.drop_next_send(after_taking=after_taking)
    sent = await line.evaluate(SEND, [ann.chat_id, text, message_id(ann)])
    assert sent["ack"] >= 1
    assert [message.text for message in ann.messages()].count(text) == 1
    assert phone.duplicates == before + duplicates


async def test_a_second_tab_conflicts_with_the_first_which_can_take_over(line: Tab, context: BrowserContext) -> None:
    start = len(line.events)
    second = await open_tab(context)
    await second.main()
    await line.event("conn.stream_mode_changed", lambda mode: mode == "CONFLICT", after=start)
    await line.evaluate("WPP.whatsapp.Socket.takeover()")
    await line.event("conn.stream_mode_changed", lambda mode: mode == "MAIN", after=start)
    await second.event("conn.stream_mode_changed", lambda mode: mode == "CONFLICT")
    await second.page.close()


async def test_a_restored_page_is_logged_in_and_messages_from_meanwhile_raise_no_event(
    fresh: BrowserContext, simulator: WhatsAppSimulator
) -> None:
    phone = simulator.phone("4915100000007")
    dora = phone.contact("4917600000004", "Dora")
    tab = await open_tab(fresh)
    phone.scan(await tab.code())
    await tab.main()
    await tab.page.close()
    dora.write("anybody there?")
    restored = await open_tab(fresh)
    await restored.main()
    assert await restored.evaluate("WPP.conn.isAuthenticated()") is True
    names = [name for name, _ in restored.events]
    assert "conn.authenticated" not in names
    assert "chat.new_message" not in names
    tail = await restored.evaluate(TAIL, dora.chat_id)
    assert tail == ["anybody there?"]


async def test_a_message_sent_before_a_crash_is_not_sent_twice_after_it(
    fresh: BrowserContext, simulator: WhatsAppSimulator
) -> None:
    simulator.set(withhold_acks=True)
    phone = simulator.phone("4915100000008")
    emil = phone.contact("4917600000005", "Emil")
    tab = await open_tab(fresh)
    phone.scan(await tab.code())
    await tab.main()
    await tab.evaluate("(chat) => { WPP.chat.sendTextMessage(chat, 'unconfirmed') }", emil.chat_id)
    await emil.wait_for_reply()
    crashed = asyncio.Event()
    tab.page.on("crash", lambda _: crashed.set())
    with pytest.raises(Error):
        await tab.page.goto("chrome://crash")
    async with asyncio.timeout(10):
        await crashed.wait()
    simulator.set(withhold_acks=False)
    again = await open_tab(fresh)
    await again.main()
    assert await simulator.exchange.until(lambda: phone.duplicates == 1, 10)
    assert len(emil.replies()) == 1


async def test_unlinking_on_the_phone_logs_the_page_out_and_shows_a_new_code(
    fresh: BrowserContext, simulator: WhatsAppSimulator
) -> None:
    phone = simulator.phone("4915100000009")
    tab = await open_tab(fresh)
    phone.scan(await tab.code())
    await tab.main()
    start = len(tab.events)
    phone.unlink("account_locked")
    assert await tab.event("conn.logout_reason", after=start) == "account_locked"
    await tab.event("conn.logout", after=start)
    await tab.event("conn.auth_code_change", bool, after=start)
    assert "post_logout=1" in tab.page.url


async def test_logging_out_in_the_page_removes_the_device_from_the_phone(
    fresh: BrowserContext, simulator: WhatsAppSimulator
) -> None:
    phone = simulator.phone("4915100000010")
    tab = await open_tab(fresh)
    phone.scan(await tab.code())
    await tab.main()
    assert await tab.evaluate("WPP.conn.logout().catch(() => true)") is True
    assert not phone.linked


async def test_blocks_updates_and_foreign_windows_are_states_of_the_page(
    fresh: BrowserContext, simulator: WhatsAppSimulator
) -> None:
    phone = simulator.phone("4915100000011")
    tab = await open_tab(fresh)
    phone.scan(await tab.code())
    await tab.main()
    phone.need_update()
    await tab.event("conn.needs_update")
    phone.block("TOS_BLOCK")
    await tab.event("conn.stream_mode_changed", lambda mode: mode == "TOS_BLOCK")
    assert await tab.evaluate("WPP.whatsapp.Socket.state") == "TOS_BLOCK"


async def test_without_a_websocket_there_is_no_code(fresh: BrowserContext, simulator: WhatsAppSimulator) -> None:
    simulator.set(refuse_websocket=True)
    tab = await open_tab(fresh)
    await tab.event("loader.injected")
    assert await tab.evaluate("WPP.whatsapp.Socket.state") == "OPENING"
    simulator.set(refuse_websocket=False)
    await tab.code()


# Hostility


async def test_headless_chrome_is_sent_away(browser: Browser) -> None:
    context = await browser.new_context(bypass_csp=True)
    page = await context.new_page()
    await page.goto(URL)
    assert "WhatsApp works with Google Chrome 100+" in await page.inner_text("body")
    await context.close()


async def test_the_content_security_policy_refuses_foreign_scripts(browser: Browser) -> None:
    context = await browser.new_context(user_agent="Mozilla/5.0 Chrome/140.0.0.0 Safari/537.36")
    page = await context.new_page()
    await page.goto(URL)
    with pytest.raises(Error, match="Content Security Policy"):
        await page.add_script_tag(content="window.injected = true")
    await context.close()


async def test_message_keys_hide_their_text_until_wa_js_repairs_them(line: Tab, fresh: BrowserContext) -> None:
    own = "Object.keys(new (require('WAWebMsgKey'))({ fromMe: true, remote: '1@c.us', id: 'A' }))"
    plain = await fresh.new_page()
    await plain.goto(URL)
    assert "$1" in await plain.evaluate(own)
    assert await line.evaluate("WPP.whatsapp.MsgKey.fromString('true_1@c.us_A').toString()") == "true_1@c.us_A"
    assert "_serialized" in await line.evaluate(own)


async def test_thousands_of_modules_do_not_confuse_wa_js(fresh: BrowserContext, simulator: WhatsAppSimulator) -> None:
    simulator.set(filler=13_000)
    tab = await open_tab(fresh)
    phone = simulator.phone("4915100000012")
    phone.scan(await tab.code())
    await tab.main()


async def test_nothing_else_can_be_reached(line: Tab) -> None:
    assert await line.evaluate("fetch('https://example.com').then(() => 'reached', () => 'refused')") == "refused"


# What survives


async def test_a_login_ten_seconds_old_survives_the_killing_of_its_browser(
    simulator: WhatsAppSimulator, doomed: Path
) -> None:
    phone = simulator.phone("4915100000020")
    fred = phone.contact("4917600000006", "Fred")
    (device,) = phone.account.devices.values()
    await asyncio.sleep(max(0.0, 10 - (time.time() - device.linked_at / 1000)))
    kill_browsers_of(doomed)
    fred.write("after the killing")
    async with async_playwright() as playwright:
        context = await launch_profile(playwright, simulator.chromium_arguments, doomed)
        tab = await open_tab(context)
        await tab.main()
        assert await tab.evaluate("WPP.conn.isAuthenticated()") is True
        tail = await tab.evaluate(TAIL, fred.chat_id)
        assert tail == ["after the killing"]
        await context.close()


async def test_the_other_side_survives_its_own_death(tmp_path: Path) -> None:
    state_file = tmp_path / "state.json"
    async with WhatsAppSimulator(state_file=state_file) as simulator:
        gina = simulator.phone("4915100000021", "Garage").contact("4917600000007", "Gina")
        gina.send_media(b"a picture", "image/png", caption="look")
        rules, spki = simulator.host_rules.split(",")[1:], simulator.certificate_spki
        simulator.exchange.save()
        document = state_file.read_text()
    state_file.write_text(document)
    async with WhatsAppSimulator(state_file=state_file) as again:
        assert (again.host_rules.split(",")[1:], again.certificate_spki) == (rules, spki)
        (contact,) = again.phone("4915100000021").contacts()
        assert contact.messages() == gina.messages()
        assert list(again.exchange.world.media.values()) == [b"a picture"]


async def test_another_process_plays_the_phones_over_http(fresh: BrowserContext, simulator: WhatsAppSimulator) -> None:
    tab = await open_tab(fresh)
    code = await tab.code()

    def play() -> str:
        with SimulatorClient(simulator.control_url) as client:
            phone = client.phone("4915100000022", "Bookshop")
            phone.scan(code)
            phone.wait_until("online")
            contact = phone.contact("4917600000008", "Hugo")
            contact.write("from another process")
            return str(contact.wait_for_reply()[0]["text"])

    playing = asyncio.create_task(asyncio.to_thread(play))
    message = await tab.event("chat.new_message", lambda value: value["body"] == "from another process")
    await tab.evaluate(SEND, [message["from"], "an answer", None])
    assert await playing == "an answer"


async def test_another_process_lets_whatsapp_refuse_and_restrict(simulator: WhatsAppSimulator) -> None:
    phone = simulator.phone("4915100000023", "Restricted")
    phone.contact("4917600000009", "Ida")

    def play() -> None:
        with SimulatorClient(simulator.control_url) as client:
            client.phone(phone.number).refuse_sends(2)
            client.phone(phone.number).restrict(7_000, answered=["4917600000009"])

    await asyncio.to_thread(play)
    assert simulator.exchange.refusals[phone.number] == (2, 463)
    assert simulator.exchange.restrictions[phone.number] == (7_000, "WEB_COMPANION_ONLY", ("4917600000009",))


async def test_a_person_plays_a_contact_on_the_phone_page(
    line: Tab, fresh: BrowserContext, simulator: WhatsAppSimulator, phone: Phone, ann: Contact
) -> None:
    page = await fresh.new_page()
    await page.goto(simulator.control_url)
    await page.get_by_label("Phones").get_by_role("button", name="Bakery").click()
    await page.get_by_label("Contacts").get_by_role("button", name="Ann").click()
    await page.get_by_label("Link a device").fill("ABCD-EFGH")
    await page.get_by_role("button", name="Link", exact=True).click()
    await page.get_by_text("No page shows this code").wait_for()
    await page.get_by_label("Message").fill("typed by a person")
    await page.get_by_role("button", name="Send as Ann").click()
    await line.event("chat.new_message", lambda value: value["body"] == "typed by a person")
    await line.evaluate(SEND, [ann.chat_id, "answered by the line", None])
    await page.get_by_text("answered by the line").first.wait_for()


# Dialogs, deafness, and modules that cannot be found


async def test_a_whats_new_dialog_unlinks_the_device_unless_it_is_confirmed(
    simulator: WhatsAppSimulator, browser: Browser
) -> None:
    simulator.set(whats_new_ms=1_500)
    confirmed, ignored = simulator.phone("4915100000041"), simulator.phone("4915100000042")
    for phone in (confirmed, ignored):
        context = await new_context(browser)
        tab = await open_tab(context)
        phone.scan(await tab.code())
        await tab.main()
        await tab.evaluate("new Promise((done) => setTimeout(done, 200))")
        if phone is confirmed:
            await tab.evaluate("document.querySelector('#whats-new [role=button]').click()")
        else:
            await tab.evaluate("document.querySelector('#whats-new button').click()")  # the cross only hides it
    assert await simulator.exchange.until(lambda: not ignored.linked, timeout=5)
    assert confirmed.linked


async def test_a_deaf_page_is_told_nothing_until_it_connects_again_and_gets_answers_all_the_same(
    simulator: WhatsAppSimulator, fresh: BrowserContext
) -> None:
    phone = simulator.phone("4915100000043")
    contact = phone.contact("4917600000043")
    tab = await open_tab(fresh)
    phone.scan(await tab.code())
    await tab.main()
    phone.deafen()
    contact.write("hello")
    assert await tab.evaluate("WPP.whatsapp.functions.queryWidExists(WPP.conn.getMyUserId()).then((a) => !!a.wid)")
    tail = f"WPP.chat.find('{contact.chat_id}').then((chat) => chat.msgs.getModelsArray().map((one) => one.body))"
    assert "hello" not in await tab.evaluate(tail)
    phone.drop()
    assert await simulator.exchange.until(lambda: not phone.account.devices or _is_empty(phone), timeout=5)
    assert "hello" in await tab.evaluate(tail)


def _is_empty(phone: Phone) -> bool:
    return all(not device.inbox for device in phone.account.devices.values())


async def test_a_hidden_module_works_for_the_page_and_not_for_its_clients(
    simulator: WhatsAppSimulator, fresh: BrowserContext
) -> None:
    simulator.set(hidden_modules="WAWebChatCollection,WAWebBackendEventBus")
    tab = await open_tab(fresh)
    assert await tab.code()
    assert await tab.evaluate("[typeof WPP.whatsapp.ChatStore, typeof WPP.whatsapp.MsgStore]") == [
        "undefined",
        "object",
    ]
