"""A browser reaches nothing but WhatsApp, leaves no process behind, and reads on where one chat cannot be read."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Error

from runner.browser import chromium
from runner.browser.chromium import CrashCause, Process, processes_of
from runner.browser.page import Hint
from runner.browser.whatsapp import WhatsApp, whatsapp
from runner.clock import SystemClock
from tests.contract.runner_scene import CONTACT, NUMBER, is_online, link, running, settings_for
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.support.runner_fakes import TENANT, FakeControl
from wire import Phase

pytestmark = pytest.mark.chromium
WEBRTC_FLAG = "--force-webrtc-ip-handling-policy"
ASK_STUN = """async (urls) => {
  const connection = new RTCPeerConnection({ iceServers: [{ urls }] });
  connection.createDataChannel("any");
  await connection.setLocalDescription(await connection.createOffer());
  await new Promise((resolve) => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
    setTimeout(resolve, 5000);
  });
  connection.close();
}"""

#: Lets every query of the local database fail for one chat, until the page is healed.
DAMAGE = """(async (damaged) => {
  let healed = false;
  window.heal = () => { healed = true; };
  window.WPP?.on("loader.injected", () => {
    const archive = self.require("MessageArchive");
    const of = archive.of;
    archive.of = (chat) => {
      if (!healed && String(chat) === damaged) throw new TypeError("a damaged row");
      return of(chat);
    };
  });
})"""


class StunServer(asyncio.DatagramProtocol):
    """A server on loopback that only counts what reaches it."""

    def __init__(self) -> None:
        self.received = 0

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received += 1


@pytest.mark.parametrize("walled", [True, False], ids=["as shipped", "without the flag"])
async def test_webrtc_sends_no_datagram_past_the_host_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walled: bool
) -> None:
    if not walled:
        arguments = chromium.arguments
        monkeypatch.setattr(
            chromium,
            "arguments",
            lambda *given: [flag for flag in arguments(*given) if not flag.startswith(WEBRTC_FLAG)],
        )
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(StunServer, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        async with (
            whatsapp(settings_for(tmp_path), SystemClock()) as browsers,
            browsers.open(tmp_path / "profile", lambda _hint, _detail: None) as page,
        ):
            await page._page.evaluate(ASK_STUN, [f"stun:127.0.0.1:{port}"])
    finally:
        transport.close()
    assert (server.received == 0) is walled


async def test_a_browser_whose_session_is_cancelled_just_after_the_launch_is_gone(
    browsers: WhatsApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, loop = tmp_path / "profile", asyncio.get_running_loop()
    launched = threading.Event()
    looks = 0

    def look(where: Path) -> list[Process]:
        nonlocal looks
        looks += 1
        if looks == 2:  # the first look is before the launch
            assert processes_of(where)
            launched.set()
            loop.call_soon_threadsafe(task.cancel)
            threading.Event().wait(0.3)
        return processes_of(where)

    async def hold_open() -> None:
        async with browsers.open(profile, lambda _hint, _detail: None):
            await asyncio.Event().wait()

    monkeypatch.setattr(chromium, "processes_of", look)
    task = asyncio.create_task(hold_open())
    await asyncio.gather(task, return_exceptions=True)
    assert launched.is_set()
    assert not processes_of(profile)


async def test_one_chat_that_cannot_be_read_silences_no_other_and_is_answered_once_it_can_be(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(answer=lambda message: [f"re {message.text}"])
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    ann, bob = phone.contact(CONTACT, "Ann"), phone.contact("491703333333", "Bob")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
    for text in ("out of the database", "in memory"):
        written = bob.write(text)
    ann.write("hello")
    control.hold(epoch=3, last_epoch=1, caught_up_to_ms=written.at, number=NUMBER)
    browsers._script += f";\n{DAMAGE}({bob.chat_id!r});"
    async with running(browsers, control, tmp_path) as host:
        report = await control.until_report(lambda report: report.detail == "1 chat cannot be read")
        assert (report.phase, report.problem) == (Phase.ONLINE, None)
        await ann.wait_for_reply(1)
        assert bob.replies() == []
        page: Any = host._sessions._hosted[TENANT].session._page
        await page._page.evaluate("window.heal()")
        await bob.wait_for_reply(2, timeout=60)
        handed_in = [message for request in control.handed_in for message in request.messages]
        texts = [message.text for message in handed_in if message.chat == bob.chat_id and not message.from_me]
        assert texts == ["out of the database", "in memory"]
        await control.until_report(lambda report: is_online(report) and report.detail == "")


async def test_the_ack_of_a_reply_proves_no_connection_on_which_anything_comes_and_a_receipt_does(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl()
    control.hold(watched=True)
    phone = simulator.phone(NUMBER)
    chat = phone.contact(CONTACT).chat_id
    async with running(browsers, control, tmp_path) as host:
        await link(control, simulator)
        page = host._sessions._hosted[TENANT].session._page
        assert page is not None
        phone.deafen()
        assert (await page.send(chat, "3EB0AAAAAAAAAAAAAAAAAA", "nobody hears", None)).ack == 1
        seen = await page.observe()
        assert seen.unsolicited_event_ms_ago is None and seen.server_event_ms_ago is not None
        phone.drop()
        await phone.wait_linked()
        await page.send(chat, "3EB0BBBBBBBBBBBBBBBBBB", "somebody hears", None)
        async with asyncio.timeout(10):
            while (await page.observe()).unsolicited_event_ms_ago is None:  # noqa: ASYNC110 - the page is asked
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("cause", [CrashCause.OUT_OF_MEMORY, CrashCause.KILLED, CrashCause.CRASHED])
async def test_the_cause_of_a_crash_is_reported(tmp_path: Path, cause: CrashCause) -> None:
    reported: list[str] = []

    def on_hint(hint: Hint, detail: str) -> None:
        if hint is Hint.GONE and detail:
            reported.append(detail)

    async with (
        whatsapp(settings_for(tmp_path, browser_heap_mb=128), SystemClock()) as browsers,
        browsers.open(tmp_path / "profile", on_hint) as page,
    ):
        with contextlib.suppress(Error):
            if cause is CrashCause.OUT_OF_MEMORY:
                await page._page.evaluate("() => { for (const all = []; ;) all.push(new Array(10_000).fill({})); }")
            elif cause is CrashCause.CRASHED:
                await page._page.goto("chrome://crash")
            else:
                for process in processes_of(tmp_path / "profile"):
                    if "--type=renderer" in process.cmdline():
                        process.kill()
        async with asyncio.timeout(20):
            while not reported:  # noqa: ASYNC110 - a hint is a call, and no event
                await asyncio.sleep(0.05)
    assert reported == [cause]
