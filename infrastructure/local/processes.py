"""Child processes: started on a leash with a log of their own, watched, and ended by pid with all they started."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from infrastructure.checkout import REPOSITORY
from infrastructure.local.settings import CannotStart

_LEASH = Path(__file__).with_name("leash.py")


class Child:
    """One running child process."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Start it. The thread that does so must outlive it: the leash is the thread's."""
        self.name = name
        self.log = log
        self.started = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size:
            log.replace(log.with_suffix(".previous.log"))
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(int(signal.SIGTERM)), str(os.getpid())]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*leash, *command],
                env=dict(environment),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def wait(self, timeout: float) -> bool:
        """Whether it ended within ``timeout`` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill_tree(self) -> None:
        """SIGKILL to it and everything it started."""
        kill_tree(self.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)

    def stop(self, grace: float) -> None:
        """Ask it to end; after ``grace`` seconds, make it."""
        self.terminate()
        if not self.wait(grace):
            self.kill_tree()

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def kill_tree(pid: int) -> None:
    """SIGKILL to a process and all its descendants, by pid; children are listed before the parent dies."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=10)


def wait_until_ready(child: Child, ready: Callable[[], bool], seconds: float) -> None:
    """Wait until ``ready`` says so; raise :class:`CannotStart` with the child's last words otherwise."""
    deadline = time.monotonic() + seconds
    while not ready():
        if child.exit_code is not None:
            raise CannotStart(f"{child.name} ended by itself: {child.last_words() or 'it said nothing.'}")
        if time.monotonic() > deadline:
            raise CannotStart(f"{child.name} was not ready after {seconds:.0f} s; {child.log} says why.")
        time.sleep(0.05)
