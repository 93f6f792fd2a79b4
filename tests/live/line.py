"""A linked account in the runner's browser: opened, written to, copied, rolled back and killed on purpose."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.browser import chromium
from runner.browser.page import Page, PageError, PageObservation
from runner.browser.page_state import classify
from runner.browser.whatsapp import WhatsApp
from runner.clock import SystemClock
from runner.profile.staged_copy import copy_profile
from tests.live.person import Person
from wire import Phase

POLL_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Timing:
    """The timeouts and pauses of a check; a rehearsal has less time, and the simulator needs less."""

    link_timeout_seconds: float = 600.0
    online_timeout_seconds: float = 180.0
    ack_timeout_seconds: float = 120.0
    message_timeout_seconds: float = 180.0
    offline_seconds: float = 300.0
    snapshot_age_seconds: float = 60.0
    conflict_observed_seconds: float = 60.0
    browser_observed_seconds: float = 600.0
    #: As in the runner: new data of the page reaches the disk some seconds later (runner/profile/schedule.py).
    first_copy_after_seconds: float = 10.0
    copies: int = 20
    copy_interval_seconds: float = 1.0


#: For the simulator, which answers at once; only the disk needs its time.
REHEARSAL = Timing(
    link_timeout_seconds=30.0,
    online_timeout_seconds=30.0,
    ack_timeout_seconds=10.0,
    message_timeout_seconds=5.0,
    offline_seconds=2.0,
    snapshot_age_seconds=1.0,
    conflict_observed_seconds=2.0,
    browser_observed_seconds=1.0,
    first_copy_after_seconds=8.0,
    copies=2,
    copy_interval_seconds=0.1,
)


class Unlinked(Exception):
    """The page shows a code although the profile was linked."""


class TimedOut(Exception):
    """A wait ended without its event."""


class Line:
    """The line under test; ``directory`` holds the profile and its copies, and is kept for the steps that take days."""

    def __init__(self, browsers: WhatsApp, directory: Path, person: Person, timing: Timing) -> None:
        self.browsers = browsers
        self.person = person
        self.timing = timing
        self.directory = directory
        self.profile = directory / "profile"
        self._memory = directory / "line.json"

    @property
    def memory(self) -> dict[str, Any]:
        """The values that earlier steps (or earlier days) stored."""
        return json.loads(self._memory.read_text()) if self._memory.exists() else {}

    def remember(self, **changes: Any) -> None:
        """Stores values for later steps."""
        self._memory.write_text(json.dumps({**self.memory, **changes}))

    @asynccontextmanager
    async def open(self, profile: Path | None = None, browsers: WhatsApp | None = None) -> AsyncIterator[Page]:
        """Opens a loading page on a profile; closes the browser afterwards, also a killed one."""
        async with (browsers or self.browsers).open(profile or self.profile, lambda _hint, _detail: None) as page:
            await page.load()
            yield page

    @asynccontextmanager
    async def online(self, profile: Path | None = None, browsers: WhatsApp | None = None) -> AsyncIterator[Page]:
        """Opens a page that is proven to be online."""
        async with self.open(profile, browsers) as page:
            await self.until_online(page)
            yield page

    async def link(
        self, page: Page, linked: Callable[[PageObservation], bool] = lambda observation: observation.authenticated
    ) -> None:
        """Shows codes until one was scanned."""
        shown = ""

        async def check(observation: PageObservation) -> bool:
            nonlocal shown
            if observation.qr is not None and observation.qr.value != shown:
                shown = observation.qr.value
                await self.person.scan(shown)
            elif observation.idle:
                await page.refresh_qr()
            return linked(observation)

        await self._until(page, check, self.timing.link_timeout_seconds, "no scan")

    async def until_online(self, page: Page) -> float:
        """Returns the seconds until the page was online; raises Unlinked if it shows a code instead."""
        started_at = time.monotonic()

        async def check(observation: PageObservation) -> bool:
            if observation.qr is not None and not observation.authenticated:
                raise Unlinked("the page shows a code")
            online = observation.authenticated and classify(observation, linked=True).phase is Phase.ONLINE
            return online and await page.prove()

        await self._until(page, check, self.timing.online_timeout_seconds, "not online")
        return time.monotonic() - started_at

    async def find(self, page: Page, matches: Callable[[Mapping[str, Any]], bool], since_s: int) -> Mapping[str, Any]:
        """Returns the first matching message of the page, by a sweep as the runner's."""
        async with _deadline(self.timing.message_timeout_seconds, "the message did not come"):
            await page.remember({})
            while True:
                for seen in (await page.tail({}, since_s, 200)).messages:
                    if matches(seen):
                        return seen
                await asyncio.sleep(POLL_EVERY_SECONDS)

    async def receive(self, page: Page, text: str) -> Mapping[str, Any]:
        """Asks CONTACT to write this, and returns the message."""
        since = int(time.time()) - 120
        await self.person.write(text)
        return await self.find(page, lambda seen: seen["text"] == text and not seen["from_me"], since)

    async def send(self, page: Page, text: str, message: str | None = None) -> tuple[str, int]:
        """Sends a text; returns the message id and the ack."""
        message = message or "3EB0" + secrets.token_hex(9).upper()
        return message, (await page.send(self.memory["chat"], message, text, None)).ack

    async def until_ack(self, page: Page, message: str, ack: int) -> float | None:
        """Returns the seconds until the message had this ack (2: on CONTACT's phone); None on timeout."""
        started_at = time.monotonic()
        while time.monotonic() - started_at < self.timing.ack_timeout_seconds:
            if (await page.find(self.memory["chat"], message) or 0) >= ack:
                return time.monotonic() - started_at
            await asyncio.sleep(POLL_EVERY_SECONDS)
        return None

    async def copy(self, name: str) -> Path:
        """Copies the running profile as the runner does for a snapshot; returns the copy."""
        target = self.directory / name
        shutil.rmtree(target, ignore_errors=True)

        def frozen_copy() -> None:
            target.mkdir(parents=True)
            with self.browsers.freeze(self.profile) as frozen:
                copy_profile(self.profile, target, lambda: frozen.still, frozen_at_ms=SystemClock().wall_ms())

        await asyncio.to_thread(frozen_copy)
        return target

    async def kill(self) -> None:
        """Kills the browser, as a power cut does."""
        await asyncio.to_thread(lambda: chromium.kill(chromium.processes_of(self.profile)))

    def roll_back(self, copy: Path) -> None:
        """Replaces the profile by a copy."""
        shutil.rmtree(self.profile)
        shutil.copytree(copy, self.profile)

    async def _until(
        self, page: Page, done: Callable[[PageObservation], Any], timeout_seconds: float, complaint: str
    ) -> None:
        async with _deadline(timeout_seconds, complaint):
            while True:
                with suppress(PageError):
                    if await done(await page.observe()):
                        return
                await asyncio.sleep(POLL_EVERY_SECONDS)


@asynccontextmanager
async def _deadline(seconds: float, complaint: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise TimedOut(f"{complaint} within {seconds:.0f} s") from error
