"""The batch of an open turn that is not sent yet: messages that change, and messages that come."""

from chalicelib.model.conversation import MAX_CALLS, MAX_DISCARDS, has_settled
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.turn_decisions import (
    CheckAgain,
    ClaimSlot,
    Decision,
    Discard,
    Done,
    FoldIn,
    ReadCallsOfToday,
    ReplyOutcome,
)
from chalicelib.model.turn_rules.limits import calls_of_last_minute
from chalicelib.model.turn_rules.view import RECHECK_SECONDS, ChatView, after_race, at_once, mark


def discard_turn_without_messages(view: ChatView, now: int) -> Decision | None:
    """A turn is discarded once each of its messages was deleted, or has no words left."""
    changed = changed_messages(view)
    if view.turn is None or not changed or _remaining(view):
        return None
    reason = changed[0].skipped or SkipReason.DELETED
    return after_race(view) if view.turn_changed else Discard(view.turn, reason, at_once(view))


def discard_turn_that_changed_too_often(view: ChatView, now: int) -> Decision | None:
    """A contact who goes on editing costs MAX_CALLS model calls at most."""
    if view.turn is None or view.turn.fixed or view.turn.calls < MAX_CALLS or not changed_messages(view):
        return None
    discard = Discard(view.turn, SkipReason.CHANGED_TOO_OFTEN, at_once(view))
    return after_race(view) if view.turn_changed else discard


def freeze_changed_batch(view: ChatView, now: int) -> Decision | None:
    """An edited message is answered in its new wording, and a deleted one leaves the batch."""
    if view.turn is None or view.turn.fixed or not changed_messages(view):
        return None
    if view.turn_changed:
        return after_race(view)
    if view.has_slot is None and not view.beyond_turn:
        return ClaimSlot()
    return FoldIn(view.turn, _remaining(view), call=bool(view.has_slot))


def discard_turn_that_is_too_old(view: ChatView, now: int) -> Decision | None:
    """A turn whose messages are all too old is discarded; a fixed sentence is for messages that never waited."""
    if view.turn is None or view.waiting or view.turn.fixed:
        return None
    done = Done(ReplyOutcome.SKIPPED)
    return done if view.turn_changed else Discard(view.turn, SkipReason.TOO_OLD, done)


def debounce_new_messages(view: ChatView, now: int) -> Decision | None:
    """New messages wait until the contact has finished writing."""
    return debounce(view, now) if view.beyond_turn else None


def fold_in_new_messages(view: ChatView, now: int) -> Decision | None:
    """New messages fold into a turn of which nothing is sent, MAX_DISCARDS times at most: each costs a model call."""
    turn, policies = view.turn, view.tenant.policies
    if turn is None or not view.beyond_turn or view.turn_changed or turn.fixed:
        return None
    if turn.discards >= MAX_DISCARDS or turn.calls >= MAX_CALLS:
        return None
    if policies.replies_per_contact_per_day and view.calls_today is None:
        return ReadCallsOfToday()
    if 0 < policies.replies_per_contact_per_day <= (view.calls_today or 0):
        return None
    if 0 < policies.replies_per_minute <= len(calls_of_last_minute(view.turns, now)):
        return None
    if view.has_slot is None:
        return ClaimSlot()
    return FoldIn(turn, view.waiting) if view.has_slot else None


def mark_chat_for_next_turn(view: ChatView, now: int) -> Decision | None:
    """New messages that cannot fold in wait for the next turn."""
    return None if view.turn is None else mark(view, view.turn, otherwise=at_once(view))


def debounce(view: ChatView, now: int) -> Decision | None:
    """A turn is opened once the contact has finished writing."""
    return None if has_settled(view.waiting, now) else CheckAgain(RECHECK_SECONDS, view.attempt)


def changed_messages(view: ChatView) -> tuple[StoredMessage, ...]:
    """Selects the messages of the open turn that were edited or deleted since its batch was frozen."""
    if view.turn is None:
        return ()
    frozen = view.turn.frozen_versions
    return tuple(each for each in view.messages if each.key in frozen and each.version != frozen[each.key])


def _remaining(view: ChatView) -> tuple[StoredMessage, ...]:
    turn = view.turn
    if turn is None:
        return ()
    candidates = view.messages if turn.fixed else view.waiting
    return tuple(each for each in candidates if each.key in turn.messages and each.skipped is not SkipReason.DELETED)
