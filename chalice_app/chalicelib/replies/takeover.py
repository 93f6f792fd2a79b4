"""Messages of the account itself: replies of the line, automatic ones of its phone, or a person who takes over."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chalicelib.model import (
    MAX_MESSAGE_AGE,
    Chat,
    Event,
    EventKind,
    Session,
    SkipReason,
    Tenant,
    Turn,
    is_forgotten_reply,
    milliseconds,
)
from chalicelib.model.messages.automatic_messages import (
    AWAY_WITHIN,
    Judgement,
    chat_hash,
    fingerprint,
    judge,
)
from chalicelib.model.messages.message_id import may_be_reply_id
from chalicelib.replies.formatting import MAX_PARTS
from chalicelib.replies.unanswered import report_turn
from chalicelib.store.conversation.chats import LATE_ARRIVALS_MS, PAGE_ENTRIES, WAITS_FOR_A_REASON
from chalicelib.wiring import Services
from wire import Message

#: So many entries of a chat are read to find what was written before an own message.
MESSAGES_READ: Final = 30
#: An own reply is searched as far back as a reply may wait, with the time that a runner needs to send one that it took,
#: and through so many entries at most: those before it was sent. A person at WhatsApp Web makes ids of the same shape.
OWN_REPLIES_SEARCHED = MAX_MESSAGE_AGE + timedelta(hours=1)
ENTRIES_SEARCHED: Final = 5 * PAGE_ENTRIES


def find_own_reply(services: Services, chat: Chat, message: Message, now: int) -> Turn | None:
    """Returns the turn of which the account's message is a part; None if the line did not send it.

    Nothing is read for what a person typed on the phone, whose ids have another shape than ours.
    """
    if not may_be_reply_id(message.id):
        return None
    if chat.open_turn is not None:
        turn = services.turns.get(chat.tenant, chat.id, chat.open_turn)
        if turn is not None and message.id in turn.part_ids:
            return turn
    # An echo comes with every reply and is found at once; a takeover is rare, and an echo must not be mistaken for one.
    since = message.sent_at_ms - milliseconds(OWN_REPLIES_SEARCHED)
    until = message.sent_at_ms + LATE_ARRIVALS_MS
    return services.chats.find_turn_with_part(
        chat, message.id, now=now, since=since, until=until, most=ENTRIES_SEARCHED
    )


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """A message of the account that is not our reply, in a chat that the line answers."""

    message: Message
    judgement: Judgement
    fingerprint: str
    #: a reply of the line, of whose turn the table knows nothing any more: it is older than the reply
    is_reply: bool = False


def judge_own(
    services: Services, tenant: Tenant, session: Session, chat: Chat, message: Message, now: int
) -> OwnMessage:
    """Judges whether the phone sent it by itself, from what was handed in before. Writes nothing."""
    # After an absence, hundreds of messages may have come since then.
    reach: dict[str, int] = {"since": message.sent_at_ms - milliseconds(AWAY_WITHIN)}
    if may_be_reply_id(message.id):
        # A reply that the table forgot began with a message that waits again.
        reach = {"since": now - milliseconds(WAITS_FOR_A_REASON), "most": ENTRIES_SEARCHED}
    recent = services.chats.read_recent(chat, depth=MESSAGES_READ, now=now, **reach).messages
    # What the account of before received says nothing of this phone.
    before = tuple(each for each in recent if each.sent_at >= session.history_since)
    if is_forgotten_reply(chat, before, message.id, MAX_PARTS):
        return OwnMessage(message, Judgement(automatic=False), "", is_reply=True)
    names = {each.author for each in before if not each.from_me and each.author}
    text = fingerprint(tenant.id, message.text, names)
    judgement = judge(
        message,
        before,
        services.automatic_texts.get(tenant.id, text, now=now),
        chat=chat_hash(tenant.id, chat.id),
        complete_since=max(now - milliseconds(_retention(tenant)), session.answers_since or now),
    )
    return OwnMessage(message, judgement, text)


def remember_own(services: Services, tenant: Tenant, chat: Chat, own: OwnMessage, now: int) -> None:
    """Remembers the text of an own message that is about to be stored, if others like it may follow.

    Before it is stored: a process that dies in between counts it twice, and not never.
    """
    if own.judgement.remembered and services.chats.get_message(chat, own.message) is None:
        services.automatic_texts.record(
            tenant.id,
            own.fingerprint,
            chat=chat_hash(tenant.id, chat.id),
            text=own.message.text if own.judgement.automatic else "",
            retention=_retention(tenant),
            now=now,
        )


def conclude_own(services: Services, tenant: Tenant, chat: Chat, own: OwnMessage, now: int, *, is_new: bool) -> None:
    """Takes the chat over for the author of an own message that is stored, unless it is automatic.

    Args:
        is_new: False if it was stored before: its first judgement counts, and is concluded again, because the first try
            may have failed.
    """
    kept = None if is_new else services.chats.get_message(chat, own.message)
    automatic = kept.skipped is SkipReason.AUTOMATIC if kept is not None else own.judgement.automatic
    if own.is_reply:
        _end_turn(services, tenant, chat, own.message.sent_at_ms, now)
    elif not automatic:
        take_over(services, tenant, chat, own.message.sent_at_ms, now)


def take_over(services: Services, tenant: Tenant, chat: Chat, written_at: int, now: int) -> None:
    """Takes the chat over for the person who wrote from the phone: discards the open turn and pauses the line there."""
    if tenant.policies.takeover_minutes == 0:
        return
    until = written_at + tenant.policies.takeover_minutes * 60_000
    if until > max(now, chat.takeover_until):
        # First, so that no turn is opened after the next check.
        is_first = services.chats.record_takeover(chat, until)
        if is_first and chat.takeover_until < now:
            services.timeline.count(Event(tenant.id, now, EventKind.TAKEOVER, by="owner"))
    _end_turn(services, tenant, chat, None if until > now else written_at, now)


def _end_turn(services: Services, tenant: Tenant, chat: Chat, answered_at: int | None, now: int) -> None:
    """Discards the open turn; with ``answered_at`` only one whose first message was written before."""
    fresh = services.chats.get(chat.tenant, chat.id)
    if fresh is not None and fresh.open_turn is not None:
        turn = services.turns.get(chat.tenant, chat.id, fresh.open_turn)
        theirs = turn is not None and (answered_at is None or turn.oldest_sent_at <= answered_at)
        if turn is not None and theirs and services.turns.discard(turn, SkipReason.TAKEOVER, now):
            report_turn(services, tenant, turn, SkipReason.TAKEOVER, now)


def _retention(tenant: Tenant) -> timedelta:
    return timedelta(days=tenant.policies.retention_days)
