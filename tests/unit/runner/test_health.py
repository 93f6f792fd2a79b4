"""A runner is healthy while its event loop turns, whatever else is down."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from runner.health import BEAT_EVERY, STILL_ALIVE_AFTER, beat, sign, trouble
from tests.unit.support.runner_fakes import FakeClock, settle


async def test_a_runner_is_well_for_as_long_as_its_loop_turns(tmp_path: Path) -> None:
    clock, directory = FakeClock(), tmp_path / "not made yet"
    beating = asyncio.create_task(beat(directory, clock))
    await settle()
    for _ in range(20):
        assert trouble(directory, clock) == ""
        await clock.advance(BEAT_EVERY.total_seconds())
    beating.cancel()
    await clock.advance(STILL_ALIVE_AFTER.total_seconds() + 1)
    assert trouble(directory, clock) == "The runner has shown no sign of life for 31 s."


def test_a_runner_that_never_came_to_life_is_not_well(tmp_path: Path) -> None:
    assert "No such file" in trouble(tmp_path, FakeClock())


async def test_a_disk_that_takes_nothing_ends_no_runner(tmp_path: Path) -> None:
    clock = FakeClock()
    sign(tmp_path).symlink_to(tmp_path / "missing" / "file")
    beating = asyncio.create_task(beat(tmp_path, clock))
    await settle()
    assert not beating.done()
    assert trouble(tmp_path, clock) != ""
    beating.cancel()


def test_the_check_as_a_program_says_no_and_why(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "DATA_DIRECTORY": str(tmp_path)}
    command = [sys.executable, "-m", "runner.health"]
    before = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (before.returncode, "No sign of life" in before.stderr) == (1, True)
    sign(tmp_path).touch()
    after = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (after.returncode, after.stderr) == (0, "")
