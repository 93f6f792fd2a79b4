"""Messages that wait in a chat without an open turn."""

from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.turn_decisions import Decision, Done, Open, ReplyOutcome, Skip
from chalicelib.model.turn_rules.limits import wait_for_slot
from chalicelib.model.turn_rules.view import ChatView, after_race


def skip_messages_that_are_too_old(view: ChatView, now: int) -> Decision | None:
    """Messages that waited for too long, behind a turn that no runner could send, get their reason."""
    return Skip(view.too_old, SkipReason.TOO_OLD, after_race(view)) if view.too_old and view.turn is None else None


def stop_where_nothing_waits(view: ChatView, now: int) -> Decision | None:
    """A chat without a message that waits needs nothing."""
    return None if view.waiting else Done(ReplyOutcome.NOTHING_WAITS)


def wait_for_slot_of_new_turn(view: ChatView, now: int) -> Decision | None:
    """A new turn waits until the tenant has fewer calls at the model."""
    return wait_for_slot(view, now)


def open_turn(view: ChatView, now: int) -> Decision | None:
    """The messages that wait are answered."""
    return Open(view.waiting, after_race(view))
