"""WhatsApp Web in Chromium, driven by Playwright; the only module that imports it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Error, Playwright, async_playwright
from playwright.async_api import Page as BrowserPage

from runner.browser import chromium
from runner.browser.injected_script import injected_script
from runner.browser.launches import LaunchRecord, starts_on_empty_profile
from runner.browser.page import (
    Hint,
    LoadTimedOut,
    OnHint,
    PageGone,
    PageObservation,
    PageSilent,
    PageUnreachable,
    SendResult,
    Tail,
    parse_ack,
    parse_answer,
    parse_hint,
    parse_observation,
    parse_tail,
)
from runner.browser.process_freeze import FrozenBrowser, freeze
from runner.clock import Clock
from runner.settings import Settings

LAUNCH_TIMEOUT_SECONDS = 30.0
LOAD_TIMEOUT_SECONDS = 30.0
#: Every call to the page ends: a busy or stopped renderer never answers (measured here).
CALL_TIMEOUT_SECONDS = 10.0
#: A call that reads the local database, or that WhatsApp's server must answer.
SLOW_CALL_TIMEOUT_SECONDS = 30.0
SEND_TIMEOUT_SECONDS, CLOSE_TIMEOUT_SECONDS = 60.0, 10.0
DRIVER_CHECK_INTERVAL_SECONDS = 1.0
#: Playwright's messages for a page or a browser that is gone.
GONE_MESSAGES = ("has been closed", "crashed", "Connection closed", "Browser closed")
MAX_ERROR_LENGTH = 160


class DriverGone(Exception):
    """Playwright's driver died: every page is lost, and this process cannot start a browser any more."""


class WhatsApp:
    """Starts browsers, one per session; one Playwright driver serves them all."""

    def __init__(
        self,
        settings: Settings,
        driver: Playwright,
        driver_processes: Collection[chromium.Process],
        browser: chromium.Chromium,
        clock: Clock,
    ) -> None:
        self.browser = browser
        self.launches = LaunchRecord(partial(starts_on_empty_profile, settings.data_directory, self._launch, self._end))
        self._settings = settings
        self._driver = driver
        self._driver_processes = driver_processes
        self._clock = clock
        self._running: dict[Path, list[chromium.Process]] = {}
        self._script = injected_script(settings)

    @asynccontextmanager
    async def open(self, profile: Path, on_hint: OnHint) -> AsyncIterator["WhatsAppPage"]:
        """Opens a page on the profile, not loaded yet.

        A normal exit closes the browser, so that it writes its files; an exit by an exception or a cancellation kills
        it. Either way all its processes are gone afterwards, also if it is cancelled while the browser starts. Raises
        PageGone if Chromium does not start.
        """
        try:
            with self.launches.watch():
                context = await self._launch(profile)
                page = await self._prepare(context, profile, on_hint)
            yield page
            with contextlib.suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await context.close()
        finally:
            await self._end(profile)

    def freeze(self, profile: Path) -> AbstractContextManager[FrozenBrowser]:
        """Freezes the profile's browser. For a thread, because it waits for the processes and the disk."""
        return freeze(self._running.get(profile, ()))

    async def supervise_driver(self) -> None:
        """Waits while the driver lives, then raises DriverGone: only a new process helps."""
        while all(map(chromium.is_alive, self._driver_processes)):
            await self._clock.sleep(DRIVER_CHECK_INTERVAL_SECONDS)
        raise DriverGone

    def kill_everything(self) -> None:
        """Kills all browsers. For the thread that ends the process: it needs no event loop and expects none to work."""
        for processes in list(self._running.values()):
            chromium.kill_trees(processes)

    async def _end(self, profile: Path) -> None:
        await asyncio.shield(chromium.ensure_gone(profile, self._running.pop(profile, ())))

    async def _launch(self, profile: Path) -> BrowserContext:
        profile.mkdir(parents=True, exist_ok=True)
        # We hold the profile's lock: a browser that still runs on it belongs to a process that was killed.
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
                        self._settings.browser_heap_mb,
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
        except (Error, TimeoutError) as error:
            raise PageGone(f"Chromium does not start: {_first_line(error)}") from error
        self._running[profile] = await asyncio.to_thread(chromium.processes_of, profile)
        return context

    async def _prepare(self, context: BrowserContext, profile: Path, on_hint: OnHint) -> "WhatsAppPage":
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                await context.expose_binding("answerlineHint", lambda _source, *values: on_hint(*parse_hint(*values)))
                await context.add_init_script(script=self._script)
                page = context.pages[0] if context.pages else await context.new_page()
                session = await context.new_cdp_session(page)
                for call in chromium.page_settings(self.browser, self._settings.whatsapp_url):
                    await session.send(*call)
                await _watch_crashes(context, on_hint)
        except (Error, TimeoutError) as error:
            raise PageGone(_first_line(error)) from error
        memory = partial(chromium.memory_bytes, self._running[profile])
        return WhatsAppPage(page, context, self._settings.whatsapp_url, on_hint, memory)


@asynccontextmanager
async def whatsapp(settings: Settings, clock: Clock) -> AsyncIterator[WhatsApp]:
    """Starts the driver and finds the browser that it will start; raises ChromiumMissing if there is none."""
    others = chromium.child_processes()
    async with async_playwright() as driver:
        driver_processes = chromium.child_processes() - others
        browser = await chromium.find(settings.chromium, Path(driver.chromium.executable_path))
        yield WhatsApp(settings, driver, driver_processes, browser, clock)


