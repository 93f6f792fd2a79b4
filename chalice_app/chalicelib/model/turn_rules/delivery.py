"""An open turn that a runner sends, or could send: its text is fixed by now."""

from datetime import timedelta

from chalicelib.model.conversation import MAX_MESSAGE_AGE, Turn, TurnState, reason_not_to_send
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.session import Session
from chalicelib.model.tenant import Tenant
from chalicelib.model.times import milliseconds
from chalicelib.model.turn_decisions import Decision, Done, ReplyOutcome, Ring
from chalicelib.model.turn_rules.view import ChatView, at_once, mark

#: A part that was sent is reported within this, also by the process that comes after one that was killed.
SENT_REPORTED_WITHIN = timedelta(minutes=5)


def reason_nobody_sends(turn: Turn, tenant: Tenant, session: Session, now: int) -> SkipReason | None:
    """Returns the reason why no runner can go on with a turn that one took; None if one can, or may have sent it.

    Its login ended, its messages are too old, or its tenant was paused before it was sent.
    """
    reason = reason_not_to_send(turn, session.replies_since, now)
    if reason is SkipReason.OTHER_LOGIN:
        since = session.logged_out_at or 0
    elif reason is SkipReason.TOO_OLD:
        since = turn.oldest_sent_at + milliseconds(MAX_MESSAGE_AGE)
    elif tenant.paused and session.runner is None:
        reason, since = SkipReason.PAUSED, max((session.former_holders or {}).values(), default=session.since)
    else:
        return None
    ended = turn.state is TurnState.SENDING and now - since >= milliseconds(SENT_REPORTED_WITHIN)
    return reason if ended else None


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
