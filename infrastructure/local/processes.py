"""Child processes: each has a log, ends when its parent dies, and is killed by pid with its descendants."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from infrastructure.checkout import REPOSITORY
from infrastructure.local.settings import CannotStart

#: A log that has grown beyond this becomes the previous one, which it replaces: a child's logs take twice as much.
LOG_BYTES_AT_MOST = 8 * 1024 * 1024

_PARENT_DEATH = Path(__file__).with_name("parent_death.py")


class Child:
    """A child process."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Starts the process. The calling thread must outlive it: the kernel signals the death of the *thread*."""
        self.name = name
        self.log = log
        self.started_at = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size:
            log.replace(self._previous_log)
        launcher = [sys.executable, "-I", "-S", str(_PARENT_DEATH), str(int(signal.SIGTERM)), str(os.getpid())]
        log.unlink(missing_ok=True)
        with log.open("ab") as output:  # appending: its end is looked for at each write, also after `bound_log`
            self._process = subprocess.Popen(
                [*launcher, *command],
                env=dict(environment),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def _previous_log(self) -> Path:
        return self.log.with_suffix(".previous.log")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; ``None`` while the process runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Sends SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def wait(self, timeout_seconds: float) -> bool:
        """Waits for the process; returns whether it ended in time."""
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill_tree(self) -> None:
        """Sends SIGKILL to the process and its descendants."""
        kill_tree(self.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)

    def stop(self, grace_seconds: float) -> None:
        """Shuts the process down gracefully: SIGTERM, then SIGKILL after ``grace_seconds``."""
        self.terminate()
        if not self.wait(grace_seconds):
            self.kill_tree()

    def bound_log(self) -> None:
        """Bounds the log, which the child goes on writing: called now and then, at any time.

        NOT guaranteed: the lines that the child writes between the copy and the truncation, a few milliseconds.
        """
        with contextlib.suppress(OSError):  # a full disk: the log is bounded once there is room
            if self.log.stat().st_size > LOG_BYTES_AT_MOST:
                shutil.copyfile(self.log, self._previous_log)
                os.truncate(self.log, 0)

    def log_tail(self, lines: int = 8) -> str:
        """Returns the last lines of the process's log; empty without a log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def kill_tree(pid: int) -> None:
    """Sends SIGKILL to a process and its descendants, by pid; the children are listed before the parent dies."""
    try:
        process = psutil.Process(pid)
        tree = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(tree, timeout=10)


def wait_until_ready(child: Child, is_ready: Callable[[], bool], timeout_seconds: float) -> None:
    """Polls ``is_ready``; raises :class:`CannotStart` with the end of the child's log if it ends or is too slow."""
    deadline = time.monotonic() + timeout_seconds
    while not is_ready():
        if child.exit_code is not None:
            raise CannotStart(f"{child.name} ended by itself: {child.log_tail() or 'its log is empty.'}")
        if time.monotonic() > deadline:
            raise CannotStart(f"{child.name} was not ready after {timeout_seconds:.0f} s; {child.log} says why.")
        time.sleep(0.05)
