"""The steps of the live check: questions that only real phones can answer."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

from runner.browser.page import PageError
from runner.browser.whatsapp import WhatsApp
from tests.live.automatic_messages import automatic_messages
from tests.live.line import Line, TimedOut, Unlinked
from tests.live.report import Finding

Step = Callable[[Line, Finding, "list[WhatsApp]"], Awaitable[None]]
#: The pauses of step 8 in seconds, by name.
PAUSES = {"2 h": 2 * 3600, "3 d": 3 * 86400}


async def same_id_twice(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    async with line.online() as page:
        before = await line.copy("before-sending")
        text = "This must be seen once."
        message, ack = await line.send(page, text)
        finding.add_fact(f"first send: ack {ack}, on the phone: {await line.until_ack(page, message, 2) is not None}")
        try:
            finding.add_fact(f"same id again, same page: ack {(await line.send(page, text, message))[1]}")
        except PageError as error:
            finding.add_fact(f"same id again, same page: refused ({error})")
    line.roll_back(before)
    async with line.online() as page:
        known = await page.find(line.memory["chat"], message)
        finding.add_fact(
            f"after the rollback the page {'still knows' if known is not None else 'has forgotten'} the message"
        )
        with suppress(PageError):
            finding.add_fact(f"same id again after a rollback: ack {(await line.send(page, text, message))[1]}")
        await asyncio.sleep(line.timing.snapshot_age_seconds / 10)
    once = await line.person.agrees(f"Does CONTACT show «{text}» exactly once?")
    elsewhere = await line.person.agrees("Does LINE (and every other device of both) show it exactly once, too?")
    finding.add_fact(f"shown once: CONTACT {once}, elsewhere {elsewhere}")
    finding.conclude(once and elsewhere)


async def killed_after_sending(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    async with line.online() as page:
        await line.send(page, "Before the snapshot.")
        old = await line.copy("old")
        await asyncio.sleep(line.timing.snapshot_age_seconds)
        await line.send(page, "After the snapshot, one.")
        message, _ = await line.send(page, "After the snapshot, two: the machine dies now.")
        await line.kill()
    line.roll_back(old)
    async with line.online() as page:
        with suppress(PageError):
            await line.send(page, "After the snapshot, two: the machine dies now.", message)
        new, ack = await line.send(page, "A new message after the machine came back.")
        delivered = await line.until_ack(page, new, 2)
        finding.add_fact(f"new message: ack {ack}, on the phone after {_seconds(delivered)}")
    readable = await line.person.agrees("Can CONTACT read «A new message after the machine came back.»?")
    once = await line.person.agrees("Does CONTACT show «… the machine dies now.» exactly once?")
    finding.add_fact(f"readable: {readable}; the repeated one shown once: {once}")
    finding.conclude(delivered is not None and readable and once)


async def copies_during_history(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    shutil.rmtree(line.profile, ignore_errors=True)
    copies = []
    async with line.open() as page:
        await line.link(page)
        await asyncio.sleep(line.timing.first_copy_after_seconds)
        for number in range(line.timing.copies):
            copies.append(await line.copy(f"history-{number:02}"))
            await asyncio.sleep(line.timing.copy_interval_seconds)
        await line.until_online(page)
    closed = line.directory / "closed"
    shutil.rmtree(closed, ignore_errors=True)
    shutil.copytree(line.profile, closed)
    online = 0
    for copy in copies:
        line.roll_back(copy)
        try:
            async with line.online():
                online += 1
        except (Unlinked, TimedOut) as error:
            finding.add_fact(f"{copy.name}: {error}")
    line.roll_back(closed)
    finding.add_fact("LINE was linked anew: remove the older linked device on the phone")
    finding.add_fact(
        f"{online} of {len(copies)} copies that were taken during the first sync came online without a code"
    )
    finding.conclude(online == len(copies))


async def offline_for_a_while(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    async with line.online() as page:
        since = int(time.time()) - 60
        await page.set_offline(True)
        texts = [f"While you were away, {number} of 3" for number in (1, 2, 3)]
        for text in texts:
            await line.person.write(text)
        await asyncio.sleep(line.timing.offline_seconds)
        finding.add_fact(f"while offline: delivered_offline is {(await page.observe()).delivered_offline}")
        await page.set_offline(False)
        finding.add_fact(f"online again after {_seconds(await line.until_online(page))}")
        for text in texts:
            await line.find(page, lambda seen, text=text: seen["text"] == text, since)  # type: ignore[misc]
        finding.add_fact(f"all 3 were in the sweep; delivered_offline is {(await page.observe()).delivered_offline}")
    finding.conclude(True)


async def two_hosts(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    async with line.online() as first, AsyncExitStack() as later:
        second = await later.enter_async_context(line.open(await line.copy("twin")))
        seen: list[str] = []
        end = time.monotonic() + line.timing.conflict_observed_seconds
        while time.monotonic() < end:
            pair = f"first {(await first.observe()).mode}, second {(await second.observe()).mode}"
            if not seen or seen[-1] != pair:
                seen.append(pair)
            await asyncio.sleep(0.5)
        finding.add_fact("; then ".join(seen))
    async with line.online() as page:
        finding.add_fact("alone again it is online without a code")
        await line.receive(page, "Are you still there?")
    fine = await line.person.agrees("Is LINE still listed under its linked devices, without a warning from WhatsApp?")
    finding.add_fact(f"still linked, no warning: {fine}")
    finding.conclude(fine)


async def browsers_compared(line: Line, finding: Finding, others: list[WhatsApp]) -> None:
    is_good = True
    for browsers in [line.browsers, *others]:
        name = f"{browsers.browser.path.name} {browsers.browser.version}"
        try:
            async with line.online(browsers=browsers) as page:
                await line.receive(page, f"Hello {browsers.browser.path.name}")
                since = int(time.time()) - 60
                await line.person.send_picture()
                await line.find(page, lambda seen: seen["kind"] == "image", since)
                _, ack = await line.send(page, f"Answered by {name}")
                await asyncio.sleep(line.timing.browser_observed_seconds)
                online = await page.prove()
                megabytes = await page.memory_bytes() // 1_000_000
            finding.add_fact(
                f"{name}: text and picture received, reply acked {ack}, {megabytes} MB, still online: {online}"
            )
            is_good = is_good and online and ack >= 1
        except (PageError, TimedOut, Unlinked) as error:
            finding.add_fact(f"{name}: {error}")
            is_good = False
    finding.add_fact("24 hours: leave `make up WHATSAPP=real` running and look at the tenant's timeline tomorrow")
    finding.conclude(is_good)


async def acked_and_lost(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    text = "The page had this one, and then its disk was lost."
    async with line.online() as page:
        old = await line.copy("before-receiving")
        since = int(time.time()) - 60
        await line.receive(page, text)
        await line.kill()
    line.roll_back(old)
    async with line.online() as page:
        try:
            await line.find(page, lambda seen: seen["text"] == text, since)
            finding.add_fact("WhatsApp (or the phone) gave it again by itself")
        except TimedOut:
            finding.add_fact("it did not come again: what a lost machine had received and not handed in is lost")
        await line.receive(page, "The next one arrives.")
    finding.conclude(True)  # either answer is one; what counts is that the next message arrives


async def stopped_for_days(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    stopped_at = line.memory.get("stopped_at")
    if stopped_at is None:
        async with line.online():
            await line.copy("stopped")
        line.remember(stopped_at=time.time())
        finding.add_fact(
            "a snapshot was kept; nothing runs now. After 2 hours and after 3 days: `--steps 8` with the same --data"
        )
        stopped_at = line.memory["stopped_at"]
        if line.timing.offline_seconds > 60:
            return
    line.roll_back(line.directory / "stopped")
    passed = time.time() - stopped_at
    reached = [name for name, seconds in PAUSES.items() if passed >= seconds]
    try:
        async with line.online() as page:
            await line.receive(page, "Still linked?")
        finding.add_fact(
            f"after {passed / 3600:.1f} h ({', '.join(reached) or 'sooner than 2 h'}): online without a code"
        )
        finding.conclude(True)
    except Unlinked:
        finding.add_fact(f"after {passed / 3600:.1f} h: unlinked")
        finding.conclude(False)


async def same_contact_same_keys(line: Line, finding: Finding, _others: list[WhatsApp]) -> None:
    text = "Who am I?"
    async with line.online() as page:
        since = int(time.time()) - 60
        first = await line.receive(page, text)
    async with line.online() as page:
        second = await line.find(page, lambda seen: seen["text"] == text, since)
    for name, seen in (("before", first), ("after", second)):
        kinds = [str(seen[field] or "-").rpartition("@")[2] for field in ("chat", "chat_alias")]
        finding.add_fact(f"{name} a restart: chat @{kinds[0]}, alias @{kinds[1]}")
    finding.conclude((first["key"], first["chat"]) == (second["key"], second["chat"]))


STEPS: tuple[tuple[str, Step], ...] = (
    ("One message id, sent twice, is shown once", same_id_twice),
    ("Killed right after sending, and rolled back", killed_after_sending),
    ("Snapshots taken during the first history sync", copies_during_history),
    ("Five minutes without a network", offline_for_a_while),
    ("Two machines with one login", two_hosts),
    ("Headless shell and full Chromium", browsers_compared),
    ("A message that was acknowledged and lost", acked_and_lost),
    ("Stopped for two hours, for three days", stopped_for_days),
    ("One contact keeps its keys across a restart", same_contact_same_keys),
    ("Greeting and away message of the WhatsApp Business app", automatic_messages),
)


def _seconds(passed: float | None) -> str:
    return "never" if passed is None else f"{passed:.1f} s"
