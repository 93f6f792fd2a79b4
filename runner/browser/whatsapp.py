"""WhatsApp Web in Chromium: the only file that knows Playwright."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Error, Playwright, async_playwright
from playwright.async_api import Page as BrowserPage

from runner.browser import chromium
from runner.browser.page import (
    LiveCode,
    PageGone,
    PageObservation,
    PageRefused,
    PageSilent,
    PageUnreachable,
    SendResult,
)
from runner.browser.process_freeze import Frozen, frozen
from runner.clock import Clock
from runner.settings import Settings

LAUNCH_TIMEOUT_SECONDS = 60.0
LOAD_TIMEOUT_SECONDS = 45.0
#: Every question to the page has an end: a busy or stopped renderer answers never (measured here).
CALL_TIMEOUT_SECONDS = 10.0
SEND_TIMEOUT_SECONDS = 60.0
CLOSE_TIMEOUT_SECONDS = 10.0
DRIVER_CHECK_INTERVAL_SECONDS = 1.0
#: A start is the peak of the processor's work.
MAX_CONCURRENT_STARTS = 2
START_JITTER_SECONDS = 0.3
#: What the wire can carry; a page is not trusted to keep to it.
NUMBER = re.compile(r"[0-9]{5,20}")
CODE_AT_MOST = 2048
GONE = ("has been closed", "crashed", "Connection closed", "Browser closed")

#: Called with what happened and a detail: a reason to look again.
Hinted = Callable[[str, str], None]


class DriverGone(Exception):
    """Playwright's driver died: every page is lost, and no browser can be started in this process any more."""


