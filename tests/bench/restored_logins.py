"""How many of 20 logins come online again that were restored from snapshots of browsers that were writing.

Each is a real Chromium on the simulated WhatsApp: a phone scans its code, the page fills a database with tables that
are linked in the snapshot, and goes on writing while it is frozen. Then the browser is killed, and another one starts
on the unpacked archive.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from runner.browser.page import PageError, PageObservation
from runner.browser.whatsapp import WhatsApp, WhatsAppPage, whatsapp
from runner.clock import SystemClock
from runner.profile.archive import ExpectedArchive, pack, unpack
from runner.profile.manifest import Manifest
from runner.profile.staged_copy import COMPLETE_AFTER, StagedCopy, copy_profile
from tests.contract.runner_scene import settings_for
from tests.simulators.whatsapp import WhatsAppSimulator

LOGINS = 20
#: Browsers at the same time.
AT_ONCE = 4
FILLED_MEGABYTES = 40
WAIT_SECONDS = 120.0
#: Fills a database, then goes on writing.
FILL = """async (megabytes) => {
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open('filled', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const put = (number) => new Promise((resolve, reject) => {
    const bytes = new Uint8Array(50000);
    crypto.getRandomValues(bytes);
    const transaction = database.transaction('kept', 'readwrite');
    transaction.objectStore('kept').put(bytes, number);
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  let number = 0;
  while (number < megabytes * 20) await put(number++);
  (async () => { for (;;) { await put(number++ % 100000); await new Promise((next) => setTimeout(next, 100)); } })();
}"""


class Restored(NamedTuple):
    """The result of one login."""

    online: bool
    linked_bytes: int
    copied_bytes: int
    frozen_ms: float


async def wait_for(page: WhatsAppPage, condition: Callable[[PageObservation], bool]) -> PageObservation | None:
    """Returns the first observation for which this is true; None if there is none in time."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        try:
            observation = await page.observe()
        except PageError:
            observation = PageObservation()
        if condition(observation):
            return observation
        await asyncio.sleep(0.3)
    return None


async def save_and_restore(simulator: WhatsAppSimulator, browsers: WhatsApp, directory: Path, number: int) -> Restored:
    """Links one account, takes a snapshot of its busy browser, kills it, and starts another one on the snapshot."""
    profile, staged, archive, back = (directory / name for name in ("profile", "staged", "archive", "back"))
    phone, chromium = f"4917000000{number:02d}", browsers.browser.version
    staged.mkdir(parents=True)
    try:
        async with browsers.open(profile, lambda _hint, _detail: None) as page:
            await page.load()
            code = await wait_for(page, lambda seen: seen.qr is not None)
            assert code is not None and code.qr is not None
            simulator.phone(phone).scan(code.qr.value)
            assert await wait_for(page, lambda seen: seen.authenticated and seen.number is not None) is not None
            await page._page.evaluate(FILL, FILLED_MEGABYTES)
            await asyncio.sleep(COMPLETE_AFTER.total_seconds() + 1)

            def frozen_copy() -> tuple[StagedCopy, float]:
                began = time.monotonic()
                with browsers.freeze(profile) as frozen:
                    copy = copy_profile(profile, staged, lambda: frozen.still, frozen_at_ms=SystemClock().wall_ms())
                    assert frozen.still
                return copy, (time.monotonic() - began) * 1000

            copy, frozen_ms = await asyncio.to_thread(frozen_copy)
            manifest = Manifest(tenant="tenant00001", epoch=1, sequence=1, chromium=chromium, files=copy.files)
            packed = await asyncio.to_thread(lambda: pack(staged, manifest, archive, linked=copy.linked))
            raise PageError("killed")  # as a machine that is lost: no peaceful close
    except PageError as error:
        if str(error) != "killed":
            raise
    expected = ExpectedArchive("tenant00001", 1, 1, packed.sha256, chromium, chromium)
    await asyncio.to_thread(unpack, archive, back, expected)
    async with browsers.open(back, lambda _hint, _detail: None) as page:
        await page.load()
        seen = await wait_for(page, lambda seen: seen.authenticated or seen.qr is not None)
        online = seen is not None and seen.authenticated
        if online:
            online = await wait_for(page, lambda seen: seen.number == phone and seen.mode == "MAIN") is not None
    linked_bytes = sum(each.size for each in copy.files if each.path in copy.linked)
    return Restored(online, linked_bytes, copy.copied_bytes, frozen_ms)


async def measure() -> list[Restored]:
    """Runs all logins, a few at a time."""
    slots = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="logins-") as name:
        async with WhatsAppSimulator() as simulator:
            settings = settings_for(
                Path(name),
                browser_host_rules=simulator.host_rules,
                browser_certificate_spki=simulator.certificate_spki,
            )
            async with whatsapp(settings, SystemClock()) as browsers:

                async def one(number: int) -> Restored:
                    async with slots:
                        return await save_and_restore(simulator, browsers, Path(name) / f"login-{number}", number)

                return list(await asyncio.gather(*(one(number) for number in range(LOGINS))))


def main() -> int:
    """Returns the exit code: 0 if every login came online again."""
    results = asyncio.run(measure())
    online = sum(each.online for each in results)
    linked = sum(each.linked_bytes for each in results) / LOGINS / 1e6
    copied = sum(each.copied_bytes for each in results) / LOGINS / 1e6
    slowest = max(each.frozen_ms for each in results)
    print(
        f"logins: {online} of {LOGINS} restored from snapshots of busy browsers are online; of each "
        f"{linked:.0f} MB linked and {copied:.0f} MB copied, at most {slowest:.0f} ms frozen"
    )
    return 0 if online == LOGINS else 1


if __name__ == "__main__":
    sys.exit(main())
