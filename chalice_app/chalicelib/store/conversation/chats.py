"""Chats and their messages: stored once, deduplicated, and read back to the part that waits for an answer."""

from dataclasses import dataclass, replace

from chalicelib.model import (
    MAX_MESSAGE_AGE,
    Chat,
    SkipReason,
    StoredMessage,
    Turn,
    message_key,
    milliseconds,
)
from chalicelib.store.conversation.items import (
    DAY_SECONDS,
    chat_from,
    chat_key,
    message_from,
    message_item,
    turn_from,
)
from chalicelib.store.table import ConditionFailed, Put, Table, Update
from wire import Message

#: Messages that arrived this long before the answered part are read too: the clocks of machines differ.
LATE_ARRIVALS_MS = 120_000
#: A check of a chat reads at most so many messages; of a contact who writes more, only the newest are answered.
MAX_MESSAGES_READ = 2_000


@dataclass(frozen=True, slots=True)
class Recent:
    """The end of a chat: messages and turns, oldest first."""

    messages: tuple[StoredMessage, ...]
    turns: tuple[Turn, ...]

    def turn_with_part(self, message: str) -> Turn | None:
        """Returns the turn that has a part with this message id on WhatsApp."""
        return next((turn for turn in self.turns if message in turn.part_ids), None)


class Chats:
    """The chats of all tenants.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    # -- chats -----------------------------------------------------------------------------------------------

    def get(self, tenant: str, chat: str) -> Chat | None:
        """Returns the chat under its first id; follows one alias."""
        item = self._table.get(chat_key(tenant, chat), "CHAT")
        if item is not None and "same_as" in item:
            item = self._table.get(chat_key(tenant, item["same_as"]), "CHAT")
        return chat_from(tenant, item) if item is not None else None

    def get_or_create(self, tenant: str, message: Message) -> Chat:
        """Returns the chat of this message, which WhatsApp names by LID or by phone; creates it if it is new."""
        chat = self.get(tenant, message.chat)
        if chat is None and message.chat_alias is not None:
            chat = self.get(tenant, message.chat_alias)
            if chat is not None:
                self._alias(tenant, message.chat, chat.id)
        if chat is None:
            chat = Chat(tenant, message.chat, phone=message.phone, whatsapp_id=message.chat)
            try:
                self._table.put(
                    Put(
                        {
                            "pk": chat_key(tenant, chat.id),
                            "sk": "CHAT",
                            "id": chat.id,
                            "whatsapp_id": message.chat,
                            "phone": message.phone,
                        }
                    )
                )
            except ConditionFailed:
                return self.get_or_create(tenant, message)  # another process created it a moment ago
            if message.chat_alias is not None:
                self._alias(tenant, message.chat_alias, chat.id)
        if chat.whatsapp_id != message.chat or (message.phone and chat.phone != message.phone):
            chat = replace(chat, whatsapp_id=message.chat, phone=message.phone or chat.phone)
            self._table.update(
                Update(chat_key(tenant, chat.id), "CHAT", set={"whatsapp_id": message.chat, "phone": chat.phone})
            )
        return chat

    def record_takeover(self, chat: Chat, until: int) -> None:
        """Records that the owner answers this chat from the phone, so that the line stays silent until then."""
        self._table.update(Update(chat_key(chat.tenant, chat.id), "CHAT", set={"takeover_until": until}))

    def _alias(self, tenant: str, alias: str, chat: str) -> None:
        try:
            self._table.put(Put({"pk": chat_key(tenant, alias), "sk": "CHAT", "same_as": chat}))
        except ConditionFailed:
            return  # a chat of its own with this id stays as it is

    # -- messages --------------------------------------------------------------------------------------------

    def store_message(
        self, chat: Chat, message: Message, *, arrival: str, skipped: SkipReason | None, retention_days: int, now: int
    ) -> StoredMessage | None:
        """Stores a message once. None if it is stored already (see :meth:`get_message`)."""
        stored = StoredMessage(
            id=message.id,
            chat=chat.id,
            sender=message.sender,
            from_me=message.from_me,
            kind=message.kind,
            text=message.text or message.caption,
            sent_at=message.sent_at_ms,
            received_at=now,
            at=arrival,
            skipped=skipped,
            variant=message.variant,
            summary=message.summary,
            quote=message.quote,
            author=message.author,
            mentions_us=message.mentions_us,
            media=message.media,
            edited_at=message.edited_at_ms,
        )
        try:
            self._table.put(Put(message_item(chat, stored, expires_at=now // 1000 + retention_days * DAY_SECONDS)))
        except ConditionFailed:
            return None
        return stored

    def get_message(self, chat: Chat, message: Message) -> StoredMessage | None:
        """Returns the message as it was first handed in."""
        key = message_key(message.from_me, message.sender, message.id)
        item = self._table.get(chat_key(chat.tenant, chat.id), f"MESSAGE#{key}")
        return message_from(chat.id, item) if item else None

    def read_recent(self, chat: Chat, *, depth: int, now: int, since: int | None = None) -> Recent:
        """Reads the last ``depth`` entries, and each that may still wait for an answer or came after ``since``.

        Args:
            since: epoch milliseconds.
        """
        earliest = f"{max(0, now - milliseconds(MAX_MESSAGE_AGE)):013d}"
        floor = max(earliest, _earlier(chat.answered_to, LATE_ARRIVALS_MS)) if chat.answered_to else earliest
        if since is not None:
            floor = min(floor, f"{max(0, since):013d}")
        messages: list[StoredMessage] = []
        turns: list[Turn] = []
        entries = self._table.query(
            chat_key(chat.tenant, chat.id),
            index="by_time",
            keys=("pk", "at"),
            newest_first=True,
            limit=MAX_MESSAGES_READ,
        )
        for count, item in enumerate(entries):
            if count >= depth and item["at"] < floor:
                break
            if item.get("expires_at", now) * 1000 < now:
                continue
            if item["sk"].startswith("TURN#"):
                turns.append(turn_from(item))
            else:
                messages.append(message_from(chat.id, item))
        return Recent(tuple(reversed(messages)), tuple(reversed(turns)))


def arrival(now: int, index: int) -> str:
    """Returns the text that orders messages by arrival, and within one hand-in by their order there."""
    return f"{now:013d}#{index:03d}"


def _earlier(at: str, by_ms: int) -> str:
    return f"{max(0, int(at.split('#')[0]) - by_ms):013d}"
