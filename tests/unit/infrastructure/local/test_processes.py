"""Child processes: their logs stay bounded while they are written."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local import processes
from infrastructure.local.processes import Child, wait_until_ready

#: Writes two lines, and a third one once it is asked to end.
TALKATIVE = """
import signal, sys
def end(*_):
    print("the end", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("a long line " * 10, flush=True)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    started = start(tmp_path)
    yield started
    started.kill_tree()


def start(directory: Path) -> Child:
    child = Child("talkative", [sys.executable, "-c", TALKATIVE], dict(os.environ), directory / "talkative.log")
    wait_until_ready(child, lambda: "ready" in child.log.read_text(), 30)
    return child


def test_a_log_that_has_grown_is_moved_while_its_process_writes_on(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    child.bound_log()
    assert child.log_tail(1) == "ready"  # small enough
    monkeypatch.setattr(processes, "LOG_BYTES_AT_MOST", 100)
    child.bound_log()
    previous = child.log.with_name("talkative.previous.log")
    assert child.log.read_bytes() == b""
    assert previous.read_text().endswith("ready\n")
    child.stop(30)
    assert child.log.read_bytes() == b"the end\n"  # at the beginning, without a hole


def test_the_previous_log_is_the_only_one_that_is_kept(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES_AT_MOST", 100)
    child.bound_log()
    child.bound_log()  # nothing new: the previous log stays
    child.stop(30)
    again = start(child.log.parent)
    again.stop(30)
    assert sorted(path.name for path in child.log.parent.iterdir()) == ["talkative.log", "talkative.previous.log"]
    assert child.log.with_name("talkative.previous.log").read_text() == "the end\n"


def test_a_log_that_is_gone_stops_nothing(child: Child) -> None:
    child.log.unlink()
    child.bound_log()
    assert child.exit_code is None
