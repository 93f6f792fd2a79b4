"""The bell of a runner: wakes its held call and lists the turns that it should take."""

from chalicelib.model import Turn
from chalicelib.store.runners import turn_to_take
from chalicelib.wiring import Services


def ring(services: Services, turn: Turn) -> None:
    """Rings for the runner that holds the session of this turn; a next runner learns of it when it gets the session."""
    session = services.sessions.get(turn.tenant)
    if session.runner is not None:
        services.runners.ring(session.runner, turn_to_take(turn))
