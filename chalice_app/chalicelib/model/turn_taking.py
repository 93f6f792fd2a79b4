"""Turn-taking in a chat: debounce, rate limits, takeover, pause. Pure: the first of ``RULES`` that applies decides.

A check debounces (it waits until the contact has finished writing), opens one turn at a time over a frozen batch of
messages, applies the rate limits, and stays silent where a person, another login or a pause has precedence.
``replies/turn_taking.py`` carries a decision out and fences each write by a condition; a condition that fails becomes a
fact of the view, for the next decision.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.model.conversation import (
    MAX_DISCARDS,
    Chat,
    Turn,
    TurnState,
    answered_by_owner,
    has_settled,
    is_bot_loop,
)
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.tenant import Tenant
from chalicelib.model.turn_decisions import (
    CheckAgain,
    Close,
    Decision,
    Detach,
    Discard,
    Done,
    End,
    Expire,
    FoldIn,
    Mark,
    Open,
    ReadCallsOfToday,
    ReplyOutcome,
    Retry,
    Ring,
    Skip,
)

#: A chat whose contact may still be writing is checked again after this.
RECHECK_SECONDS = 1
#: Messages that came while a reply was being sent are checked when it is sent, and after this in any case.
BACKSTOP_SECONDS = 30
#: A check that lost a race to another check is repeated at most this many times.
MAX_RACES = 5
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class ChatView:
    """The state of one chat as a check reads it, and the facts that the check's own writes add."""

    tenant: Tenant
    chat: Chat
    #: the open turn; None if there is none, or if it expired
    turn: Turn | None
    #: the latest messages and turns of the chat, oldest first
    messages: tuple[StoredMessage, ...]
    turns: tuple[Turn, ...]
    #: the messages without an answer that came to the present login, and those that came to an earlier one
    waiting: tuple[StoredMessage, ...]
    former_login: tuple[StoredMessage, ...] = ()
    #: WhatsApp time before which each line belongs to another account
    history_since: int = 0
    #: the number of checks before this one that a transient error or a race ended
    attempt: int = 0
    #: the open turn changed since it was read: a write on it failed its condition
    turn_changed: bool = False
    #: the chat is marked to be checked when its open turn ends
    marked: bool = False
    #: the model calls that were paid for this contact today; None if they are not read yet
    calls_today: int | None = None

    @property
    def beyond_turn(self) -> bool:
        """True if a message waits that the open turn does not answer."""
        waiting = {message.key for message in (*self.waiting, *self.former_login)}
        return self.turn is not None and bool(waiting - set(self.turn.messages))


def decide(view: ChatView, now: int) -> Decision:
    """Returns the decision of the first rule that applies; ``now`` is in epoch milliseconds."""
    return next(decision for rule in RULES if (decision := rule(view, now)) is not None)


# -- rules: an open turn that has ended --------------------------------------------------------------------------------


def detach_expired_turn(view: ChatView, now: int) -> Decision | None:
    """No runner can send a turn that is no longer stored: turns are kept for longer than messages may wait."""
    return Detach(_at_once(view)) if view.chat.open_turn is not None and view.turn is None else None


def close_finished_turn(view: ChatView, now: int) -> Decision | None:
    """A turn that was sent or discarded is removed from its chat."""
    ended = (TurnState.SENT, TurnState.DISCARDED)
    return Close(view.turn, _at_once(view)) if view.turn is not None and view.turn.state in ended else None


# -- rules: another login: messages to the former account get no reply from the present one ----------------------------


def skip_messages_to_former_login(view: ChatView, now: int) -> Decision | None:
    """Messages to a former login are skipped."""
    former = view.former_login
    return Skip(former, SkipReason.OTHER_LOGIN, _after_race(view)) if former and view.turn is None else None


def discard_turn_of_former_login(view: ChatView, now: int) -> Decision | None:
    """A reply to a former login is discarded, unless a runner sends it already."""
    if not view.former_login or view.turn is None or view.turn.state is TurnState.SENDING or view.turn_changed:
        return None
    return Discard(view.turn, SkipReason.OTHER_LOGIN, _after_race(view))


