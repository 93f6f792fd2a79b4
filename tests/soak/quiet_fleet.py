"""Many runners without browsers in one process: the real hosts, each with its own connection and identity."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from runner.clock import SystemClock
from runner.control_plane.client import connect
from runner.settings import Settings
from tests.soak.quiet_runner import compose

#: Runners start so far apart, as tasks do.
START_SPACING_SECONDS = 0.05


class QuietFleet:
    """The runners, by the names of their tasks.

    Args:
        control_url: the control plane.
        token: the bootstrap token.
        capacity: the sessions that a runner takes.
        commit: the release that they are of.
        directory: theirs.
        begin_task: reports a task to ECS, and returns its ARN.
    """

    def __init__(
        self,
        control_url: str,
        token: str,
        capacity: int,
        commit: str,
        directory: Path,
        begin_task: Callable[[str], str],
    ) -> None:
        self._control_url = control_url
        self._token = token
        self._capacity = capacity
        self._commit = commit
        self._directory = directory
        self._begin_task = begin_task
        self._running: dict[str, asyncio.Task[None]] = {}
        self._started = 0

    async def start(self, count: int) -> None:
        """Starts so many more runners."""
        for _ in range(count):
            self._started += 1
            name = f"{self._started:032x}"
            task = await asyncio.to_thread(self._begin_task, name)
            self._running[name] = asyncio.create_task(self._run(name, task))
            await asyncio.sleep(START_SPACING_SECONDS)

    async def lose(self, count: int) -> None:
        """Ends so many runners at once and without a word, as their machines do."""
        lost = [self._running.pop(name) for name in list(self._running)[:count]]
        for running in lost:
            running.cancel()
        await asyncio.gather(*lost, return_exceptions=True)

    async def _run(self, name: str, task: str) -> None:
        directory = self._directory / name
        directory.mkdir(parents=True, exist_ok=True)
        settings = SimpleNamespace(
            capacity=self._capacity, task=task, image="", commit=self._commit, data_directory=directory
        )
        async with connect(self._control_url, self._token) as client:
            await compose(cast(Settings, settings), client, SystemClock(), has_contacts=False).run()
