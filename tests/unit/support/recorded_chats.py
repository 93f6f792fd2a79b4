"""One chat of one tenant: its messages, recorded and handed in as the control plane does."""

from typing import Any

from chalicelib.model import Chat, SkipReason, StoredMessage
from chalicelib.model.messages.message import stored_message
from chalicelib.store.conversation.chats import Chats, arrival
from wire import Message, MessageKind

T = "tenantaaaa"
LID, PHONE = "4711@lid", "491701234567@c.us"
NUMBER = "491701234567"
NOW = 1_790_000_000_000


def a_message(number: int = 1, **more: Any) -> Message:
    given = {"id": f"M{number}", "chat": LID, "from_me": False, "sent_at_ms": NOW, "kind": MessageKind.TEXT}
    return Message.model_validate({**given, "text": "Are you open?", **more})


def stored(chat: Chat, message: Message, at: int = NOW, skipped: SkipReason | None = None) -> StoredMessage:
    return stored_message(message, chat.id, at=arrival(at, 0), skipped=skipped, keeps_content=True, now=at)


def recorded(chats: Chats, message: Message, new_to: str | None = None) -> Chat:
    return chats.record(T, message, chats.find(T, message), new_to)


def hand_in(chats: Chats, chat: Chat, message: Message, at: int = NOW, retention_days: int = 30, **more: Any) -> bool:
    return chats.store_message(chat, stored(chat, message, at, **more), retention_days=retention_days, now=at)
