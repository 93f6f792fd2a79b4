"""The chats that wrote while a line was disconnected, for its owner and its operators; answers them if a person asks.

A message is answered by the usual way: it waits again as a later version of itself, and a check of its chat is
requested. So whatever keeps a line silent keeps it silent here, too, and a second press finds nothing to reopen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from chalicelib.model import DEBOUNCE, MAX_MESSAGE_AGE, Chat, Session, SkipReason, StoredMessage, Tenant, milliseconds
from chalicelib.model.messages.words import stored_words
from chalicelib.model.tenant import Policies
from chalicelib.replies.look import request_check
from chalicelib.store.conversation.chats import arrival
from chalicelib.store.conversation.unanswered import UNANSWERED_KEPT_FOR, MissedMessage
from chalicelib.wiring import Services
from wire import MessageKind

#: So many messages are looked at, the newest first.
MESSAGES_READ: Final = 300
#: One press reopens so many messages at most, which is well inside the time of a Lambda call; another one the rest.
REOPENED_AT_ONCE: Final = 100
#: No hand-in has so many messages: an arrival with such a number comes after all others of its instant.
BEHIND_HAND_INS: Final = 900


@dataclass(frozen=True, slots=True)
class MissedChat:
    """A chat that wrote while its line was disconnected, and got no answer from the line or from a person."""

    chat: str
    #: the name that the contact shows, else the phone; empty if neither is known
    name: str = field(repr=False)
    #: WhatsApp's time of the last message
    at: int
    #: the line may still answer it
    answerable: bool


def missed_chats(services: Services, tenant: Tenant, session: Session, now: int) -> tuple[MissedChat, ...]:
    """Returns the chats, the last that wrote first; one read where there is none, and none long after the linking."""
    if not _may_have_missed(session, now):
        return ()
    chats: dict[str, MissedChat] = {}
    for _, message, chat in _missed(services, session):
        known = chats.get(chat.id)
        answerable = _is_answerable(message, tenant.policies, now) or (known is not None and known.answerable)
        at = max(message.sent_at, known.at if known is not None else 0)
        name = message.author or (known.name if known is not None else "") or _phone(chat)
        chats[chat.id] = MissedChat(chat.id, name, at, answerable)
    return tuple(sorted(chats.values(), key=lambda each: (-each.at, each.chat)))


def answer_missed(services: Services, tenant: Tenant, now: int) -> int:
    """Lets those of them be answered that are young enough and have words; returns the number of messages.

    A check of each chat is requested before its messages wait again: a process that dies in between leaves none
    without a check.
    """
    session = services.sessions.get(tenant.id)
    if tenant.paused or not session.linked:
        return 0
    found = [each for each in _missed(services, session) if _is_answerable(each[1], tenant.policies, now)]
    chosen = sorted(found, key=lambda each: (each[1].sent_at, each[1].at))[-REOPENED_AT_ONCE:]
    if not chosen or not services.sessions.answer_missed(session, min(message.sent_at for _, message, _ in chosen)):
        return 0
    chats = tuple(dict.fromkeys(chat.id for _, _, chat in chosen))
    for each in chats:
        request_check(services, tenant.id, each, delay_seconds=DEBOUNCE.total_seconds())
    reopened = sum(_reopen(services, session, each[0], index) for index, each in enumerate(chosen))
    if services.clock() - now > milliseconds(DEBOUNCE) // 2:
        for each in chats:
            request_check(services, tenant.id, each, delay_seconds=0)
    return reopened


def _may_have_missed(session: Session, now: int) -> bool:
    if session.linked_at is None:
        return session.disconnected
    return session.missed_since is not None and now - session.linked_at <= milliseconds(UNANSWERED_KEPT_FOR)


def _missed(services: Services, session: Session) -> Iterator[tuple[MissedMessage, StoredMessage, Chat]]:
    """Yields what nobody answered so far: of the account that is linked now, or was linked last."""
    noted = services.unanswered.missed(session.tenant, MESSAGES_READ)
    stored = services.chats.read_messages(session.tenant, [(each.chat, each.key) for each in noted])
    for missed in noted:
        chat, message = stored.get((missed.chat, missed.key), (None, None))
        if chat is not None and message is not None and _is_missed(missed, message, chat, session):
            yield missed, message, chat


def _is_missed(missed: MissedMessage, message: StoredMessage, chat: Chat, session: Session) -> bool:
    """True unless it was reopened or deleted, or its chat was dealt with since; an edit changes only its words."""
    if message.sent_at < session.history_since or chat.stopped or chat.open_turn is not None:
        return False
    if chat.answered_to > missed.answered_to or chat.takeover_until > message.sent_at:
        return False
    reopened = message.skipped is None and message.version != missed.version
    return message.skipped in (None, SkipReason.DISCONNECTED) and not reopened


def _is_answerable(message: StoredMessage, policies: Policies, now: int) -> bool:
    if now - message.sent_at > milliseconds(MAX_MESSAGE_AGE):
        return False
    shows = message.kind is not MessageKind.TEXT and (message.kind is not MessageKind.OTHER or bool(message.variant))
    return stored_words(message) or (policies.answer_without_words and shows)


def _reopen(services: Services, session: Session, missed: MissedMessage, index: int) -> bool:
    """Lets a message wait; False if it was dealt with since the list of them was read."""
    chat = services.chats.get(session.tenant, missed.chat)
    message = services.chats.find_message(chat, missed.key) if chat is not None else None
    if chat is None or message is None or not _is_missed(missed, message, chat, session):
        return False
    waits = replace(message, skipped=None, version=message.version + 1)
    if message.at <= chat.answered_to:
        # Behind what was dealt with, where a check looks for it; before whatever came since, as it was written.
        waits = replace(waits, at=arrival(int(chat.answered_to.partition("#")[0]), BEHIND_HAND_INS + index))
    if not services.message_changes.rewrite(chat, message, waits):
        return False
    services.unanswered.forget_missed(session.tenant, missed)
    return True


def _phone(chat: Chat) -> str:
    digits = chat.phone or (chat.id.removesuffix("@c.us") if chat.id.endswith("@c.us") else "")
    return f"+{digits}" if digits.isdigit() else ""
