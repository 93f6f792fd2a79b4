"""Classifies an inbound message: answer it, skip it for a reason, or count it as a takeover. Pure; takes `now`."""

from dataclasses import dataclass
from datetime import timedelta

from chalicelib.model.conversation import MAX_MESSAGE_AGE, Chat
from chalicelib.model.messages.audience import is_broadcast, is_group, reason_not_to_answer
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.messages.words import has_words
from chalicelib.model.session import Session
from chalicelib.model.tenant import GroupAnswers, Tenant
from chalicelib.model.times import milliseconds
from wire import Message, MessageKind, Outcome

#: A message that is still not decrypted after this leaves its reason; it is answered all the same if it is later.
DECRYPTED_WITHIN = timedelta(minutes=10)
#: Messages that are skipped for these reasons are not stored: the runner hands them in again, or they never matter.
_NOT_STORED = frozenset({SkipReason.NOT_DECRYPTED, SkipReason.HISTORY})


@dataclass(frozen=True, slots=True)
class Classification:
    """The outcome of a message that is handed in, and the reason why it is skipped, not kept, or was stored before."""

    outcome: Outcome
    reason: SkipReason | None = None
    #: nothing is written where it is False, not even the chat
    is_stored: bool = True
    #: its text, media, author and what it quotes are stored
    keeps_content: bool = True


def classify(message: Message, chat: Chat, session: Session, tenant: Tenant, now: int) -> Classification:
    """Classifies by the first rule that applies. A message from the account that is not our reply is a takeover.

    Args:
        chat: what is stored of the message's chat; a new Chat if nothing is.
    """
    reason = (
        _reason_of_history(message, session, now)
        or reason_not_to_answer(message, chat, session, tenant.policies)
        or (SkipReason.PAUSED if tenant.paused else None)
    )
    if message.from_me:
        return _own(message, tenant, reason)
    missed = session.missed(message.sent_at_ms)
    reason = reason or _reason_of_content(message, chat, tenant, now, missed=missed)
    if reason is None:
        return Classification(Outcome.QUEUED)
    is_stored = reason not in _NOT_STORED and not is_broadcast(message.chat)
    return Classification(Outcome.SKIPPED, reason, is_stored, reason.keeps_content)


def _own(message: Message, tenant: Tenant, reason: SkipReason | None) -> Classification:
    """The owner's own words count only where the line answers: elsewhere they are private, and nothing is written.

    In a group where only mentions are answered, others' words are not kept, and neither are the owner's.
    """
    in_group = is_group(message.chat)
    if reason is SkipReason.NOT_MENTIONED:
        reason = None
    if reason is not None:
        return Classification(Outcome.SKIPPED, reason, is_stored=False, keeps_content=False)
    kept = not in_group or tenant.policies.groups is GroupAnswers.ALWAYS
    return Classification(Outcome.TAKEOVER, None if kept else SkipReason.NOT_MENTIONED, keeps_content=kept)


def _reason_of_history(message: Message, session: Session, now: int) -> SkipReason | None:
    if is_broadcast(message.chat) or (message.variant == "broadcast" and not message.from_me):
        return SkipReason.BROADCAST  # also what a contact sends to a list of theirs: it comes in the chat with them
    if session.missed(message.sent_at_ms):
        return None  # what the owner wrote meanwhile counts too: whom a person answered, nobody has to answer
    since = session.answers_since
    too_old = message.from_me and now - message.sent_at_ms > milliseconds(MAX_MESSAGE_AGE)
    return SkipReason.HISTORY if too_old or since is None or message.sent_at_ms < since else None


def _reason_of_content(message: Message, chat: Chat, tenant: Tenant, now: int, *, missed: bool) -> SkipReason | None:
    """Returns the reason why a message of somebody whom the line answers gets no answer.

    Args:
        missed: it came while the account was not linked: people see it, whatever it is and however old.
    """
    age = now - message.sent_at_ms
    if message.deleted:
        return SkipReason.DELETED
    if age > milliseconds(MAX_MESSAGE_AGE) and not missed:
        return SkipReason.TOO_OLD
    if message.kind is MessageKind.CIPHERTEXT:
        return SkipReason.NEVER_DECRYPTED if age > milliseconds(DECRYPTED_WITHIN) else SkipReason.NOT_DECRYPTED
    if missed:
        return SkipReason.DISCONNECTED
    if now < chat.takeover_until:
        return SkipReason.TAKEOVER
    if has_words(message) or (tenant.policies.answer_without_words and _shows_something(message)):
        return None
    return SkipReason.no_text(message.kind)


def _shows_something(message: Message) -> bool:
    """True if the model can be told what came: not for an empty text, nor for a kind that the line does not know."""
    return message.kind is not MessageKind.TEXT and (message.kind is not MessageKind.OTHER or bool(message.variant))
