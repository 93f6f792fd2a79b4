"""The bell of a runner: wakes its held call and lists the turns that it should take."""

from chalicelib.model import Turn, TurnState
from chalicelib.store.runners import TurnToTake
from chalicelib.wiring import Services


def ring(services: Services, turn: Turn) -> None:
    """Rings for the runner that holds the session of this turn; without one, its next runner learns of the turn."""
    session = services.sessions.get(turn.tenant)
    if session.runner is not None:
        services.runners.ring(session.runner, _turn_to_take(turn))


def ring_all(services: Services, tenant: str, runner: str) -> None:
    """Notifies the runner that holds a session now of every turn that is ready or was being sent."""
    for turn in services.turns.open_turns_of(tenant):
        if turn.state in (TurnState.READY, TurnState.SENDING):
            services.runners.ring(runner, _turn_to_take(turn))


def _turn_to_take(turn: Turn) -> TurnToTake:
    return TurnToTake(turn.id, turn.tenant, turn.chat, turn.revision, turn.oldest_sent_at)