class WhatsApp:
    """Starts browsers, one per session; one Playwright driver serves them all."""

    def __init__(
        self,
        settings: Settings,
        driver: Playwright,
        driver_processes: Collection[chromium.Process],
        browser: chromium.Chromium,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self.browser = browser
        self._settings = settings
        self._driver = driver
        self._driver_processes = driver_processes
        self._clock = clock
        self._chance = chance
        self._starting = asyncio.Semaphore(MAX_CONCURRENT_STARTS)
        self._running: dict[Path, list[chromium.Process]] = {}
        self._script = _injected(settings)

    @asynccontextmanager
    async def open(self, profile: Path, hinted: Hinted) -> AsyncIterator["WhatsAppPage"]:
        """A page on the profile, not loaded yet.

        Leaving in peace closes the browser, so that it writes everything down; leaving by an exception or a
        cancellation kills it. Either way all its processes are gone afterwards.
        """
        async with self._starting:
            await self._clock.sleep(self._chance() * START_JITTER_SECONDS)
            context = await self._launch(profile)
        try:
            page = await self._prepare(context, profile, hinted)
            yield page
            with contextlib.suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await context.close()
        finally:
            await asyncio.shield(chromium.ensure_gone(profile, self._running.pop(profile, ())))

    def frozen(self, profile: Path) -> AbstractContextManager[Frozen]:
        """The profile's browser stands still; for a thread, since it waits for the processes and the disk."""
        return frozen(self._running.get(profile, ()))

    async def supervise_driver(self) -> None:
        """For as long as it lives; then ``DriverGone``, which nobody but a new process can mend."""
        while all(map(chromium.is_alive, self._driver_processes)):
            await self._clock.sleep(DRIVER_CHECK_INTERVAL_SECONDS)
        raise DriverGone

    def kill_everything(self) -> None:
        """For the thread that ends the process: no event loop is needed, or expected to work."""
        for processes in list(self._running.values()):
            chromium.kill_trees(processes)

    async def _launch(self, profile: Path) -> BrowserContext:
        profile.mkdir(parents=True, exist_ok=True)
        # We hold the profile's lock: what still runs on it belongs to a process that was killed.
        await chromium.ensure_gone(profile, ())
        chromium.clear_stale_lock(profile)
        try:
            async with asyncio.timeout(LAUNCH_TIMEOUT_SECONDS):
                context = await self._driver.chromium.launch_persistent_context(
                    profile,
                    executable_path=self.browser.path,
                    env=dict(self._settings.browser_environment),
                    headless=True,
                    args=chromium.arguments(
                        self._settings.browser_host_rules,
                        self._settings.browser_certificate_spki,
                        self._settings.no_sandbox,
                    ),
                    chromium_sandbox=not self._settings.no_sandbox,
                    user_agent=chromium.user_agent(self.browser),
                    bypass_csp=True,
                    service_workers="block",
                    accept_downloads=False,
                    # The runner drains on a signal; its browsers must not die of it first.
                    handle_sigint=False,
                    handle_sigterm=False,
                    handle_sighup=False,
                )
        except (Error, TimeoutError) as trouble:
            await asyncio.shield(chromium.ensure_gone(profile, ()))
            raise PageGone(f"Chromium does not start: {_first_line(trouble)}") from trouble
        self._running[profile] = await asyncio.to_thread(chromium.processes_of, profile)
        return context

    async def _prepare(self, context: BrowserContext, profile: Path, hinted: Hinted) -> "WhatsAppPage":
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                await context.expose_binding("answerlineHint", lambda _source, kind, detail: hinted(kind, detail))
                await context.add_init_script(script=self._script)
                page = context.pages[0] if context.pages else await context.new_page()
                session = await context.new_cdp_session(page)
                await session.send(
                    "Emulation.setUserAgentOverride",
                    {
                        "userAgent": chromium.user_agent(self.browser),
                        "userAgentMetadata": chromium.user_agent_metadata(self.browser),
                    },
                )
        except (Error, TimeoutError) as trouble:
            raise PageGone(_first_line(trouble)) from trouble
        processes = self._running[profile]
        return WhatsAppPage(
            page, context, self._settings.whatsapp_url, hinted, lambda: chromium.memory_bytes(processes)
        )


@asynccontextmanager
async def whatsapp(settings: Settings, clock: Clock, chance: Callable[[], float]) -> AsyncIterator[WhatsApp]:
    """The driver and the browser it will start; ChromiumMissing if there is none."""
    others = chromium.child_processes()
    async with async_playwright() as driver:
        driver_processes = chromium.child_processes() - others
        of_playwright = Path(driver.chromium.executable_path)
        browser = await chromium.find(settings.chromium, of_playwright)
        yield WhatsApp(settings, driver, driver_processes, browser, clock, chance)


@dataclass
class WhatsAppPage:
    """The page of one session (the protocol :class:`runner.browser.page.Page`)."""

    _page: BrowserPage
    _context: BrowserContext
    _url: str
    _hinted: Hinted
    _memory: Callable[[], int] = lambda: 0
    _gone: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._page.on("crash", lambda _page: self._died())
        self._page.on("close", lambda _page: self._died())
        self._context.on("close", lambda _context: self._died())

    def _died(self) -> None:
        self._gone = True
        self._hinted("gone", "")

    async def load(self) -> None:
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_SECONDS):
                await self._page.goto(self._url, wait_until="commit", timeout=0)
        except TimeoutError as trouble:
            raise PageUnreachable("WhatsApp Web does not answer") from trouble
        except Error as trouble:
            self._raise_if_gone(trouble)
            raise PageUnreachable(_network_error(trouble)) from trouble

    async def observe(self) -> PageObservation:
        seen = await self._ask("observe")
        if seen is None:
            return PageObservation()
        number = seen.get("number")
        return PageObservation(
            **{
                **seen,
                "number": number if number and NUMBER.fullmatch(number) else None,
                "qr": _code(seen.get("qr")),
                "pairing": _code(seen.get("pairing")),
                "missing": tuple(str(name)[:40] for name in seen.get("missing") or ()),
            }
        )

    async def prove(self) -> bool:
        return bool(await self._ask("prove"))

    async def refresh_qr(self) -> None:
        await self._ask("refreshQr")

    async def pair(self, digits: str) -> None:
        await self._ask("pair", digits, within=30.0)

    async def take_over(self) -> None:
        await self._ask("takeOver")

    async def set_offline(self, offline: bool) -> None:
        # Chromium then passes no frame of an open WebSocket either way, though it stays open until the server
        # gives it up (seen with Chromium 156; test_runner_whatsapp.py).
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                await self._context.set_offline(offline)
        except TimeoutError as trouble:
            raise PageSilent("the browser does not answer") from trouble
        except Error as trouble:
            raise PageGone(_first_line(trouble)) from trouble

    async def confirm_dialog(self) -> bool:
        return bool(await self._ask("confirmDialog"))

    async def memory_bytes(self) -> int:
        return await asyncio.to_thread(self._memory)

    async def tail(self, since_s: Mapping[str, int], since_default_s: int, limit: int) -> Sequence[Mapping[str, Any]]:
        return await self._ask("tail", dict(since_s), since_default_s, limit, within=30.0) or []

    async def acknowledge(self, keys: Sequence[str]) -> None:
        await self._ask("acknowledge", list(keys))

    async def find(self, chat: str, message: str) -> int | None:
        found = await self._ask("find", chat, message)
        return None if found is None else int(found["ack"])

    async def send(self, chat: str, message: str, text: str, quote: str | None) -> SendResult:
        result = await self._ask("send", chat, message, text, quote, within=SEND_TIMEOUT_SECONDS)
        if result is None:
            raise PageSilent("wa-js is not there")
        return SendResult(ack=int(result["ack"]))

    async def mark_seen(self, chat: str) -> None:
        await self._ask("markSeen", chat)

    async def show_typing(self, chat: str, typing: bool) -> None:
        await self._ask("showTyping", chat, typing)

    async def _ask(self, door: str, *args: Any, within: float = CALL_TIMEOUT_SECONDS) -> Any:
        if self._gone:
            raise PageGone("the page is gone")
        try:
            async with asyncio.timeout(within):
                answer = await self._page.evaluate(
                    "([door, args]) => window.answerline ? window.answerline(door, args) : null", [door, args]
                )
        except TimeoutError as trouble:
            raise PageSilent(f"{door}: no answer in {within:.0f} s") from trouble
        except Error as trouble:
            self._raise_if_gone(trouble)
            raise PageSilent(f"{door}: the document went away") from trouble
        if answer is None:
            return None
        if "code" in answer:
            raise PageRefused(str(answer["code"]))
        return answer["value"]

    def _raise_if_gone(self, trouble: Error) -> None:
        if self._gone or any(word in str(trouble) for word in GONE):
            self._gone = True
            raise PageGone(_first_line(trouble)) from trouble


