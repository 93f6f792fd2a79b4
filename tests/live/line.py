"""A linked account on the real runner's browser: opened, written to, copied, rolled back and killed on purpose."""

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
from runner.profile.archive import copy_profile
from tests.live.person import Person
from wire import Phase

LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Pace:
    """How long things are given; a rehearsal has less time, and a simulator needs less."""

    linked_within: float = 600.0
    online_within: float = 180.0
    acked_within: float = 120.0
    seen_within: float = 180.0
    offline_for: float = 300.0
    snapshot_age: float = 60.0
    conflict_watched_for: float = 60.0
    browser_watched_for: float = 600.0
    #: As the runner: what a page has just been told reaches the disk some seconds later (runner/profile/schedule.py).
    first_copy_after: float = 10.0
    copies: int = 20
    copies_apart: float = 1.0


#: On a simulator that answers at once; only the disk takes its own time.
REHEARSED = Pace(
    linked_within=30.0,
    online_within=30.0,
    acked_within=10.0,
    seen_within=5.0,
    offline_for=2.0,
    snapshot_age=1.0,
    conflict_watched_for=2.0,
    browser_watched_for=1.0,
    first_copy_after=8.0,
    copies=2,
    copies_apart=0.1,
)


class Unlinked(Exception):
    """The page shows a code although the profile was linked."""


class TooSlow(Exception):
    """What was waited for did not happen in time."""


class Line:
    """``directory`` holds the profile and its copies, and is kept for the steps that take days."""

    def __init__(self, browsers: WhatsApp, directory: Path, person: Person, pace: Pace) -> None:
        self.browsers = browsers
        self.person = person
        self.pace = pace
        self.directory = directory
        self.profile = directory / "profile"
        self._notes = directory / "line.json"

    @property
    def notes(self) -> dict[str, Any]:
        """What earlier steps (or earlier days) left."""
        return json.loads(self._notes.read_text()) if self._notes.exists() else {}

    def note(self, **changes: Any) -> None:
        """For later steps."""
        self._notes.write_text(json.dumps({**self.notes, **changes}))

    @asynccontextmanager
    async def opened(self, profile: Path | None = None, browsers: WhatsApp | None = None) -> AsyncIterator[Page]:
        """A page on a profile, loading; the browser is gone afterwards, whatever was done to it."""
        async with (browsers or self.browsers).open(profile or self.profile, lambda _hint, _detail: None) as page:
            await page.load()
            yield page

    @asynccontextmanager
    async def online(self, profile: Path | None = None, browsers: WhatsApp | None = None) -> AsyncIterator[Page]:
        """The same, proven to be online."""
        async with self.opened(profile, browsers) as page:
            await self.until_online(page)
            yield page

    async def link(
        self, page: Page, linked: Callable[[PageObservation], bool] = lambda observation: observation.authenticated
    ) -> None:
        """Show codes until one was scanned."""
        shown = ""

        async def look(observation: PageObservation) -> bool:
            nonlocal shown
            if observation.qr is not None and observation.qr.value != shown:
                shown = observation.qr.value
                await self.person.scan(shown)
            elif observation.idle:
                await page.refresh_qr()
            return linked(observation)

        await self._until(page, look, self.pace.linked_within, "no scan")

    async def until_online(self, page: Page) -> float:
        """How long it took; Unlinked if there is a code instead."""
        begun = time.monotonic()

        async def look(observation: PageObservation) -> bool:
            if observation.qr is not None and not observation.authenticated:
                raise Unlinked("the page shows a code")
            online = observation.authenticated and classify(observation, linked=True).phase is Phase.ONLINE
            return online and await page.prove()

        await self._until(page, look, self.pace.online_within, "not online")
        return time.monotonic() - begun

    async def find(self, page: Page, wanted: Callable[[Mapping[str, Any]], bool], since_s: int) -> Mapping[str, Any]:
        """The first message like this that the page has, by a sweep as the runner's."""
        async with _deadline(self.pace.seen_within, "the message did not come"):
            while True:
                for seen in await page.tail({}, since_s, 200):
                    if wanted(seen):
                        return seen
                await asyncio.sleep(LOOK_EVERY)

    async def hear(self, page: Page, text: str) -> Mapping[str, Any]:
        """Have CONTACT write this, and find it."""
        since = int(time.time()) - 120
        await self.person.write(text)
        return await self.find(page, lambda seen: seen["text"] == text and not seen["from_me"], since)

    async def send(self, page: Page, text: str, message: str | None = None) -> tuple[str, int]:
        """The id and the ack."""
        message = message or "3EB0" + secrets.token_hex(9).upper()
        return message, (await page.send(self.notes["chat"], message, text, None)).ack

    async def until_ack(self, page: Page, message: str, ack: int) -> float | None:
        """How long until the message had this ack (2: on CONTACT's phone); None if it never had."""
        begun = time.monotonic()
        while time.monotonic() - begun < self.pace.acked_within:
            if (await page.find(self.notes["chat"], message) or 0) >= ack:
                return time.monotonic() - begun
            await asyncio.sleep(LOOK_EVERY)
        return None

    async def copied(self, name: str) -> Path:
        """A copy of the running profile, made as the runner makes its snapshots."""
        target = self.directory / name
        shutil.rmtree(target, ignore_errors=True)

        def frozen_copy() -> None:
            target.mkdir(parents=True)
            with self.browsers.freeze(self.profile) as frozen:
                copy_profile(self.profile, target, lambda: frozen.still)

        await asyncio.to_thread(frozen_copy)
        return target

    async def killed(self) -> None:
        """As a machine that loses its power."""
        await asyncio.to_thread(lambda: chromium.kill(chromium.processes_of(self.profile)))

    def roll_back(self, copy: Path) -> None:
        """The profile is what it was when the copy was made."""
        shutil.rmtree(self.profile)
        shutil.copytree(copy, self.profile)

    async def _until(self, page: Page, done: Callable[[PageObservation], Any], within: float, otherwise: str) -> None:
        async with _deadline(within, otherwise):
            while True:
                with suppress(PageError):
                    if await done(await page.observe()):
                        return
                await asyncio.sleep(LOOK_EVERY)


@asynccontextmanager
async def _deadline(seconds: float, otherwise: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as trouble:
        raise TooSlow(f"{otherwise} within {seconds:.0f} s") from trouble
