"""An open turn that a runner sends, or could send: its text is fixed by now."""

from chalicelib.model.conversation import TurnState
from chalicelib.model.turn_decisions import Decision, Done, ReplyOutcome, Ring
from chalicelib.model.turn_rules.view import ChatView, at_once, mark


def mark_chat_during_sending(view: ChatView, now: int) -> Decision | None:
    """Messages that come while a reply is being sent wait for its end."""
    if view.turn is None or view.turn.state is not TurnState.SENDING:
        return None
    return mark(view, view.turn, otherwise=at_once(view))


def leave_sending_to_runner(view: ChatView, now: int) -> Decision | None:
    """A reply that is being sent belongs to its runner; the bell rings again when it makes no progress."""
    if view.turn is None or view.turn.state is not TurnState.SENDING:
        return None
    return Ring(view.turn, ReplyOutcome.BUSY) if now >= view.turn.due_at else Done(ReplyOutcome.BUSY)


def ring_for_ready_turn(view: ChatView, now: int) -> Decision | None:
    """The bell rings for a text that no runner took yet."""
    turn = view.turn
    return Ring(turn, ReplyOutcome.RANG) if turn is not None and turn.state is TurnState.READY else None
