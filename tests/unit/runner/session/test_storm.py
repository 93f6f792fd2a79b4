"""All sessions of a machine start at once: each page boots once, and the work takes as long as the processors need."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.browser.boot_gate import BootGate
from runner.browser.page import PageObservation, PageSilent
from tests.unit.runner.session.test_session import QR, Scene, no_other_thread
from tests.unit.support.runner_fakes import FakeClock, FakePage
from wire import Phase

pytestmark = pytest.mark.thorough
__all__ = ["no_other_thread"]
PROCESSORS = 2
BOOT_CPU_SECONDS = 5.0
LOOK_TIMEOUT_SECONDS = 10.0
STEP_SECONDS = 0.5


@dataclass
class BootingPage(FakePage):
    """A page that works on a shared processor until it has booted, and answers nothing meanwhile."""

    clock: FakeClock = field(default_factory=FakeClock)
    left: float = 0.0

    async def load(self) -> None:
        await super().load()
        self.left = BOOT_CPU_SECONDS  # also if it had nearly done it

    async def observe(self) -> PageObservation:
        began = self.clock.now()
        while self.left > 0:
            if self.clock.now() - began >= LOOK_TIMEOUT_SECONDS:
                raise PageSilent("observe: no answer")
            await self.clock.sleep(STEP_SECONDS)
        return await super().observe()


async def storm(directory: Path, sessions: int, slots: int, within: float) -> tuple[int, int]:
    """Returns how many sessions show a code after ``within`` times the work, and how many loads that took."""
    clock = FakeClock()
    gate = BootGate(slots, clock)
    scenes = [Scene(directory / str(number), gate=gate) for number in range(sessions)]
    for scene in scenes:
        scene.whatsapp.page = BootingPage(observation=QR, clock=clock)
        scene.task = asyncio.create_task(scene.session.run())
    for _ in range(int(within * sessions * BOOT_CPU_SECONDS / PROCESSORS / STEP_SECONDS)):
        await clock.advance(STEP_SECONDS, step=STEP_SECONDS)
        booting = [page for scene in scenes if isinstance(page := scene.page, BootingPage) and page.left > 0]
        for page in booting:
            page.left -= STEP_SECONDS * min(1.0, PROCESSORS / len(booting))
    shown = sum(scene.phase is Phase.QR for scene in scenes)
    loads = sum(scene.page.calls.count("load") for scene in scenes)
    for scene in scenes:
        scene.task.cancel()
    await asyncio.gather(*(scene.task for scene in scenes), return_exceptions=True)
    return shown, loads


@pytest.mark.parametrize("sessions", [1, 8, 14, 25])
async def test_every_page_boots_once_and_the_last_one_in_time(tmp_path: Path, sessions: int) -> None:
    within = 1.8 if sessions > PROCESSORS else 4.0
    assert await storm(tmp_path, sessions, PROCESSORS, within) == (sessions, sessions)


async def test_without_the_gate_they_would_never_come_up(tmp_path: Path) -> None:
    """So the model is one in which a gate is needed."""
    shown, loads = await storm(tmp_path, 25, 25, 3.0)
    assert shown < 25 or loads > 25
