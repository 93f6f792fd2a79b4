"""Turn-taking in a chat: debounce, rate limits, silence, pause. Pure: the first of ``RULES`` that applies decides.

A check debounces (it waits until the contact has finished writing), opens one turn at a time over a frozen batch of
messages, applies the limits, and stays silent where a person, another login or a pause has precedence.
``replies/turn_taking.py`` carries a decision out and fences each write by a condition; a condition that fails becomes a
fact of the view, for the next decision.
"""

from collections.abc import Callable

from chalicelib.model.turn_decisions import Decision
from chalicelib.model.turn_rules import (
    batch,
    delivery,
    ended_turn,
    former_login,
    fresh_batch,
    limits,
    pause,
    retry,
    silence,
    wordless,
)
from chalicelib.model.turn_rules.view import ChatView

#: The rules in order of precedence.
RULES: tuple[Callable[[ChatView, int], Decision | None], ...] = (
    ended_turn.detach_expired_turn,
    ended_turn.close_finished_turn,
    former_login.skip_messages_to_former_login,
    former_login.discard_turn_of_former_login,
    former_login.wait_for_reply_to_former_login,
    pause.discard_turn_while_paused,
    pause.skip_messages_while_paused,
    pause.stay_silent_while_paused,
    # an open turn that a runner sends
    delivery.mark_chat_during_sending,
    delivery.leave_sending_to_runner,
    # an open turn that is not sent yet
    silence.discard_turn_in_stopped_chat,
    silence.discard_turn_during_takeover,
    batch.discard_turn_without_messages,
    batch.discard_turn_that_changed_too_often,
    batch.freeze_changed_batch,
    batch.discard_turn_that_is_too_old,
    batch.debounce_new_messages,
    batch.fold_in_new_messages,
    batch.mark_chat_for_next_turn,
    delivery.ring_for_ready_turn,
    retry.leave_turn_in_progress,
    retry.give_up_turn_that_was_called_too_often,
    retry.expire_overdue_turn,
    retry.wait_for_slot_of_retry,
    retry.retry_overdue_turn,
    # no open turn
    fresh_batch.skip_messages_that_are_too_old,
    wordless.say_what_the_line_cannot_read,
    fresh_batch.stop_where_nothing_waits,
    silence.skip_during_takeover,
    silence.skip_messages_that_a_person_answered,
    silence.confirm_stop,
    silence.skip_in_stopped_chat,
    silence.skip_in_muted_chat,
    batch.debounce,
    silence.mute_two_bots,
    limits.limit_replies_per_minute,
    limits.limit_replies_per_day,
    fresh_batch.wait_for_slot_of_new_turn,
    fresh_batch.open_turn,
)


def decide(view: ChatView, now: int) -> Decision:
    """Returns the decision of the first rule that applies; ``now`` is in epoch milliseconds."""
    return next(decision for rule in RULES if (decision := rule(view, now)) is not None)
