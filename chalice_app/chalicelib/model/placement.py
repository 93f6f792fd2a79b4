"""Which runner a session is given to, whether somebody looks for one or one that has room asks: pure."""

from collections.abc import Sequence

from chalicelib.model.runner import Runner
from chalicelib.model.session import Session


def rank_runners(session: Session, alive: Sequence[Runner], release: str, now: int) -> list[Runner]:
    """Who could take it: of our release first, and of these whoever has most room.

    Whoever gave it up is asked last, and before it others of its release: its image may bring nobody up.
    """
    roomy = [each for each in alive if each.free and now < each.lease_until]
    return sorted(roomy, key=lambda each: (_reluctance(session, each, alive, release), -each.free))


def is_best_choice(session: Session, runner: Runner, alive: Sequence[Runner], release: str, now: int) -> bool:
    """True if nobody with room is asked before this one, but perhaps for having more of it."""
    best = rank_runners(session, alive, release, now)[:1]
    own = _reluctance(session, runner, alive, release)
    return all(own <= _reluctance(session, each, alive, release) for each in best)


def _reluctance(session: Session, runner: Runner, alive: Sequence[Runner], release: str) -> tuple[bool, bool, bool]:
    gave_up = session.last_runner if session.failures else None
    suspect = {each.release for each in alive if each.id == gave_up}
    return runner.release in suspect, runner.id == gave_up, runner.release != release
