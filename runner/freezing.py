"""Makes a whole browser stand still for a moment, so that its files can be copied as of one instant."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

#: A browser that stands still longer than this would be missed.
FROZEN_AT_MOST = 2.0


class Frozen:
    """A browser that stands still; it goes on by itself when it stood too long."""

    def __init__(self) -> None:
        self._stopped: list[psutil.Process] = []
        self._thawed = threading.Event()
        self._lock = threading.Lock()

    @property
    def still(self) -> bool:
        """Whether nothing has moved so far."""
        return not self._thawed.is_set()

    def stop(self, process: psutil.Process) -> None:
        """SIGSTOP, unless it is over already."""
        with self._lock, contextlib.suppress(psutil.Error):
            if self.still and process not in self._stopped:
                process.suspend()
                self._stopped.append(process)

    def thaw(self) -> None:
        """SIGCONT in reverse: the browser itself moves when all its helpers do."""
        with self._lock:
            self._thawed.set()
            for process in reversed(self._stopped):
                with contextlib.suppress(psutil.Error):
                    process.resume()


@contextmanager
def frozen(processes: Sequence[psutil.Process]) -> Iterator[Frozen]:
    """Every process of a browser stands still within; afterwards each goes on, whatever happened.

    The tree is walked twice: what the first walk finds cannot start more, and the second finds what it started.
    """
    state = Frozen()
    too_long = threading.Timer(FROZEN_AT_MOST, state.thaw)
    too_long.daemon = True
    too_long.start()
    try:
        known = {process.pid for process in processes}
        roots = [process for process in processes if _parent(process) not in known]
        for _ in range(2):
            for root in roots:
                state.stop(root)
                with contextlib.suppress(psutil.Error):
                    for child in root.children(recursive=True):
                        state.stop(child)
        yield state
    finally:
        too_long.cancel()
        state.thaw()


def _parent(process: psutil.Process) -> int | None:
    try:
        return int(process.ppid())
    except psutil.Error:
        return None
