"""An open turn at the model: when it is called again, and when no more."""

from chalicelib.model.conversation import MAX_CALLS, TurnState
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.turn_decisions import Decision, Done, Expire, ReplyOutcome, Retry
from chalicelib.model.turn_rules.limits import wait_for_slot
from chalicelib.model.turn_rules.view import ChatView


def leave_turn_in_progress(view: ChatView, now: int) -> Decision | None:
    """A turn that is not due is at the model or waits, unless the problem that it waits for is fixed."""
    if view.turn is None:
        return None
    fixed = view.turn.state is TurnState.WAITING and view.tenant.assistant_problem is None
    return Done(ReplyOutcome.BUSY) if now < view.turn.due_at and not fixed else None


def give_up_turn_that_was_called_too_often(view: ChatView, now: int) -> Decision | None:
    """A turn whose calls were all paid and left no text, because their processes died for example, is given up."""
    if view.turn is None or view.turn.calls < MAX_CALLS:
        return None
    return Expire(view.turn, SkipReason.MODEL_UNAVAILABLE)


def expire_overdue_turn(view: ChatView, now: int) -> Decision | None:
    """A turn that is due is discarded if none of its messages may still be answered."""
    if view.turn is None or any(message.key in view.turn.messages for message in view.waiting):
        return None
    return Expire(view.turn, SkipReason.TOO_OLD)


def wait_for_slot_of_retry(view: ChatView, now: int) -> Decision | None:
    """A retry waits until the tenant has fewer calls at the model."""
    return None if view.turn is None else wait_for_slot(view, now)


def retry_overdue_turn(view: ChatView, now: int) -> Decision | None:
    """A turn that is due gets another call of the model for those of its messages that may still be answered."""
    if view.turn is None:
        return None
    return Retry(view.turn, tuple(message for message in view.waiting if message.key in view.turn.messages))
