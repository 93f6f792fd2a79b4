"""Messages to another login: those to the former account get no reply from the present one."""

from chalicelib.model.conversation import TurnState
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.turn_decisions import Decision, Discard, Done, ReplyOutcome, Skip
from chalicelib.model.turn_rules.view import ChatView, after_race, at_once, mark


def skip_messages_to_former_login(view: ChatView, now: int) -> Decision | None:
    """Messages to a former login are skipped."""
    former = view.former_login
    return Skip(former, SkipReason.OTHER_LOGIN, after_race(view)) if former and view.turn is None else None


def discard_turn_of_former_login(view: ChatView, now: int) -> Decision | None:
    """A reply to a former login is discarded, unless a runner sends it already."""
    if not view.former_login or view.turn is None or view.turn.state is TurnState.SENDING or view.turn_changed:
        return None
    return Discard(view.turn, SkipReason.OTHER_LOGIN, after_race(view))


def wait_for_reply_to_former_login(view: ChatView, now: int) -> Decision | None:
    """A reply to a former login that is being sent is in the way of other messages until a runner asks for it."""
    if not view.former_login or view.turn is None:
        return None
    return mark(view, view.turn, otherwise=at_once(view)) or Done(ReplyOutcome.BUSY)
