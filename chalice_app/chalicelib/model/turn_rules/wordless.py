"""Messages without words: pictures, voice messages and others that the line cannot read."""

from collections.abc import Iterable
from datetime import timedelta

from chalicelib.model.conversation import ANSWER_AT_LATEST, Turn, has_settled
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import WITHOUT_WORDS, SkipReason
from chalicelib.model.messages.words import is_blank
from chalicelib.model.times import milliseconds
from chalicelib.model.turn_decisions import CheckAgain, Decision, Say
from chalicelib.model.turn_rules.view import RECHECK_SECONDS, ChatView, after_race
from wire import MessageKind

#: The contact reads the fixed sentence at most so often in one chat.
REPEATED_AFTER = timedelta(days=1)
#: A message without words that came earlier gets no sentence any more.
NOTICED_WITHIN = timedelta(minutes=10)

_SENTENCES = {
    MessageKind.IMAGE: FixedSentence.NO_PICTURES,
    MessageKind.VIDEO: FixedSentence.NO_PICTURES,
    MessageKind.STICKER: FixedSentence.NO_PICTURES,
    MessageKind.VOICE: FixedSentence.NO_SOUND,
    MessageKind.AUDIO: FixedSentence.NO_SOUND,
}


def say_what_the_line_cannot_read(view: ChatView, now: int) -> Decision | None:
    """The contact who sends nothing but messages without words is asked, once a day, to write.

    Not where words came with them, a moment before or at any time after; not where the line is silent.
    """
    policies, chat = view.tenant.policies, view.chat
    if view.turn is not None or view.waiting or policies.answer_without_words or not policies.wordless_notice:
        return None
    if chat.stopped or now < max(chat.takeover_until, chat.muted_until):
        return None
    if chat.wordless_notice_at is not None and now - chat.wordless_notice_at < milliseconds(REPEATED_AFTER):
        return None
    batch = tuple(each for each in view.wordless if _is_alone(each, view) and _is_recent(each, now))
    if not batch:
        return None
    if not has_settled(batch, now):
        return CheckAgain(RECHECK_SECONDS, view.attempt)
    sentence = _SENTENCES.get(batch[-1].kind, FixedSentence.NO_WORDS)
    return Say(batch, sentence, batch[-1].skipped, after_race(view))


def wordless_messages(messages: Iterable[StoredMessage], turns: Iterable[Turn]) -> tuple[StoredMessage, ...]:
    """Selects the messages of contacts that carry no words and that no turn is about."""
    covered = {key for turn in turns for key in turn.messages}
    return tuple(
        message
        for message in messages
        if not message.from_me and message.skipped in WITHOUT_WORDS and message.key not in covered
    )


def _is_alone(wordless: StoredMessage, view: ChatView) -> bool:
    """True if nobody wrote words shortly before the message, or after it: the contact to the line, or the owner."""
    since = wordless.received_at - milliseconds(ANSWER_AT_LATEST)
    return not any(
        each.received_at >= since and not is_blank(each.text) and each.skipped is not SkipReason.AUTOMATIC
        for each in view.messages
    )


def _is_recent(wordless: StoredMessage, now: int) -> bool:
    return now - wordless.received_at <= milliseconds(NOTICED_WITHIN)