@dataclass
class WhatsAppPage:
    """The page of one session (the protocol :class:`runner.browser.page.Page`)."""

    _page: BrowserPage
    _context: BrowserContext
    _url: str
    _on_hint: OnHint
    _memory: Callable[[], int] = lambda: 0
    _gone: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._page.on("crash", lambda _page: self._mark_gone())
        self._page.on("close", lambda _page: self._mark_gone())
        self._context.on("close", lambda _context: self._mark_gone())

    def _mark_gone(self) -> None:
        self._gone = True
        self._on_hint(Hint.GONE, "")

    async def load(self) -> None:
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_SECONDS):
                await self._page.goto(self._url, wait_until="commit", timeout=0)
        except TimeoutError as error:
            raise LoadTimedOut("WhatsApp Web does not answer") from error
        except Error as error:
            self._raise_if_gone(error)
            raise PageUnreachable(_network_error(error)) from error

    async def observe(self) -> PageObservation:
        return parse_observation(await self._call("observe"))

    async def prove(self) -> bool:
        return bool(await self._call("prove"))

    async def refresh_qr(self) -> None:
        await self._call("refreshQr")

    async def pair(self, digits: str) -> None:
        await self._call("pair", digits, timeout_seconds=SLOW_CALL_TIMEOUT_SECONDS)

    async def take_over(self) -> None:
        await self._call("takeOver")

    async def set_offline(self, offline: bool) -> None:
        # Chromium then passes no frame of an open WebSocket either way, though it stays open until the server
        # closes it (seen with Chromium 156; test_runner_whatsapp.py).
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                await self._context.set_offline(offline)
        except TimeoutError as error:
            raise PageSilent("the browser does not answer") from error
        except Error as error:
            raise PageGone(_first_line(error)) from error

    async def confirm_dialog(self) -> bool:
        return bool(await self._call("confirmDialog"))

    async def memory_bytes(self) -> int:
        return await asyncio.to_thread(self._memory)

    async def tail(self, since_s: Mapping[str, int], since_default_s: int, limit: int) -> Tail:
        since = dict(since_s)
        answer = await self._call("tail", since, since_default_s, limit, timeout_seconds=SLOW_CALL_TIMEOUT_SECONDS)
        if answer is None:
            raise PageSilent("wa-js is not there")
        return parse_tail(answer)

    async def acknowledge(self, keys: Sequence[str]) -> None:
        await self._call("acknowledge", list(keys))

    async def remember(self, handed_in: Mapping[str, int]) -> None:
        await self._call("remember", list(handed_in.items()), timeout_seconds=SLOW_CALL_TIMEOUT_SECONDS)

    async def find(self, chat: str, message: str) -> int | None:
        found = await self._call("find", chat, message)
        return None if found is None else parse_ack(found)

    async def send(self, chat: str, message: str, text: str, quote: str | None) -> SendResult:
        return await self._send("send", chat, message, text, quote)

    async def resend(self, chat: str, message: str) -> SendResult:
        return await self._send("resend", chat, message)

    async def may_send(self, chat: str) -> bool:
        return bool(await self._call("maySend", chat))

    async def mark_seen(self, chat: str) -> None:
        await self._call("markSeen", chat)

    async def show_typing(self, chat: str, typing: bool) -> None:
        await self._call("showTyping", chat, typing)

    async def _send(self, name: str, *arguments: Any) -> SendResult:
        result = await self._call(name, *arguments, timeout_seconds=SEND_TIMEOUT_SECONDS)
        if result is None:
            raise PageSilent("wa-js is not there")
        return SendResult(parse_ack(result))

    async def _call(self, name: str, *arguments: Any, timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> Any:
        """Calls a function of the bridge; returns its plain data, or None where the bridge is not there."""
        if self._gone:
            raise PageGone("the page is gone")
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await self._page.evaluate(
                    "([name, args]) => window.answerline ? window.answerline(name, args) : null", [name, arguments]
                )
        except TimeoutError as error:
            raise PageSilent(f"{name}: no answer in {timeout_seconds:.0f} s") from error
        except Error as error:
            self._raise_if_gone(error)
            raise PageSilent(f"{name}: the document went away") from error
        return None if answer is None else parse_answer(answer)

    def _raise_if_gone(self, error: Error) -> None:
        # The message may be a text of the page: an error that its script threw.
        told = [words for words in GONE_MESSAGES if words in str(error)]
        if self._gone or told:
            self._gone = True
            raise PageGone(f"the page is gone: {', '.join(told)}") from error


async def _watch_crashes(context: BrowserContext, on_hint: OnHint) -> None:
    """Reports the cause of a page's crash, which Playwright's own event does not name."""
    if context.browser is None:
        return
    session = await context.browser.new_browser_cdp_session()
    session.on(
        "Target.targetCrashed",
        lambda event: on_hint(Hint.GONE, chromium.crash_cause(event.get("status", ""), event.get("errorCode", 0))),
    )
    await session.send("Target.setDiscoverTargets", {"discover": True})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:MAX_ERROR_LENGTH]


def _network_error(error: Error) -> str:
    """Returns ``net::ERR_…`` alone: the message also holds the address."""
    words = [word for word in str(error).split() if word.startswith("net::")]
    return words[0] if words else "the page could not be loaded"
