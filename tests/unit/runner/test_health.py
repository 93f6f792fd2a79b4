"""A runner is healthy while its event loop works, also when other parts are down."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from runner.health import HEARTBEAT_EVERY, MAX_SILENCE, find_failure, heartbeat_file, write_heartbeats
from tests.unit.support.runner_fakes import FakeClock, settle


async def test_a_runner_is_healthy_while_its_loop_works(tmp_path: Path) -> None:
    clock, directory = FakeClock(), tmp_path / "not made yet"
    beating = asyncio.create_task(write_heartbeats(directory, clock))
    await settle()
    for _ in range(20):
        assert find_failure(directory, clock) is None
        await clock.advance(HEARTBEAT_EVERY.total_seconds())
    beating.cancel()
    await clock.advance(MAX_SILENCE.total_seconds() + 1)
    assert find_failure(directory, clock) == "The runner has shown no sign of life for 31 s."


def test_a_runner_that_never_started_is_not_healthy(tmp_path: Path) -> None:
    assert "No such file" in (find_failure(tmp_path, FakeClock()) or "")


async def test_a_full_disk_ends_no_runner(tmp_path: Path) -> None:
    clock = FakeClock()
    heartbeat_file(tmp_path).symlink_to(tmp_path / "missing" / "file")
    beating = asyncio.create_task(write_heartbeats(tmp_path, clock))
    await settle()
    assert not beating.done()
    assert find_failure(tmp_path, clock) is not None
    beating.cancel()


def test_the_check_as_a_program_fails_with_a_reason(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "DATA_DIRECTORY": str(tmp_path)}
    command = [sys.executable, "-m", "runner.health"]
    before = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (before.returncode, "No sign of life" in before.stderr) == (1, True)
    heartbeat_file(tmp_path).touch()
    after = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (after.returncode, after.stderr) == (0, "")
