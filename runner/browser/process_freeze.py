"""Freezes a whole browser for a moment (SIGSTOP), so that its files can be copied as of one instant."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

#: A browser that is frozen for longer would be missed.
MAX_FREEZE_SECONDS = 2.0
CHECK_INTERVAL_SECONDS = 0.001
#: A process in one of these states writes no file any more.
AT_REST = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


class FrozenBrowser:
    """A frozen browser; it goes on by itself when it was frozen for too long."""

    def __init__(self) -> None:
        self._stopped: list[psutil.Process] = []
        self._thawed = threading.Event()
        self._lock = threading.Lock()

    @property
    def still(self) -> bool:
        """Returns whether no process was thawed so far."""
        return not self._thawed.is_set()

    def stop(self, process: psutil.Process) -> bool:
        """Sends SIGSTOP, unless the freeze is over already; returns whether it was sent now."""
        with self._lock, contextlib.suppress(psutil.Error):
            if self.still and process not in self._stopped:
                process.suspend()
                self._stopped.append(process)
                return True
        return False

    def settle(self) -> None:
        """Waits for the last process to stop: a signal reaches another processor a moment later."""
        while self.still and any(_moves(process) for process in self._stopped):
            self._thawed.wait(CHECK_INTERVAL_SECONDS)

    def thaw(self) -> None:
        """Sends SIGCONT in reverse order: the browser itself moves when all its helpers do."""
        with self._lock:
            self._thawed.set()
            for process in reversed(self._stopped):
                with contextlib.suppress(psutil.Error):
                    process.resume()


@contextmanager
def freeze(processes: Sequence[psutil.Process]) -> Iterator[FrozenBrowser]:
    """Freezes every process of a browser; afterwards each goes on, also after an error.

    The tree is walked until it shows no new process: a stopped process cannot start more.
    """
    state = FrozenBrowser()
    too_long = threading.Timer(MAX_FREEZE_SECONDS, state.thaw)
    too_long.daemon = True
    too_long.start()
    try:
        known = {process.pid for process in processes}
        roots = [process for process in processes if _parent(process) not in known]
        while [process for process in _trees(roots) if state.stop(process)]:
            state.settle()
        yield state
    finally:
        too_long.cancel()
        state.thaw()


def _trees(roots: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    """Yields each process before those that it started."""
    for root in roots:
        yield root
        with contextlib.suppress(psutil.Error):
            yield from root.children(recursive=True)


def _moves(process: psutil.Process) -> bool:
    try:
        return process.status() not in AT_REST
    except psutil.Error:
        return False


def _parent(process: psutil.Process) -> int | None:
    try:
        return int(process.ppid())
    except psutil.Error:
        return None
