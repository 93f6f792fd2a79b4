"""A warm process: it has collected a side's tests once, and forks for each mutant, which then costs only its tests."""

import gc
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from tests.mutation.processes import ENDS_WITHIN_SECONDS, Ended, start
from tests.mutation.sides import ROOT
from tests.mutation.swap import NotSwappable, functions_by_file, swap

_own = threading.local()


def try_swapped(collected: Sequence[str], path: str, source: str, tests: Sequence[str]) -> str | None:
    """Runs these tests on a mutant in this order; returns the id of the first that fails, None if none does.

    Each thread has a warm process for all that it ``collected``. Raises NotSwappable, Ended, and
    RuntimeError for an error of ours.
    """
    warm: dict[Sequence[str], Connection] = _own.__dict__.setdefault("warm", {})
    if collected not in warm:
        warm[collected] = start(_serve, collected)
    try:
        warm[collected].send((path, source, tests))
        answer = warm[collected].recv()
    except (EOFError, OSError):
        del warm[collected]
        raise RuntimeError(f"the process that collected {collected} ended") from None
    if isinstance(answer, Exception):
        raise answer
    return str(answer) if answer is not None else None


def _serve(connection: Connection, tests: Sequence[str]) -> None:
    from tests.mutation.trial import BOUND, OPTIONS, prepare

    prepare()
    pytest.main([*OPTIONS, *BOUND, *tests], plugins=[_Server(connection)])


@dataclass(eq=False)
class _Server:
    """A plugin that answers requests instead of running all tests."""

    connection: Connection
    failed: str | None = None
    _items: dict[str, pytest.Item] = field(default_factory=dict)
    _functions: dict[str, list[FunctionType]] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._functions = functions_by_file()
        gc.freeze()  # a fork need not look through, and copy, what all of them share
        with suppress(EOFError):
            while True:
                self.connection.send(self._in_fork(*self.connection.recv()))
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    def _in_fork(self, path: str, source: str, tests: Sequence[str]) -> Any:
        ours, theirs = Pipe(duplex=False)
        child = os.fork()
        if child == 0:
            try:
                theirs.send(self._try(ROOT / path, source, tests))
            finally:
                os._exit(0)
        theirs.close()
        try:
            return ours.recv() if ours.poll(ENDS_WITHIN_SECONDS) else Ended("it did not end")
        except EOFError:
            return Ended("its process ended")
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            ours.close()

    def _try(self, path: Path, source: str, tests: Sequence[str]) -> Any:
        try:
            swap(path, source, self._functions.get(str(path), []))
            items = [self._items[test] for test in tests]
        except (NotSwappable, SyntaxError) as error:
            return NotSwappable(str(error))
        except KeyError as error:
            return RuntimeError(f"there is no test {error}")
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.failed is not None:
                return self.failed
        return None
