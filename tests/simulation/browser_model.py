"""A browser, seen through the little of Playwright that the runner uses."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from playwright.async_api import Error

from runner.browser.page import Hint, OnHint
from tests.simulation.page_model import LoadedPage
from tests.simulation.whatsapp_model import Login, WhatsAppServer


class Browser:
    """A Chromium on a login. It dies with its runner, or alone."""

    def __init__(self, server: WhatsAppServer, login: Login, process: Any, on_hint: OnHint) -> None:
        self.server = server
        self.loop = server.loop
        self.login = login
        self.process = process
        self.alive = True
        #: The renderer does not answer until then.
        self.stuck_until = 0.0
        #: The cable is out: WhatsApp cannot be reached, also if the runner is online.
        self.unplugged = False
        self.offline = False
        #: How far its machine's clock is ahead.
        self.skew_seconds = 0.0
        self.page: LoadedPage | None = None
        #: Whose it is, at which epoch, and who wants to know of each send that a runner begins.
        self.tenant = ""
        self.epoch = 0
        self.sending: Callable[[Browser, str], None] = lambda browser, message: None
        self.finding: Callable[[], None] = lambda: None
        self._on_hint = on_hint
        self._handlers: list[Callable[[Any], None]] = []

    def hint(self, kind: str, detail: str = "") -> None:
        faults, chance = self.server.link_faults, self.server.chance
        times = 1
        if kind == "message" and chance.random() < faults.hint_lost:
            times = 0
        elif chance.random() < faults.hint_twice:
            times = 2
        self.server.faults += times != 1
        for _ in range(times):
            self._in_process(self._on_hint, Hint(kind), detail)

    def die(self) -> None:
        """Ends all its processes, and notifies its handlers."""
        if self.alive:
            self.alive = False
            self._close_page()
            for handler in self._handlers:
                self._in_process(handler, self)

    def network_changed(self) -> None:
        if self.page is not None and self.alive:
            self.page.network_changed()

    def _in_process(self, callback: Callable[..., None], *args: Any) -> None:
        self.loop.after(self.server.chance.uniform(0.001, 0.02), self._deliver, callback, args)

    def _deliver(self, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.loop.call_soon(callback, *args, context=self.process.context)

    def _close_page(self) -> None:
        if self.page is not None:
            self.page.close()
            self.page = None

    # -- Playwright's page and context ---------------------------------------------------------------------------

    def on(self, event: str, handler: Callable[[Any], None]) -> None:
        if event == "close":
            self._handlers.append(handler)

    async def goto(self, url: str, *, wait_until: str, timeout: float) -> None:
        await self._answer(lambda answer: self.loop.after(self.server.chance.uniform(0.1, 0.8), answer, None))
        if self.unplugged or self.offline:
            raise Error("Page.goto: net::ERR_INTERNET_DISCONNECTED at the page")
        self._close_page()
        self.page = LoadedPage(self)

    async def set_offline(self, offline: bool) -> None:
        await self._answer(lambda answer: self.loop.after(0.005, answer, None))
        self.offline = offline
        self.network_changed()

    async def evaluate(self, script: str, arguments: Sequence[Any]) -> Any:
        function, args = arguments
        if function == "send":
            self.sending(self, str(args[1]))
        elif function == "find":
            self.finding()
        return await self._answer(lambda answer: self._call(function, args, answer))

    def _call(self, function: str, args: Sequence[Any], answer: Callable[[Any], None]) -> None:
        """Brings a call to the page, also if its caller does not wait any more."""
        if not self.alive:
            return
        page = self.page
        hangs_until = self.stuck_until if page is None else page.hangs_until
        if self.loop.time() < hangs_until:
            self.loop.after(hangs_until - self.loop.time() + 0.001, self._call, function, args, answer)
            return
        if page is None:
            answer(None)
            return
        page.call(function, args, answer)

    async def _answer(self, call: Callable[[Callable[[Any], None]], object]) -> Any:
        """Waits for the answer of the page; the browser's death is an answer too."""
        if not self.alive:
            raise Error("Target page, context or browser has been closed")
        future: asyncio.Future[Any] = self.loop.create_future()

        def answer(value: Any) -> None:
            if not future.done():
                future.set_result(value)

        def died(_: Any) -> None:
            if not future.done():
                future.set_exception(Error("Target page, context or browser has been closed"))

        self._handlers.append(died)
        self.loop.after(self.server.chance.uniform(0.001, 0.01), call, answer)
        try:
            return await future
        finally:
            if died in self._handlers:
                self._handlers.remove(died)
