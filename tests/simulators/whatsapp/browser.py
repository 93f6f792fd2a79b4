"""A Chromium with the unmodified wa-js on the simulator's page, for tests that look at WhatsApp as a client does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Playwright

REPOSITORY = Path(__file__).resolve().parents[3]
#: Another bundle can be tried out (tests/update_wa_js.py).
WA_JS = Path(os.environ.get("WA_JS") or REPOSITORY / "runner/node_modules/@wppconnect/wa-js/dist/wppconnect-wa.js")
CHROMIUM = next(
    (path for path in map(Path, ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")) if path.exists()), None
)
URL = "https://web.whatsapp.com/"
WAIT_SECONDS = 10.0
EVENTS = (
    "chat.live_location_start",
    "chat.msg_ack_change",
    "chat.msg_edited",
    "chat.msg_revoke",
    "chat.new_message",
    "chat.presence_change",
    "conn.auth_code_change",
    "conn.authenticated",
    "conn.link_code_change",
    "conn.logout",
    "conn.logout_reason",
    "conn.main_ready",
    "conn.needs_update",
    "conn.qrcode_idle",
    "conn.stream_info_changed",
    "conn.stream_mode_changed",
    "loader.full_ready",
    "loader.injected",
)
#: What messages look like to the test: MsgKey and Wid as text.
LISTEN = """(names) => {
  if (location.host !== 'web.whatsapp.com') return;
  const plain = (value) => (value === undefined ? null : JSON.parse(JSON.stringify(value)));
  const message = ({ id, from, type, body = null, caption = null, author }) =>
    plain({ id: id?.toString(), from: from?.toString(), author: author?.toString(), type, body, caption });
  const views = {
    'chat.new_message': message,
    'chat.msg_edited': ({ id, msg: { body, caption, latestEditMsgKey } }) =>
      plain({ id, body, caption, edit: latestEditMsgKey.toString() }),
    'chat.msg_revoke': ({ refId, type, author }) => plain({ id: refId.toString(), type, author: author?.toString() }),
    'chat.live_location_start': ({ msgId, lat, lng }) => plain({ id: msgId.toString(), lat, lng }),
  };
  for (const name of names) WPP.on(name, (value) => note(name, (views[name] ?? plain)(value)));
}"""


def launch_arguments(simulator_arguments: Sequence[str]) -> dict[str, Any]:
    """Return what Playwright needs to start a Chromium that believes in the simulator."""
    return {
        "executable_path": CHROMIUM,
        "args": [*simulator_arguments, "--no-sandbox", "--disable-blink-features=AutomationControlled"],
    }


def context_arguments(version: str) -> dict[str, Any]:
    """Return what a context needs to pass for a person's Chrome of this version."""
    major = version.split(".")[0]
    agent = f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"
    return {"user_agent": agent, "bypass_csp": True, "service_workers": "block"}


@dataclass
class Tab:
    """A page of web.whatsapp.com with wa-js inside, and everything wa-js said, in order."""

    page: Page
    events: list[tuple[str, Any]] = field(default_factory=list)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    async def evaluate(self, expression: str, argument: Any = None) -> Any:
        """Evaluate in the page, with a deadline."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.page.evaluate(expression, argument)

    async def event(
        self, name: str, where: Callable[[Any], bool] = lambda _: True, *, after: int = 0, timeout: float = WAIT_SECONDS
    ) -> Any:
        """Return the first such event from position `after` on, waiting for it if need be."""
        position = after
        try:
            async with asyncio.timeout(timeout):
                while True:
                    while position < len(self.events):
                        seen, value = self.events[position]
                        position += 1
                        if seen == name and where(value):
                            return value
                    await self._bell.wait()
        except TimeoutError:
            seen_names = [seen for seen, _ in self.events[after:]]
            raise TimeoutError(f"no {name}; there were {seen_names}") from None

    async def until(self, expression: str, timeout: float = WAIT_SECONDS) -> None:
        """Wait until an expression is true in the page."""
        await self.page.wait_for_function(expression, timeout=timeout * 1000)

    async def code(self) -> str:
        """Return the text of the QR code that is showing, once there is one."""
        value = await self.event("conn.auth_code_change", bool)
        code: str = value["fullCode"]
        return code

    async def main(self) -> None:
        """Wait until the line is ready to send."""
        await self.event("conn.stream_mode_changed", lambda mode: mode == "MAIN")
        await self.event("loader.full_ready")

    def note(self, name: str, value: Any) -> None:
        """Remember an event; the page calls this."""
        self.events.append((name, value))
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


async def open_tab(context: BrowserContext) -> Tab:
    """Open web.whatsapp.com in a new page with wa-js injected before anything else runs."""
    tab = Tab(await context.new_page())
    await tab.page.expose_function("note", tab.note)
    await tab.page.add_init_script("window.WPPConfig = { disableGoogleAnalytics: true };")
    await tab.page.add_init_script(WA_JS.read_text())
    await tab.page.add_init_script(f"({LISTEN})({list(EVENTS)!r})")
    await tab.page.goto(URL)
    return tab


async def launch(playwright: Playwright, arguments: Sequence[str]) -> Browser:
    """Start a browser whose contexts are separate, forgetful profiles."""
    return await playwright.chromium.launch(**launch_arguments(arguments))


async def launch_profile(playwright: Playwright, arguments: Sequence[str], profile: Path) -> BrowserContext:
    """Start a browser on a profile that is kept."""
    version = "140.0"
    options = {**launch_arguments(arguments), **context_arguments(version)}
    return await playwright.chromium.launch_persistent_context(profile, **options)


async def new_context(browser: Browser) -> BrowserContext:
    """Open a fresh profile."""
    return await browser.new_context(**context_arguments(browser.version))
