"""The time budget of a run of ``reconcile``: each kind of work has its share, and what is left goes on in a minute."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Final, TypeVar

from chalicelib.model import milliseconds

T = TypeVar("T")

#: Lambda ends the function after 60 s. Each kind of work may take the time until then, counted from the start of the
#: run, and what it leaves over is the next one's.
FAILOVER_UNTIL: Final = timedelta(seconds=20)
LINES_UNTIL: Final = timedelta(seconds=36)
TURNS_UNTIL: Final = timedelta(seconds=44)
CHECKS_UNTIL: Final = timedelta(seconds=50)


class TimeBudget:
    """The time of one run.

    Args:
        clock: epoch milliseconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.began_at = clock()

    def is_left(self, until: timedelta) -> bool:
        """True while the run is younger than this."""
        return self._clock() - self.began_at < milliseconds(until)

    def within(self, until: timedelta, work: Iterable[T]) -> Iterator[T]:
        """Yields the pieces of this work until its time is over; none is begun after that."""
        for piece in work:
            if not self.is_left(until):
                return
            yield piece
