"""A browser is frozen only once the last of its processes has stopped."""

from dataclasses import dataclass, field
from typing import Any, cast

import psutil

from runner.browser.process_freeze import freeze


@dataclass(eq=False)
class Process:
    """A process that stops only after its status was read so many times."""

    pid: int
    stops_after: int = 0
    #: Started by it before it stopped, and found from then on.
    starts: "list[Process]" = field(default_factory=list)
    stopped: bool = False

    def ppid(self) -> int:
        return 1

    def suspend(self) -> None:
        self.stopped = True

    def resume(self) -> None:
        self.stopped = False

    def status(self) -> str:
        self.stops_after -= 1
        stands = self.stopped and self.stops_after < 0
        return str(psutil.STATUS_STOPPED if stands else psutil.STATUS_RUNNING)

    def children(self, *, recursive: bool) -> "list[Process]":
        assert recursive
        return self.starts if self.stops_after < 0 else []


def test_nothing_is_copied_before_the_last_process_has_stopped() -> None:
    late = Process(7, stops_after=3)
    with freeze(cast(Any, [late])) as state:
        assert (late.status(), state.still) == (psutil.STATUS_STOPPED, True)
    assert not late.stopped


def test_a_process_that_was_started_by_a_stopping_one_stops_too() -> None:
    child = Process(8, stops_after=2)
    late = Process(7, stops_after=3, starts=[child])
    with freeze(cast(Any, [late])):
        assert child.status() == psutil.STATUS_STOPPED
    assert not child.stopped
