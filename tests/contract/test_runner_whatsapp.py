"""The runner with a real Chromium and the unmodified wa-js on the simulated WhatsApp."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.__main__ import compose
from runner.clock import SystemClock
from runner.host import Host
from runner.lease import Lease
from runner.settings import Settings
from runner.whatsapp import WhatsApp, whatsapp
from tests.simulators.whatsapp import WhatsAppSimulator
from tests.unit.runner_fakes import BOOTSTRAP, TENANT, FakeControl, message_id
from wire import Phase, SessionReport

pytestmark = pytest.mark.chromium
NUMBER = "491701111111"
CONTACT = "491702222222"


def settings_for(directory: Path, **fields: Any) -> Settings:
    return Settings(
        control_url="http://unused.test",
        runner_bootstrap_token=BOOTSTRAP,
        data_directory=directory,
        **fields,
    )


@pytest.fixture
async def simulator() -> AsyncIterator[WhatsAppSimulator]:
    async with WhatsAppSimulator() as simulator:
        yield simulator


@pytest.fixture
async def browsers(simulator: WhatsAppSimulator, tmp_path: Path) -> AsyncIterator[WhatsApp]:
    settings = settings_for(
        tmp_path, browser_host_rules=simulator.host_rules, browser_certificate_spki=simulator.certificate_spki
    )
    async with whatsapp(settings, SystemClock(), random.random) as browsers:
        yield browsers


@asynccontextmanager
async def running(browsers: WhatsApp, control: FakeControl, directory: Path) -> AsyncIterator[Host]:
    """A whole runner, drained at the end."""
    clock = SystemClock()
    settings = settings_for(directory)
    host = compose(settings, browsers, control, Lease(clock.now), clock, random.Random())  # type: ignore[arg-type]
    task = asyncio.create_task(host.run())
    try:
        yield host
    finally:
        host.stop()
        async with asyncio.timeout(30):
            await task


def is_online(report: SessionReport) -> bool:
    return report.phase is Phase.ONLINE


async def link(control: FakeControl, simulator: WhatsAppSimulator) -> None:
    report = await control.until_report(lambda report: report.qr is not None)
    assert report.phase is Phase.QR
    assert report.qr is not None
    assert 30_000 < report.qr.expires_in_ms < 60_000
    simulator.phone(NUMBER).scan(report.qr.code)
    await control.until_report(is_online)


async def test_from_the_qr_code_to_a_reply_and_back_online_after_a_restart(
    simulator: WhatsAppSimulator, browsers: WhatsApp, tmp_path: Path
) -> None:
    control = FakeControl(answer=lambda message: [f"You said {message.text}", "And more"])
    control.hold(watched=True)
    contact = simulator.phone(NUMBER).contact(CONTACT, "Ann")
    async with running(browsers, control, tmp_path):
        await link(control, simulator)
        assert control.reports[TENANT].number == NUMBER
        written = contact.write("hello")
        replies = await contact.wait_for_reply(2)
        assert [reply.text for reply in replies] == ["You said hello", "And more"]
        assert [reply.id for reply in replies] == [message_id(TENANT, written.id, part) for part in (0, 1)]
        await control.until(lambda: len(control.sent_parts) == 2)
        await contact.wait_until_read()
    assert control.releases[0].reason == "drained"

    before = contact.write("while you were away")
    control.hold(epoch=3, last_epoch=1, caught_up_to_ms=written.at, number=NUMBER)
    async with running(browsers, control, tmp_path):
        await control.until_report(lambda report: report.epoch == 3 and is_online(report))
        replies = await contact.wait_for_reply(4)
        assert replies[2].id == message_id(TENANT, before.id, 0)
    assert not [report for report in control.syncs if any(one.qr for one in report.sessions if one.epoch == 3)]
    assert simulator.phone(NUMBER).duplicates == 0
