"""Fixtures of the tests that run the runner's browsers on the simulated WhatsApp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.browser.whatsapp import WhatsApp, whatsapp
from runner.clock import SystemClock
from tests.contract.runner_scene import settings_for
from tests.simulators.whatsapp import WhatsAppSimulator


@pytest.fixture
async def simulator() -> AsyncIterator[WhatsAppSimulator]:
    async with WhatsAppSimulator() as simulator:
        yield simulator


@pytest.fixture
async def browsers(simulator: WhatsAppSimulator, tmp_path: Path) -> AsyncIterator[WhatsApp]:
    settings = settings_for(
        tmp_path, browser_host_rules=simulator.host_rules, browser_certificate_spki=simulator.certificate_spki
    )
    async with whatsapp(settings, SystemClock()) as browsers:
        yield browsers
