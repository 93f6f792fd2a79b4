"""How long many lines take to start at once on one machine, beside one that starts alone in the same run.

A whole runner with real Chromiums on the simulated WhatsApp, whose page works for some seconds of a processor before
its modules are there. The last code should come after little more than the time that this work takes, shared by all
processors, and no page should be loaded twice.
"""

import asyncio
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from runner.__main__ import compose
from runner.browser.chromium import processes_of
from runner.browser.page import Page, PageSilent
from runner.browser.whatsapp import WhatsApp, whatsapp
from runner.clock import SystemClock
from runner.control_plane.lease import Lease
from runner.log_events import LogEvent
from runner.processors import count_processors
from tests.contract.runner_scene import settings_for
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.support.runner_fakes import BOOTSTRAP, FakeClient, FakeControl

SIZES = (14, 25)
#: The starts alone, of which the median counts.
RUNS = 3
#: The work of a page at its start, in seconds of a processor.
BOOT_CPU_SECONDS = 5.0
#: The units of the simulator's switch from which the work of one is known.
PROBE_UNITS = 1_000
#: The longest time for the last code, in multiples of the work divided by the processors.
FACTOR_AT_MOST = 1.8
GIVE_UP_SECONDS = 600.0
RENEWALS = {LogEvent.PAGE_RELOADED, LogEvent.BROWSER_ROTATED, LogEvent.BROWSER_LOST}


class Renewals(logging.Handler):
    """Counts the pages that were loaded again, and the browsers that were replaced or lost."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.msg in RENEWALS


def cpu_seconds(profile: Path) -> float:
    """Returns the processor time of a browser and its descendants so far."""
    total = 0.0
    for process in processes_of(profile):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


async def boot_alone(browsers: WhatsApp, profile: Path) -> float:
    """Starts one page until it shows a code; returns the seconds of a processor that its browser used."""
    async with browsers.open(profile, lambda _hint, _detail: None) as page:
        await page.load()
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while not await _shows_code(page):  # noqa: ASYNC110 - a page sends no notification that we could use
                await asyncio.sleep(0.1)
        return cpu_seconds(profile)


async def _shows_code(page: Page) -> bool:
    try:
        return (await page.observe()).qr is not None
    except PageSilent:
        return False


@asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[tuple[WhatsAppSimulator, WhatsApp]]:
    """Runs the simulator and a driver for browsers that believe in it."""
    async with WhatsAppSimulator() as simulator:
        settings = settings_for(
            directory, browser_host_rules=simulator.host_rules, browser_certificate_spki=simulator.certificate_spki
        )
        async with whatsapp(settings, SystemClock()) as browsers:
            yield simulator, browsers


async def start_all(browsers: WhatsApp, directory: Path, pages: int, slots: int) -> tuple[float, int]:
    """Starts so many lines at once; returns the seconds until the last one shows a code, and the renewals."""
    control, clock, renewals = FakeControl(), SystemClock(), Renewals()
    tenants = [f"tenant{number:05}" for number in range(pages)]
    for tenant in tenants:
        control.hold(tenant, watched=True)
    host = compose(
        settings=settings_for(directory, capacity=pages),
        browsers=browsers,
        client=FakeClient(control, BOOTSTRAP),
        lease=Lease(clock.now),
        clock=clock,
        jitter=random.Random(),
        boot_slots=slots,
    )
    logger = logging.getLogger("runner")
    level = logger.level
    logger.addHandler(renewals)
    logger.setLevel(logging.INFO)
    waiting = set(tenants)

    def all_have_shown_a_code() -> bool:
        waiting.difference_update([name for name, report in control.reports.items() if report.qr is not None])
        return not waiting

    began = time.monotonic()
    running = asyncio.create_task(host.run())
    try:
        await control.until(all_have_shown_a_code, within=GIVE_UP_SECONDS)
        return time.monotonic() - began, renewals.count
    finally:
        logger.removeHandler(renewals)
        logger.setLevel(level)
        host.stop()
        await running


async def measure(pages: int, slots: int) -> bool:
    """Prints one line; returns whether the bounds hold."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        directory = Path(name)
        async with scene(directory) as (simulator, browsers):
            idle = await boot_alone(browsers, directory / "probe" / "idle")
            simulator.set(boot_work=PROBE_UNITS)
            probed = await boot_alone(browsers, directory / "probe" / "working")
            simulator.set(boot_work=int(PROBE_UNITS * BOOT_CPU_SECONDS / max(0.01, probed - idle)))
            alone = [await boot_alone(browsers, directory / "probe" / f"alone-{number}") for number in range(RUNS)]
            seconds, renewals = await start_all(browsers, directory / "runner", pages, slots)
    boot = statistics.median(alone)
    ideal = pages * boot / slots
    print(
        f"storm: {pages} pages of {boot:.1f} CPU s at the start (alone) on {slots} processors: last code after "
        f"{seconds:.0f} s = {seconds / ideal:.2f} × the work, {renewals} reloads",
        flush=True,
    )
    return renewals == 0 and seconds <= FACTOR_AT_MOST * ideal


def main() -> int:
    """Returns the exit code: 0 if the bounds hold for every size."""
    sizes = [int(each) for each in sys.argv[1:]] or list(SIZES)
    held = [asyncio.run(measure(pages, count_processors())) for pages in sizes]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
