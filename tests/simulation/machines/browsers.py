"""The browsers of one process: stands for the runner's driver, and opens browsers of the model."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from runner.browser.launches import LaunchRecord
from runner.browser.page import OnHint, PageGone
from runner.browser.whatsapp import LAUNCH_TIMEOUT_SECONDS, WhatsAppPage
from tests.simulation.browser_model import Browser
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.machines.machine import Machine


class Browsers:
    """Stands for `runner.browser.whatsapp.WhatsApp`: opens browsers of the model, seen through the real page."""

    def __init__(self, machine: "Machine", process: Process) -> None:
        self.browser = SimpleNamespace(version="156.0", path="")
        self._machine = machine
        self._process = process
        self.launches = LaunchRecord(self._starts_on_empty_profile)
        self._names: dict[Path, str] = {}

    @asynccontextmanager
    async def open(self, profile: Path, on_hint: OnHint) -> AsyncIterator[WhatsAppPage]:
        machine = self._machine
        with self.launches.watch():
            await asyncio.sleep(machine.chance.uniform(0.4, 2.5))
            if machine.sick == "hangs":
                await asyncio.sleep(LAUNCH_TIMEOUT_SECONDS)
            if machine.sick or machine.chance.random() < machine.world.plan.launch_fails:
                machine.world.count("launch failed")
                raise PageGone("Chromium does not start")
            login, name = machine.world.open_login(profile)
            browser = Browser(machine.world.server, login, self._process, on_hint)
            browser.unplugged, browser.skew_seconds = machine.unplugged, machine.skew
            machine.browsers[profile] = browser
            machine.let_write(browser)
            self._names[profile] = name
            browser.finding = machine.spring_ambush
            machine.world.open_browser(browser, profile, machine)
        try:
            yield WhatsAppPage(cast(Any, browser), cast(Any, browser), "https://web/", on_hint)
            await asyncio.sleep(machine.chance.uniform(0.1, 1.0))
            browser.die()
            machine.world.write_down(profile, browser)
        finally:
            machine.world.used(name, browser)
            browser.die()
            if machine.browsers.get(profile) is browser:
                del machine.browsers[profile]

    async def _starts_on_empty_profile(self) -> bool:
        if self._machine.sick == "hangs":
            await asyncio.sleep(LAUNCH_TIMEOUT_SECONDS)
        return not self._machine.sick

    @contextmanager
    def freeze(self, profile: Path) -> Iterator[SimpleNamespace]:
        """Freezes the browser while its files are copied."""
        world, browser = self._machine.world, self._machine.browsers.get(profile)
        if browser is None or not browser.alive:
            yield SimpleNamespace(still=False)
            return
        world.write_down(profile, browser)
        try:
            yield SimpleNamespace(still=True)
        finally:
            world.go_on_writing(profile, self._names[profile])

    async def ensure_gone(self, profile: Path) -> None:
        """Ends the processes on this profile: the model has none left."""

    def kill_everything(self) -> None:
        for browser in self._machine.browsers.values():
            browser.die()
