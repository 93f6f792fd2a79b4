"""A stack that runs in a process of its own: its start, its processes, what they use, and its table."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from chalicelib.model import Session
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from infrastructure.checkout import REPOSITORY
from infrastructure.local.aws import Aws
from infrastructure.local.ecs.supervisor import STOP_GRACE_SECONDS
from tests.soak.idle import Sample, Usage
from wire import Phase

START_TIMEOUT_SECONDS = 180.0
#: The stores, the control plane, and the process that started them; not simulators, runners and their browsers.
PARTS = ("table", "ministack", "functions")
OWN = "stack"


class Running:
    """A running stack.

    Args:
        process: its own process.
        content: of its `stack.json`.
        start_seconds: how long it took from the process's start until the application answered.
    """

    def __init__(self, process: psutil.Process, content: Mapping[str, Any], start_seconds: float) -> None:
        self._process = process
        self._content = content
        self.start_seconds = start_seconds
        self.aws = Aws(**content["aws"])

    @property
    def admin_url(self) -> str:
        return str(self._content["admin"])

    @cached_property
    def table(self) -> Table:
        """The stack's one table."""
        client = self.aws.client("dynamodb")
        (name,) = client.list_tables()["TableNames"]
        return Table(client, name)

    def sessions(self) -> list[Session]:
        """Returns all sessions, a moment old."""
        return [session for _, session in Tenants(self.table, Timeline(self.table)).list_all()]

    def wait_until_online(self, count: int, within_seconds: float) -> float:
        """Waits until so many lines are online; returns the seconds since the application answered."""
        began_at = time.monotonic()
        while sum(session.phase is Phase.ONLINE for session in self.sessions()) < count:
            if time.monotonic() - began_at > within_seconds:
                raise TimeoutError(f"not all {count} lines are online after {within_seconds:.0f} s")
            time.sleep(0.5)
        return time.monotonic() - began_at

    def replies_since(self, instant: int) -> int:
        """Returns how many lines have sent a reply since then; epoch milliseconds."""
        return sum((session.last_reply_at or 0) >= instant for session in self.sessions())

    def sample(self) -> Sample:
        """Returns what each process of stores and control plane used up to now."""
        found = {OWN: self._process}
        for name in PARTS:
            process = psutil.Process(self._content["pids"][name])
            found[name] = process
            for child in process.children(recursive=True):
                found[f"{name}: {child.name()}"] = child
        return Sample(time.monotonic(), {name: _usage_of(process) for name, process in found.items()})


def _usage_of(process: psutil.Process) -> Usage:
    with process.oneshot():
        times = process.cpu_times()
        return Usage(process.memory_info().rss, times.user + times.system, process.num_threads())


@contextmanager
def running(data: Path, *options: str) -> Iterator[Running]:
    """Starts a stack in a process of its own, with the options of `tests/soak/stack.py`; stops it as Ctrl-C does."""
    file = data / "stack.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.soak.stack", str(data), *options]
    log = data.with_suffix(".log")
    with log.open("ab") as output:
        began_at = time.monotonic()
        child = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output)
    try:
        content = _await_start(child, file, log)
        yield Running(psutil.Process(child.pid), content, time.monotonic() - began_at)
    finally:
        child.terminate()
        try:
            child.wait(STOP_GRACE_SECONDS + START_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise


def _await_start(child: "subprocess.Popen[bytes]", file: Path, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        try:
            content: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError):
            time.sleep(0.02)
            continue
        with urllib.request.urlopen(f"{content['admin'].removesuffix('/admin')}/health", timeout=30):
            return content
    raise RuntimeError(f"the stack did not start; {log} says why")
