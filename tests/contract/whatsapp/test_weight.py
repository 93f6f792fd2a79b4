"""The simulator's heavy pages: scripts that keep a processor busy at the start, and accounts with much data."""

import pytest
from playwright.async_api import Browser

from tests.contract.whatsapp.switches import FAST
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.simulators.whatsapp.browser import new_context, open_tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORED_BYTES = "navigator.storage.estimate().then(({ usage }) => usage)"


async def test_a_page_works_before_its_modules_are_there_and_then_shows_a_code(
    simulator: WhatsAppSimulator, browser: Browser
) -> None:
    simulator.set(boot_work=20)
    context = await new_context(browser)
    try:
        tab = await open_tab(context)
        assert await tab.code()
        assert await tab.evaluate("self.bootWork") != 1
    finally:
        simulator.set(boot_work=FAST.boot_work)
        await context.close()


async def test_the_page_of_a_big_account_stores_as_much_as_it_is_told(
    simulator: WhatsAppSimulator, browser: Browser
) -> None:
    phone = simulator.phone("4915100000012", "Big bakery")
    context = await new_context(browser)
    try:
        tab = await open_tab(context)
        phone.scan(await tab.code())
        await tab.main()
        before = await tab.evaluate(STORED_BYTES)
        phone.hoard(6)
        await tab.page.wait_for_function(f"async () => await {STORED_BYTES} >= {before + (6 << 20)}")
    finally:
        await context.close()
