"""A paused tenant: messages from before the pause are skipped like those that come meanwhile."""

from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.turn_decisions import Decision, Discard, Done, ReplyOutcome, Skip
from chalicelib.model.turn_rules.view import ChatView, at_once, mark


def discard_turn_while_paused(view: ChatView, now: int) -> Decision | None:
    """The open turn of a paused tenant is discarded, unless a runner sends it already."""
    if view.tenant.paused and view.turn is not None and not view.turn_changed:
        return Discard(view.turn, SkipReason.PAUSED, at_once(view))
    return None


def skip_messages_while_paused(view: ChatView, now: int) -> Decision | None:
    """Messages to a paused tenant are skipped."""
    if view.tenant.paused and view.turn is None and view.waiting:
        return Skip(view.waiting, SkipReason.PAUSED, Done(ReplyOutcome.PAUSED))
    return None


def stay_silent_while_paused(view: ChatView, now: int) -> Decision | None:
    """A paused tenant answers nothing; messages beyond a turn that is being sent are checked when it ends."""
    if not view.tenant.paused:
        return None
    done = Done(ReplyOutcome.PAUSED)
    return done if view.turn is None else mark(view, view.turn, otherwise=done) or done
