"""Chooses the runner of a session: one order, for a session without a runner and for a runner with room. Pure."""

from collections.abc import Sequence

from chalicelib.model.runner import Runner
from chalicelib.model.session import Session


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


def _penalty(session: Session, runner: Runner, alive: Sequence[Runner], release: str) -> tuple[bool, bool, bool]:
    gave_up = session.last_runner if session.failures else None
    suspect = {each.release for each in alive if each.id == gave_up}
    return runner.release in suspect, runner.id == gave_up, runner.release != release
