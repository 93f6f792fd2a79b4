"""Chooses the runner of a session, and the session that leaves a full disk. Pure.

One order of runners counts, for a session without a runner and for a runner with room.
"""

from collections.abc import Iterable, Sequence

from chalicelib.model.runner import Runner, RunnerState
from chalicelib.model.session import Session, restorable_snapshots
from wire import Wanted


def rank_runners(session: Session, alive: Sequence[Runner], release: str, now: int) -> list[Runner]:
    """Ranks the runners that have room: those of this release first, and of these the one with most room.

    The runner that gave the session up comes last, and before it the others of its release: their image may bring no
    session up.
    """
    roomy = [each for each in alive if each.free and now < each.lease_until]
    return sorted(roomy, key=lambda each: (_penalty(session, each, alive, release), -each.free))


def is_best_choice(session: Session, runner: Runner, alive: Sequence[Runner], release: str, now: int) -> bool:
    """True if no runner with room ranks before this one, except for having more room."""
    best = rank_runners(session, alive, release, now)[:1]
    own = _penalty(session, runner, alive, release)
    return all(own <= _penalty(session, each, alive, release) for each in best)


def choose_to_leave(runner: Runner, sessions: Iterable[Session], alive: Iterable[Runner], now: int) -> Session | None:
    """Returns the session that should leave a runner whose disk is full now; None if none should or can.

    Sessions leave one after another, as long as a runner on another disk has room. A session without a snapshot stays:
    its login is nowhere else. Its page goes on in memory.

    Args:
        sessions: those that the runner holds; read only as far as needed.
    """
    releasing = any(each.wanted is Wanted.RELEASE for each in runner.assigned)
    if not runner.disk_full or runner.state is not RunnerState.ALIVE or releasing:
        return None
    if not any(_is_other_disk_with_room(runner, each, now) for each in alive):
        return None
    may_leave = (each for each in sessions if not each.linked or restorable_snapshots(each))
    return next(may_leave, None)


def _is_other_disk_with_room(runner: Runner, other: Runner, now: int) -> bool:
    elsewhere = bool(runner.disk and other.disk) and runner.disk != other.disk
    return elsewhere and not other.disk_full and other.free > 0 and now < other.lease_until


def _penalty(session: Session, runner: Runner, alive: Sequence[Runner], release: str) -> tuple[bool, bool, bool]:
    gave_up = session.last_runner if session.failures else None
    suspect = {each.release for each in alive if each.id == gave_up}
    return runner.release in suspect, runner.id == gave_up, runner.release != release
