"""Chats in which the line is silent: a person answers, the contact said STOP, or two bots talk."""

from datetime import timedelta

from chalicelib.model.conversation import answered_by_owner
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.messages.stop_words import is_stop
from chalicelib.model.times import milliseconds
from chalicelib.model.turn_decisions import Decision, Discard, Say, Skip
from chalicelib.model.turn_rules.bot_loop import is_bot_loop
from chalicelib.model.turn_rules.view import ChatView, after_race, at_once, skip_all

#: A chat in which two bots talk is muted for so long.
MUTED_FOR = timedelta(hours=1)


def discard_turn_in_stopped_chat(view: ChatView, now: int) -> Decision | None:
    """The contact said STOP: the reply that is not sent yet is discarded, unless it confirms that."""
    if view.turn is None or not view.chat.stopped or view.turn_changed:
        return None
    confirms = view.turn.sentence is FixedSentence.STOPPED
    return None if confirms else Discard(view.turn, SkipReason.STOPPED, at_once(view))


def discard_turn_during_takeover(view: ChatView, now: int) -> Decision | None:
    """A person took the chat over, and the process that noted it died before it discarded the reply."""
    if view.turn is None or now >= view.chat.takeover_until or view.turn_changed:
        return None
    return Discard(view.turn, SkipReason.TAKEOVER, at_once(view))


def skip_during_takeover(view: ChatView, now: int) -> Decision | None:
    """A chat that a person took over from the phone is theirs for a while."""
    return skip_all(view, SkipReason.TAKEOVER) if now < view.chat.takeover_until else None


def skip_messages_that_a_person_answered(view: ChatView, now: int) -> Decision | None:
    """Messages that the owner answered from the phone, while the line was offline for example, are skipped."""
    answered = answered_by_owner(view.messages, view.waiting) if view.tenant.policies.takeover_minutes else ()
    return Skip(answered, SkipReason.TAKEOVER, at_once(view)) if answered else None


def confirm_stop(view: ChatView, now: int) -> Decision | None:
    """The contact who says STOP reads one sentence that confirms it, once."""
    stops = any(is_stop(message.text) for message in view.waiting)
    if not view.chat.stopped or view.chat.stop_confirmed or not stops:
        return None
    return Say(view.waiting, FixedSentence.STOPPED, SkipReason.STOPPED, after_race(view))


def skip_in_stopped_chat(view: ChatView, now: int) -> Decision | None:
    """Messages to a stopped chat are skipped, until the contact or a person resumes."""
    return skip_all(view, SkipReason.STOPPED) if view.chat.stopped else None


def skip_in_muted_chat(view: ChatView, now: int) -> Decision | None:
    """A chat in which two bots talked is silent for a while."""
    return skip_all(view, SkipReason.BOT_LOOP) if now < view.chat.muted_until else None


def mute_two_bots(view: ChatView, now: int) -> Decision | None:
    """A chat in which a bot is at the other end is muted, whatever the limits are."""
    if not is_bot_loop(view.messages, view.turns, view.waiting, now):
        return None
    return skip_all(view, SkipReason.BOT_LOOP, mute_until=now + milliseconds(MUTED_FOR))
