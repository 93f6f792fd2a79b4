"""The items of chats, messages and turns: their keys and attributes."""

from chalicelib.errors import Unreadable
from chalicelib.model import Chat, SkipReason, StoredMessage, Turn, TurnState
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.store.records.reader import readable, value_of
from chalicelib.store.records.wire_enums import read_enum
from chalicelib.store.table import Item
from wire import Media, MessageKind, Quote

DAY_SECONDS = 24 * 3600


def chat_key(tenant: str, chat: str) -> str:
    """Returns the partition of a chat, with its messages and turns."""
    return f"CHAT#{tenant}#{chat}"


@readable
def chat_from(tenant: str, item: Item) -> Chat:
    """Returns the chat that this item holds. Raises Unreadable."""
    return value_of(
        Chat,
        tenant=tenant,
        id=item["id"],
        open_turn=item.get("open_turn"),
        takeover_until=item.get("takeover_until", 0),
        answered_to=item.get("answered_to", ""),
        phone=item.get("phone"),
        whatsapp_id=str(item.get("whatsapp_id") or item["id"]),
        new_to=item.get("new_to"),
        backstop=int(item.get("again") or 0),  # True in earlier releases
        changes=item.get("changes", 0),
        muted_until=item.get("muted_until", 0),
        stopped_at=item.get("stopped_at"),
        resumed_at=item.get("resumed_at"),
        stop_confirmed_at=item.get("stop_confirmed_at"),
        wordless_notice_at=item.get("wordless_notice_at"),
        last_turns=tuple(item.get("last_turns", ())),
        introduced_at=item.get("introduced_at"),
    )


def message_item(chat: Chat, message: StoredMessage, *, expires_at: int) -> Item:
    """Returns the item of a message; the attributes from ``variant`` on are left out where they say nothing."""
    return {
        "pk": chat_key(chat.tenant, chat.id),
        "sk": f"MESSAGE#{message.key}",
        "id": message.id,
        "sender": message.sender,
        "from_me": message.from_me,
        "kind": message.kind,
        "text": message.text,
        "sent_at": message.sent_at,
        "received_at": message.received_at,
        "at": message.at,
        "skipped": message.skipped,
        "expires_at": expires_at,
        "variant": message.variant or None,
        "summary": message.summary or None,
        "quote": message.quote.model_dump(mode="json", exclude_none=True) if message.quote else None,
        "author": message.author or None,
        "mentions_us": message.mentions_us or None,
        "media": message.media.model_dump(mode="json", exclude_none=True) if message.media else None,
        "version": message.version or None,
        "edited_at": message.edited_at,
        "copies": message.copies or None,
    }


@readable
def message_from(chat: str, item: Item) -> StoredMessage:
    """Returns the message that this item holds. Raises Unreadable."""
    return value_of(
        StoredMessage,
        id=item["id"],
        chat=chat,
        sender=item.get("sender"),
        from_me=item["from_me"],
        kind=read_enum(MessageKind, item["kind"]),
        text=item["text"],
        sent_at=item["sent_at"],
        received_at=item["received_at"],
        at=item["at"],
        skipped=SkipReason(item["skipped"]) if "skipped" in item else None,
        variant=item.get("variant", ""),
        summary=item.get("summary", ""),
        quote=Quote.model_validate(item["quote"]) if "quote" in item else None,
        author=item.get("author", ""),
        mentions_us=item.get("mentions_us", False),
        media=Media.model_validate(item["media"]) if "media" in item else None,
        version=item.get("version", 0),
        edited_at=item.get("edited_at"),
        copies=tuple(item.get("copies", ())),
    )


@readable
def turn_from(item: Item) -> Turn:
    """Returns the turn that this item holds. Raises Unreadable."""
    return value_of(
        Turn,
        id=item["sk"].removeprefix("TURN#"),
        tenant=item["tenant"],
        chat=item["chat"],
        state=TurnState(item["state"]),
        revision=item["revision"],
        messages=item["messages"],
        first_message=item["first_message"],
        last_message=item["last_message"],
        created_at=item["created_at"],
        at=item["at"],
        oldest_sent_at=item["oldest_sent_at"],
        parts=item.get("parts", ()),
        cursor=item.get("cursor", 0),
        discards=item.get("discards", 0),
        attempts=item.get("attempts", 0),
        epoch=item.get("epoch"),
        due_at=item.get("due_at", 0),
        reason=item.get("reason"),
        sent_at=item.get("sent_at"),
        versions=item.get("versions", ()),
        markdown=item.get("markdown", ""),
        parts_once_sent=item.get("parts_once_sent", ()),
        calls=item.get("calls", 0),
        called_at=item.get("called_at"),
        timeouts=item.get("timeouts", 0),
        failures=item.get("failures", 0),
        sentence=FixedSentence(item["sentence"]) if "sentence" in item else None,
        introduced_at=item.get("introduced_at"),
        assistant_version=item.get("assistant_version"),
    )


def turn_or_rest_from(item: Item) -> Turn:
    """Returns the turn; of one that cannot be read, what it answers, as if a later release had written its state.

    So its chat goes on, and nothing is answered twice. Raises Unreadable where even that is not known.
    """
    try:
        return turn_from(item)
    except Unreadable:
        return _rest_from(item)


@readable
def _rest_from(item: Item) -> Turn:
    _, tenant, chat = item["pk"].split("#", 2)
    return value_of(
        Turn,
        id=item["sk"].removeprefix("TURN#"),
        tenant=tenant,
        chat=chat,
        state=TurnState.UNKNOWN,
        revision=0,
        messages=item["messages"],
        first_message="",
        last_message="",
        created_at=0,
        at=item["at"],
        oldest_sent_at=0,
    )


def is_expired(item: Item, now: int) -> bool:
    """Returns whether DynamoDB should have deleted this item by now."""
    expires_at = item.get("expires_at")
    return isinstance(expires_at, int) and expires_at * 1000 < now


def turn_item(turn: Turn, retention_days: int, now: int) -> Item:
    """Returns the item of a turn that is new."""
    return {
        "pk": chat_key(turn.tenant, turn.chat),
        "sk": f"TURN#{turn.id}",
        "tenant": turn.tenant,
        "chat": turn.chat,
        "state": turn.state,
        "revision": turn.revision,
        "messages": turn.messages,
        "versions": turn.versions or None,
        "first_message": turn.first_message,
        "last_message": turn.last_message,
        "created_at": turn.created_at,
        "at": turn.at,
        "oldest_sent_at": turn.oldest_sent_at,
        "parts": turn.parts or None,
        "cursor": turn.cursor if turn.parts else None,
        "markdown": turn.markdown or None,
        "introduced_at": turn.introduced_at,
        "sentence": turn.sentence,
        "due_at": turn.due_at or None,
        "calls": turn.calls or None,
        "called_at": turn.called_at,
        "reason": turn.reason,
        "expires_at": now // 1000 + retention_days * DAY_SECONDS,
    }
