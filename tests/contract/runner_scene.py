"""A whole runner with real Chromiums on the simulated WhatsApp, and a control plane in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runner.__main__ import compose
from runner.browser.whatsapp import WhatsApp
from runner.clock import SystemClock
from runner.control_plane.lease import Lease
from runner.host import Host
from runner.settings import Settings
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.simulators.whatsapp.browser import WA_JS
from tests.unit.support.runner_fakes import BOOTSTRAP, FakeClient, FakeControl
from wire import Phase, SessionReport

NUMBER = "491701111111"
CONTACT = "491702222222"


def settings_for(directory: Path, **fields: Any) -> Settings:
    return Settings(
        control_url="http://unused.test",
        runner_bootstrap_token=BOOTSTRAP,
        data_directory=directory,
        wa_js=WA_JS,
        **fields,
    )


@asynccontextmanager
async def running(
    browsers: WhatsApp, control: FakeControl, directory: Path, lease: Lease | None = None
) -> AsyncIterator[Host]:
    """A whole runner, drained at the end."""
    clock = SystemClock()
    settings = settings_for(directory)
    host = compose(
        settings=settings,
        browsers=browsers,
        client=FakeClient(control, BOOTSTRAP),
        lease=lease or Lease(clock.now),
        clock=clock,
        jitter=random.Random(),
    )
    task = asyncio.create_task(host.run())
    try:
        yield host
    finally:
        host.stop()
        async with asyncio.timeout(30):
            await task


async def becomes_true(condition: Callable[[], bool], within: float = 15.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - processes and sockets send no notification
            await asyncio.sleep(0.1)


def is_online(report: SessionReport) -> bool:
    return report.phase is Phase.ONLINE


async def link(control: FakeControl, simulator: WhatsAppSimulator) -> None:
    report = await control.until_report(lambda report: report.qr is not None)
    assert report.phase is Phase.QR
    assert report.qr is not None
    assert 30_000 < report.qr.expires_in_ms < 60_000
    simulator.phone(NUMBER).scan(report.qr.code)
    await control.until_report(is_online)