def _injected(settings: Settings) -> str:
    """wa-js, unmodified, then the bridge; in the top frame of WhatsApp Web and nowhere else."""
    bundle = settings.wa_js.read_text(encoding="utf-8")
    bridge = (Path(__file__).parent / "bridge.js").read_text(encoding="utf-8")
    host = json.dumps(urlsplit(settings.whatsapp_url).hostname)
    # wa-js reports each login to Google unless told otherwise before it starts (4.6.0).
    return (
        f"if (window === window.top && location.hostname === {host}) {{\n"
        f"window.WPPConfig = {{ disableGoogleAnalytics: true }};\n{bundle}\n;{bridge}\n}}"
    )


def _code(seen: Mapping[str, Any] | None) -> LiveCode | None:
    if not seen or not 0 < len(str(seen["value"])) <= CODE_AT_MOST:
        return None
    return LiveCode(str(seen["value"]), int(seen["remaining_ms"]))


def _first_line(trouble: Exception) -> str:
    return (str(trouble).splitlines() or [type(trouble).__name__])[0][:160]


def _network_error(trouble: Error) -> str:
    """``net::ERR_…`` and nothing else: the message also holds the address."""
    words = [word for word in str(trouble).split() if word.startswith("net::")]
    return words[0] if words else "the page could not be loaded"
