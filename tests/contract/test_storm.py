"""Many pages that start at once come up one after the other, and none is loaded twice (tests/bench/storm.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.browser import boot_gate
from runner.browser.boot_gate import BootGate, BootPlace
from tests.bench.storm import scene, start_all

pytestmark = pytest.mark.chromium
PAGES = 4
#: Units of about a millisecond.
WORK = 400


@pytest.mark.parametrize("slots", [1, 2])
async def test_pages_that_start_together_take_turns_and_none_is_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    inside: list[int] = []
    enter = BootGate.enter

    def counted(gate: BootGate, place: BootPlace, *, urgent: bool) -> bool:
        entered = enter(gate, place, urgent=urgent)
        inside.append(len(gate._inside))
        return entered

    monkeypatch.setattr(boot_gate.BootGate, "enter", counted)
    async with scene(tmp_path) as (simulator, browsers):
        simulator.set(boot_work=WORK)
        _, renewals = await start_all(browsers, tmp_path / "runner", PAGES, slots)
    assert renewals == 0
    assert max(inside) == slots