def wait_for_reply_to_former_login(view: ChatView, now: int) -> Decision | None:
    """A reply to a former login that is being sent is in the way of other messages until a runner asks for it."""
    if not view.former_login or view.turn is None:
        return None
    return _mark(view, view.turn, otherwise=_at_once(view)) or Done(ReplyOutcome.BUSY)


# -- rules: a paused tenant: messages from before the pause are skipped like those that come meanwhile -----------------


def discard_turn_while_paused(view: ChatView, now: int) -> Decision | None:
    """The open turn of a paused tenant is discarded, unless a runner sends it already."""
    if view.tenant.paused and view.turn is not None and not view.turn_changed:
        return Discard(view.turn, SkipReason.PAUSED, _at_once(view))
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
    return done if view.turn is None else _mark(view, view.turn, otherwise=done) or done


# -- rules: an open turn that a runner sends ---------------------------------------------------------------------------


def mark_chat_during_sending(view: ChatView, now: int) -> Decision | None:
    """Messages that come while a reply is being sent wait for its end."""
    if view.turn is None or view.turn.state is not TurnState.SENDING:
        return None
    return _mark(view, view.turn, otherwise=_at_once(view))


def leave_sending_to_runner(view: ChatView, now: int) -> Decision | None:
    """A reply that is being sent belongs to its runner; the bell rings again when it makes no progress."""
    if view.turn is None or view.turn.state is not TurnState.SENDING:
        return None
    return Ring(view.turn, ReplyOutcome.BUSY) if now >= view.turn.due_at else Done(ReplyOutcome.BUSY)


# -- rules: an open turn that is not sent yet --------------------------------------------------------------------------


def discard_turn_that_is_too_old(view: ChatView, now: int) -> Decision | None:
    """A turn whose messages are all too old is discarded."""
    if view.turn is None or view.waiting:
        return None
    done = Done(ReplyOutcome.SKIPPED)
    return done if view.turn_changed else Discard(view.turn, SkipReason.TOO_OLD, done)


def debounce_new_messages(view: ChatView, now: int) -> Decision | None:
    """New messages wait until the contact has finished writing."""
    return debounce(view, now) if view.beyond_turn else None


def fold_in_new_messages(view: ChatView, now: int) -> Decision | None:
    """New messages fold into a turn of which nothing is sent, MAX_DISCARDS times at most: each costs a model call."""
    if view.turn is None or not view.beyond_turn or view.turn_changed or view.turn.discards >= MAX_DISCARDS:
        return None
    return FoldIn(view.turn, view.waiting)


def mark_chat_for_next_turn(view: ChatView, now: int) -> Decision | None:
    """New messages that cannot fold in wait for the next turn."""
    return None if view.turn is None else _mark(view, view.turn, otherwise=_at_once(view))


def ring_for_ready_turn(view: ChatView, now: int) -> Decision | None:
    """The bell rings for a text that no runner took yet."""
    turn = view.turn
    return Ring(turn, ReplyOutcome.RANG) if turn is not None and turn.state is TurnState.READY else None


def leave_turn_in_progress(view: ChatView, now: int) -> Decision | None:
    """A turn that is not due is at the model or waits, unless the problem that it waits for is fixed."""
    if view.turn is None:
        return None
    fixed = view.turn.state is TurnState.WAITING and view.tenant.assistant_problem is None
    return Done(ReplyOutcome.BUSY) if now < view.turn.due_at and not fixed else None


def retry_overdue_turn(view: ChatView, now: int) -> Decision | None:
    """A turn that is due gets another call of the model for those of its messages that may still be answered."""
    if view.turn is None:
        return None
    batch = tuple(message for message in view.waiting if message.key in view.turn.messages)
    return Retry(view.turn, batch) if batch else Expire(view.turn, SkipReason.TOO_OLD)


# -- rules: no open turn -----------------------------------------------------------------------------------------------


def stop_where_nothing_waits(view: ChatView, now: int) -> Decision | None:
    """A chat without a message that waits needs nothing."""
    return None if view.waiting else Done(ReplyOutcome.NOTHING_WAITS)


