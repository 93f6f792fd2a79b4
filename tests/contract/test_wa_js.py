"""wa-js has every name that the bridge uses, on a linked page."""

from __future__ import annotations

import pytest
from playwright.async_api import async_playwright

from runner.browser.injected_script import BRIDGE
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.simulators.whatsapp.browser import launch, new_context, open_tab
from tests.unit.support.page_scripts import SCRIPTS, names_used

pytestmark = pytest.mark.chromium
BRIDGE_TEXT = "\n".join((SCRIPTS / name).read_text() for name in BRIDGE)


def test_the_names_are_found_in_the_bridge() -> None:
    names = names_used(BRIDGE_TEXT)
    assert {"chat.sendTextMessage", "conn.getMyUserId", "whatsapp.functions.queryWidExists", "whatsapp.Conn"} <= names
    assert len(names) > 20
    assert set(BRIDGE) == {path.name for path in SCRIPTS.glob("*.js")}


async def test_wa_js_has_everything_the_bridge_uses() -> None:
    async with WhatsAppSimulator() as simulator, async_playwright() as playwright:
        browser = await launch(playwright, simulator.chromium_arguments)
        tab = await open_tab(await new_context(browser))
        simulator.phone("4915100000051").scan(await tab.code())
        await tab.main()
        lost = await tab.evaluate(
            """(paths) => paths.filter((path) => {
                try { return path.split('.').reduce((object, name) => object[name], WPP) === undefined; }
                catch { return true; }
            })""",
            sorted(names_used(BRIDGE_TEXT)),
        )
        await browser.close()
    assert not lost, f"wa-js lacks {', '.join(lost)}"
