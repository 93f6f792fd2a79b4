"""A browser stands still only once the last of its processes does."""

from dataclasses import dataclass, field
from typing import Any, cast

import psutil

from runner.browser.process_freeze import frozen


@dataclass(eq=False)
class Process:
    """Hears of a signal only when it has been looked at so many times."""

    pid: int
    hears_after: int = 0
    #: started by it before it heard, and found from then on
    starts: "list[Process]" = field(default_factory=list)
    stopped: bool = False

    def ppid(self) -> int:
        return 1

    def suspend(self) -> None:
        self.stopped = True

    def resume(self) -> None:
        self.stopped = False

    def status(self) -> str:
        self.hears_after -= 1
        stands = self.stopped and self.hears_after < 0
        return str(psutil.STATUS_STOPPED if stands else psutil.STATUS_RUNNING)

    def children(self, *, recursive: bool) -> "list[Process]":
        assert recursive
        return self.starts if self.hears_after < 0 else []


def test_nothing_is_copied_before_the_last_process_has_heard_the_signal() -> None:
    late = Process(7, hears_after=3)
    with frozen(cast(Any, [late])) as state:
        assert (late.status(), state.still) == (psutil.STATUS_STOPPED, True)
    assert not late.stopped


def test_what_a_process_started_before_it_stood_stands_too() -> None:
    child = Process(8, hears_after=2)
    late = Process(7, hears_after=3, starts=[child])
    with frozen(cast(Any, [late])):
        assert child.status() == psutil.STATUS_STOPPED
    assert not child.stopped
