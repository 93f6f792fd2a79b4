"""A copy of a running Chromium is complete: databases under load, and keys that no script can read out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.browser.chromium import processes_of
from runner.browser.process_freeze import MAX_FREEZE_SECONDS
from runner.browser.whatsapp import WhatsApp, WhatsAppPage, whatsapp
from runner.clock import SystemClock
from runner.profile.archive import ExpectedArchive, pack, unpack
from runner.profile.manifest import Manifest
from runner.profile.staged_copy import copy_profile
from runner.settings import Settings
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.support.runner_fakes import BOOTSTRAP, TENANT

pytestmark = pytest.mark.chromium

COPIES = 4

OPEN = """
  const open = () => new Promise((resolve, reject) => {
    const request = indexedDB.open('load', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const get = (database, key) => new Promise((resolve, reject) => {
    const request = database.transaction('kept').objectStore('kept').get(key);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
"""

#: A key that never leaves the browser, a text that it encrypted, and then endless records, each counted once written.
WRITE = f"""async () => {{
  {OPEN}
  const put = (database, entries) => new Promise((resolve, reject) => {{
    const transaction = database.transaction('kept', 'readwrite');
    for (const [key, value] of entries) transaction.objectStore('kept').put(value, key);
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  }});
  const database = await open();
  const key = await crypto.subtle.generateKey({{name: 'AES-GCM', length: 256}}, false, ['encrypt', 'decrypt']);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const locked = await crypto.subtle.encrypt({{name: 'AES-GCM', iv}}, key, new TextEncoder().encode('the login'));
  await put(database, [['key', key], ['iv', iv], ['locked', locked]]);
  window.written = 0;
  (async () => {{
    for (let number = 1; ; number++) {{
      const record = crypto.getRandomValues(new Uint8Array(20000));
      await put(database, [['record-' + number, record], ['count', number]]);
      window.written = number;
      localStorage.setItem('count', number);
    }}
  }})();
}}"""

READ = f"""async () => {{
  {OPEN}
  const database = await open();
  const key = await get(database, 'key');
  if (!key) return null;
  const opened = await crypto.subtle.decrypt(
    {{name: 'AES-GCM', iv: await get(database, 'iv')}}, key, await get(database, 'locked'));
  const count = await get(database, 'count');
  let whole = 0;
  for (let number = 1; number <= count; number++) {{
    const record = await get(database, 'record-' + number);
    if (record && record.length === 20000) whole++;
  }}
  return {{opened: new TextDecoder().decode(opened), extractable: key.extractable, count, whole}};
}}"""


@pytest.fixture
async def browsers(tmp_path: Path) -> AsyncIterator[WhatsApp]:
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


@asynccontextmanager
async def page_on(browsers: WhatsApp, profile: Path) -> AsyncIterator[WhatsAppPage]:
    async with browsers.open(profile, lambda _hint, _detail: None) as page:
        await page.load()
        yield page


async def evaluate(page: WhatsAppPage, script: str) -> Any:
    async with asyncio.timeout(20):
        return await page._page.evaluate(script)


def archived(profile: Path, browsers: WhatsApp, place: Path) -> tuple[Path, float, int]:
    """A frozen copy, packed and brought back; the seconds for which it was frozen, and the archive's size."""
    staging, archive, back = place / "staging", place / "archive", place / "back"
    staging.mkdir(parents=True)
    begun = time.monotonic()
    with browsers.freeze(profile) as frozen:
        copy = copy_profile(profile, staging, lambda: frozen.still, frozen_at_ms=SystemClock().wall_ms())
        assert frozen.still
    frozen_seconds = time.monotonic() - begun
    manifest = Manifest(tenant=TENANT, epoch=2, sequence=1, chromium=browsers.browser.version, files=copy.files)
    packed = pack(staging, manifest, archive, linked=copy.linked)
    unpack(archive, back, ExpectedArchive(TENANT, 2, 1, packed.sha256, browsers.browser.version))
    return back, frozen_seconds, packed.size_bytes


@pytest.mark.timeout(120)
async def test_databases_and_keys_survive_being_copied_under_load(browsers: WhatsApp, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    chance = random.Random(3)
    copies: list[tuple[Path, int]] = []
    async with page_on(browsers, profile) as page:
        await evaluate(page, WRITE)
        for number in range(COPIES):
            await asyncio.sleep(chance.uniform(0.3, 0.8))
            before = int(await evaluate(page, "() => window.written"))
            back, frozen_seconds, size = await asyncio.to_thread(
                archived, profile, browsers, tmp_path / f"copy-{number}"
            )
            print(f"copy {number}: {before} records written, frozen for {frozen_seconds * 1000:.0f} ms, {size:,} bytes")
            assert frozen_seconds < 1.0
            copies.append((back, before))
        assert int(await evaluate(page, "() => window.written")) > before, "it went on"
    for back, before in copies:
        async with page_on(browsers, back) as page:
            found = await evaluate(page, READ)
        assert found is not None, "the copy opened as an empty database"
        assert (found["opened"], found["extractable"]) == ("the login", False)
        assert found["whole"] == found["count"] >= before


def fail_while_frozen(browsers: WhatsApp, profile: Path) -> None:
    with browsers.freeze(profile):
        (profile / "nowhere" / "file").read_bytes()


async def test_every_process_of_a_browser_is_frozen_and_goes_on(browsers: WhatsApp, tmp_path: Path) -> None:
    profile = tmp_path / "profile"

    def states() -> set[str]:
        return {process.status() for process in processes_of(profile)}

    async with page_on(browsers, profile) as page:
        with browsers.freeze(profile):
            assert states() == {psutil.STATUS_STOPPED}
        assert psutil.STATUS_STOPPED not in states()
        assert await evaluate(page, "() => 1 + 1") == 2
        with pytest.raises(FileNotFoundError):
            fail_while_frozen(browsers, profile)
        assert psutil.STATUS_STOPPED not in states()


async def test_a_browser_that_is_frozen_too_long_goes_on_by_itself(browsers: WhatsApp, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    async with page_on(browsers, profile) as page:
        with browsers.freeze(profile) as frozen:
            before = frozen.still
            await asyncio.sleep(MAX_FREEZE_SECONDS + 0.3)
            assert (before, frozen.still) == (True, False), "the copy must be discarded"
            assert await evaluate(page, "() => 1 + 1") == 2


async def test_the_frozen_browser_of_a_killed_runner_is_gone_before_the_next_browser(
    browsers: WhatsApp, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    async with page_on(browsers, profile):
        left = processes_of(profile)
        for process in left:
            process.suspend()
        async with page_on(browsers, profile) as second:
            assert await evaluate(second, "() => 1 + 1") == 2
            assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left)
