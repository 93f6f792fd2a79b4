"""An open turn that has ended, and is still the chat's open turn."""

from chalicelib.model.conversation import TurnState
from chalicelib.model.turn_decisions import Close, Decision, Detach
from chalicelib.model.turn_rules.view import ChatView, at_once


def detach_expired_turn(view: ChatView, now: int) -> Decision | None:
    """No runner can send a turn that is no longer stored: turns are kept for longer than messages may wait."""
    return Detach(at_once(view)) if view.chat.open_turn is not None and view.turn is None else None


def close_finished_turn(view: ChatView, now: int) -> Decision | None:
    """A turn that was sent or discarded is removed from its chat."""
    ended = (TurnState.SENT, TurnState.DISCARDED)
    return Close(view.turn, at_once(view)) if view.turn is not None and view.turn.state in ended else None