def skip_during_takeover(view: ChatView, now: int) -> Decision | None:
    """A chat that a person took over from the phone is theirs for a while."""
    return _skip(view, SkipReason.TAKEOVER) if now < view.chat.takeover_until else None


def skip_messages_that_a_person_answered(view: ChatView, now: int) -> Decision | None:
    """Messages that the owner answered from the phone, while the line was offline for example, are skipped."""
    answered = answered_by_owner(view.messages, view.waiting) if view.tenant.policies.takeover_minutes else ()
    return Skip(answered, SkipReason.TAKEOVER, _at_once(view)) if answered else None


def debounce(view: ChatView, now: int) -> Decision | None:
    """A turn is opened once the contact has finished writing."""
    return None if has_settled(view.waiting, now) else CheckAgain(RECHECK_SECONDS, view.attempt)


def stop_two_bots(view: ChatView, now: int) -> Decision | None:
    """A chat in which replies alternate too fast has a bot at the other end."""
    two_bots = view.tenant.policies.replies_per_minute and is_bot_loop(view.turns, now)
    return _skip(view, SkipReason.BOT_LOOP) if two_bots else None


def limit_replies_per_minute(view: ChatView, now: int) -> Decision | None:
    """Rate limit of a chat: further messages wait until the oldest reply of the minute is a minute old."""
    limit = view.tenant.policies.replies_per_minute
    lately = sorted(turn.created_at for turn in view.turns if now - turn.created_at < MINUTE_MS)
    if limit and len(lately) >= limit:
        return CheckAgain((lately[0] + MINUTE_MS - now) / 1000 + 1, view.attempt)
    return None


def limit_replies_per_day(view: ChatView, now: int) -> Decision | None:
    """Rate limit of a contact: the model calls of a day are limited; further messages of the day are skipped."""
    limit = view.tenant.policies.replies_per_contact_per_day
    if limit and view.calls_today is None:
        return ReadCallsOfToday()
    return _skip(view, SkipReason.DAILY_CAP) if limit and (view.calls_today or 0) >= limit else None


def open_turn(view: ChatView, now: int) -> Decision | None:
    """The messages that wait are answered."""
    return Open(view.waiting, _after_race(view))


#: The rules in order of precedence.
RULES: tuple[Callable[[ChatView, int], Decision | None], ...] = (
    detach_expired_turn,
    close_finished_turn,
    skip_messages_to_former_login,
    discard_turn_of_former_login,
    wait_for_reply_to_former_login,
    discard_turn_while_paused,
    skip_messages_while_paused,
    stay_silent_while_paused,
    mark_chat_during_sending,
    leave_sending_to_runner,
    discard_turn_that_is_too_old,
    debounce_new_messages,
    fold_in_new_messages,
    mark_chat_for_next_turn,
    ring_for_ready_turn,
    leave_turn_in_progress,
    retry_overdue_turn,
    stop_where_nothing_waits,
    skip_during_takeover,
    skip_messages_that_a_person_answered,
    debounce,
    stop_two_bots,
    limit_replies_per_minute,
    limit_replies_per_day,
    open_turn,
)


def _mark(view: ChatView, turn: Turn, *, otherwise: End) -> Mark | None:
    """Marks the chat if a message waits beyond its turn, with one backstop: the process that ends the turn may die."""
    if not view.beyond_turn or view.marked:
        return None
    enqueued = view.chat.check_requested and not view.attempt
    return Mark(turn, None if enqueued else CheckAgain(BACKSTOP_SECONDS, view.attempt + 1), otherwise)


def _skip(view: ChatView, reason: SkipReason) -> Skip:
    return Skip(view.waiting, reason, Done(ReplyOutcome.SKIPPED))


def _at_once(view: ChatView) -> CheckAgain:
    return CheckAgain(0, view.attempt)


def _after_race(view: ChatView) -> End:
    """Another check was at this chat at the same moment, and may not have seen the message that this check is for."""
    if view.attempt >= MAX_RACES:
        return Done(ReplyOutcome.BUSY)
    return CheckAgain(RECHECK_SECONDS, view.attempt + 1)
