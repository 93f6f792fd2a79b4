"""A simulator for each module, with a browser and the phone of a line."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.contract.whatsapp.switches import FAST
from tests.simulators.whatsapp import Phone, WhatsAppSimulator
from tests.simulators.whatsapp.browser import launch, new_context


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[WhatsAppSimulator]:
    async with WhatsAppSimulator(switches=FAST) as simulator:
        yield simulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(simulator: WhatsAppSimulator) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright, simulator.chromium_arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phone(simulator: WhatsAppSimulator) -> Phone:
    return simulator.phone("4915100000001", "Bakery")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await new_context(browser)
    yield context
    await context.close()
