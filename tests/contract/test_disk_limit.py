"""A page that writes without end stops at its limit: the disk is shared, and the other sessions go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from runner.browser import chromium
from runner.browser.whatsapp import WhatsApp, WhatsAppPage, whatsapp
from runner.clock import SystemClock
from runner.settings import Settings
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.support.runner_fakes import BOOTSTRAP

pytestmark = pytest.mark.chromium

QUOTA_BYTES = 24_000_000
#: LevelDB keeps what was replaced a while longer, and a browser has files of its own.
OVERHEAD_BYTES = 24_000_000

#: Writes a database, the page's cache and its private files, each until it is refused; returns what was refused.
FILL = """async () => {
  const names = [];
  const chunk = () => { const bytes = new Uint8Array(1 << 20);
    for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
    return bytes; };
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open('endless', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const put = (number) => new Promise((resolve, reject) => {
    const transaction = database.transaction('kept', 'readwrite');
    transaction.objectStore('kept').put(chunk(), number);
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  try { for (let number = 0; number < 200; number++) await put(number); } catch (error) { names.push(error.name); }
  try {
    const cache = await caches.open('endless');
    for (let number = 0; number < 200; number++) await cache.put('/endless/' + number, new Response(chunk()));
  } catch (error) { names.push(error.name); }
  try {
    const root = await navigator.storage.getDirectory();
    const file = await (await root.getFileHandle('endless', {create: true})).createWritable();
    for (let number = 0; number < 200; number++) await file.write(chunk());
    await file.close();
  } catch (error) { names.push(error.name); }
  return names;
}"""
WRITE_A_LITTLE = (
    "async () => { localStorage.setItem('a', 'b'); await (await caches.open('few')).put('/x', new Response('y')); }"
)


@pytest.fixture
async def browsers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WhatsApp]:
    monkeypatch.setattr(chromium, "STORAGE_QUOTA_BYTES", QUOTA_BYTES)
    async with WhatsAppSimulator() as simulator:
        settings = Settings(
            control_url="http://unused.test",
            runner_bootstrap_token=BOOTSTRAP,
            data_directory=tmp_path,
            browser_host_rules=simulator.host_rules,
            browser_certificate_spki=simulator.certificate_spki,
        )
        async with whatsapp(settings, SystemClock()) as browsers:
            yield browsers


def size_of(directory: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


async def open_page(browsers: WhatsApp, profile: Path, opened: AsyncExitStack) -> WhatsAppPage:
    page = await opened.enter_async_context(browsers.open(profile, lambda _hint, _detail: None))
    await page.load()
    return page


@pytest.mark.timeout(120)
async def test_a_page_that_writes_without_end_stops_at_the_limit_and_others_go_on(
    browsers: WhatsApp, tmp_path: Path
) -> None:
    endless, other = tmp_path / "endless", tmp_path / "other"
    async with AsyncExitStack() as opened:
        writing = await open_page(browsers, endless, opened)
        going_on = await open_page(browsers, other, opened)
        async with asyncio.timeout(60):
            refused = await writing._page.evaluate(FILL)
        assert refused == ["QuotaExceededError"] * 3
        assert size_of(endless) < QUOTA_BYTES + OVERHEAD_BYTES
        await going_on._page.evaluate(WRITE_A_LITTLE)
        assert (await going_on.observe()) is not None
        await writing.load()  # a reload does not lift the limit
        async with asyncio.timeout(60):
            assert await writing._page.evaluate(FILL) == ["QuotaExceededError"] * 3
        assert size_of(endless) < QUOTA_BYTES + OVERHEAD_BYTES
