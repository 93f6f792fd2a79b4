"""Chats and their messages: stored once, deduplicated, and read back to the part that waits for an answer."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from chalicelib.model import (
    MAX_MESSAGE_AGE,
    Chat,
    SkipReason,
    StoredMessage,
    Turn,
    message_key,
    milliseconds,
)
from chalicelib.model.messages.audience import is_group
from chalicelib.model.messages.message import bare_key
from chalicelib.store.conversation.items import (
    DAY_SECONDS,
    chat_from,
    chat_key,
    is_expired,
    message_from,
    message_item,
    turn_or_rest_from,
)
from chalicelib.store.records import reader
from chalicelib.store.table import Attr, ConditionFailed, Item, Put, Table, Update
from wire import Message, MessageKind, Quote

#: Messages that arrived this long before the answered part are read too: the clocks of machines differ.
LATE_ARRIVALS_MS = 120_000
#: A message that got no answer in time, for example behind a turn that no runner could send, is looked for this long.
WAITS_FOR_A_REASON = 2 * MAX_MESSAGE_AGE
#: A check of a chat reads at most so many messages; of a contact who writes more, only the newest are answered.
MAX_MESSAGES_READ = 2_000
#: A chat is read in pages of so many entries at least, the newest first, and only as far back as is needed.
PAGE_ENTRIES = 30


@dataclass(frozen=True, slots=True)
class Recent:
    """The end of a chat: messages and turns, oldest first."""

    messages: tuple[StoredMessage, ...]
    turns: tuple[Turn, ...]


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

    def find(self, tenant: str, message: Message) -> Chat | None:
        """Returns the chat of this message, which WhatsApp names by LID or by phone; None if it is not stored."""
        chat = self.get(tenant, message.chat)
        if chat is None and message.chat_alias is not None:
            chat = self.get(tenant, message.chat_alias)
        return chat

    def record(self, tenant: str, message: Message, found: Chat | None, new_to: str | None = None) -> Chat:
        """Records what this message says of its chat, which is created if nothing was found; returns the chat.

        Args:
            new_to: the line's number, if the chat began after that number was linked.
        """
        if found is None:
            return self._create(tenant, message, new_to)
        if found.whatsapp_id != message.chat:
            self._alias(tenant, message.chat, found.id)
        phone = None if is_group(message.chat) else message.phone or found.phone
        chat = replace(found, whatsapp_id=message.chat, phone=phone, new_to=new_to or found.new_to)
        if chat != found:
            changed = {"whatsapp_id": chat.whatsapp_id, "phone": chat.phone, "new_to": chat.new_to}
            self._table.update(Update(chat_key(tenant, chat.id), "CHAT", set=changed))
        return chat

    def _create(self, tenant: str, message: Message, new_to: str | None) -> Chat:
        phone = None if is_group(message.chat) else message.phone
        chat = Chat(tenant, message.chat, phone=phone, whatsapp_id=message.chat, new_to=new_to)
        key = {"pk": chat_key(tenant, chat.id), "sk": "CHAT", "id": chat.id}
        try:
            self._table.put(Put({**key, "whatsapp_id": chat.whatsapp_id, "phone": phone, "new_to": new_to}))
        except ConditionFailed:
            return self.record(tenant, message, self.find(tenant, message), new_to)  # created a moment ago
        if message.chat_alias is not None:
            self._alias(tenant, message.chat_alias, chat.id)
        return chat

    def record_takeover(self, chat: Chat, until: int) -> bool:
        """Records that the owner answers this chat from the phone, so that the line stays silent until then.

        Returns False if another process recorded a takeover since the chat was read; a longer one stays.
        """
        taken = Attr("takeover_until")
        as_read = taken.eq(chat.takeover_until) if chat.takeover_until else taken.not_exists()
        for when in (as_read, taken.lt(until)):
            try:
                self._table.update(
                    Update(chat_key(chat.tenant, chat.id), "CHAT", set={"takeover_until": until}, when=when)
                )
            except ConditionFailed:
                continue
            return when is as_read
        return False

    def record_stop(self, chat: Chat, at: int) -> None:
        """Records that the contact ended automatic answers at this time of WhatsApp; a chat is stopped once."""
        if not chat.stopped and at >= (chat.resumed_at or 0):
            self._table.update(Update(chat_key(chat.tenant, chat.id), "CHAT", set={"stopped_at": at}))

    def record_resumption(self, chat: Chat, at: int) -> None:
        """Records that the contact or a person resumed automatic answers; an older STOP that comes late stays over."""
        if chat.stopped_at is None or at <= chat.stopped_at or at <= (chat.resumed_at or 0):
            return
        later = Attr("stopped_at").lt(at)
        with suppress(ConditionFailed):
            self._table.update(Update(chat_key(chat.tenant, chat.id), "CHAT", set={"resumed_at": at}, when=later))

    def _alias(self, tenant: str, alias: str, chat: str) -> None:
        try:
            self._table.put(Put({"pk": chat_key(tenant, alias), "sk": "CHAT", "same_as": chat}))
        except ConditionFailed:
            return  # a chat of its own with this id stays as it is

    # -- messages --------------------------------------------------------------------------------------------

    def store_message(self, chat: Chat, message: StoredMessage, *, retention_days: int, now: int) -> bool:
        """Stores a message once; False if it is stored already (see :meth:`get_message`)."""
        if message.sender is not None and self.find_message(chat, bare_key(message)) is not None:
            return False
        try:
            self._table.put(Put(message_item(chat, message, expires_at=now // 1000 + retention_days * DAY_SECONDS)))
        except ConditionFailed:
            return False
        return True

    def replace_unreadable(self, chat: Chat, message: StoredMessage, *, retention_days: int, now: int) -> bool:
        """Replaces a message that was stored as not decrypted by its text; False if it is not stored so any more."""
        item = message_item(chat, message, expires_at=now // 1000 + retention_days * DAY_SECONDS)
        key = {name: item.pop(name) for name in ("pk", "sk")}
        try:
            self._table.update(Update(**key, set=item, when=Attr("kind").eq(MessageKind.CIPHERTEXT)))
        except ConditionFailed:
            return False
        return True

    def get_message(self, chat: Chat, message: Message) -> StoredMessage | None:
        """Returns the message as it was handed in before."""
        key = message_key(message.from_me, message.sender, message.id)
        return self.find_message(chat, key) or self.find_message(chat, bare_key(message))

    def was_deleted(self, chat: Chat, quote: Quote) -> bool:
        """True if the quoted message is stored as deleted: the page may still show what it said."""
        if quote.id is None:
            return False
        # In a chat with one contact the page may name the author too, whom no key there has.
        keys = {message_key(quote.from_me, sender, quote.id) for sender in (quote.sender, None)}
        found = (self.find_message(chat, key) for key in keys)
        return any(quoted is not None and quoted.skipped is SkipReason.DELETED for quoted in found)

    def find_message(self, chat: Chat, key: str) -> StoredMessage | None:
        """Returns the message with this key, if it can be read."""
        item = self._table.get(chat_key(chat.tenant, chat.id), f"MESSAGE#{key}")
        return reader.one(item, partial(message_from, chat.id))

    def get_batch(self, turn: Turn) -> tuple[StoredMessage, ...]:
        """Returns the messages that a turn answers, in their order; without those that expired or cannot be read."""
        pk = chat_key(turn.tenant, turn.chat)
        items = self._table.get_many([(pk, f"MESSAGE#{key}") for key in turn.messages])
        found = {each.key: each for each in reader.each(items, partial(message_from, turn.chat))}
        return tuple(found[key] for key in turn.messages if key in found)

    def read_messages(
        self, tenant: str, keys: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[Chat, StoredMessage]]:
        """Returns those of the messages, by chat and key, that can be read, each with its chat; a moment old."""
        chats = {(chat_key(tenant, chat), "CHAT"): chat for chat, _ in keys}
        wanted = {(chat_key(tenant, chat), f"MESSAGE#{key}"): (chat, key) for chat, key in keys}
        items = {(item["pk"], item["sk"]): item for item in self._table.get_many([*chats, *wanted])}
        known = {name: reader.one(items.get(at), partial(chat_from, tenant)) for at, name in chats.items()}
        found: dict[tuple[str, str], tuple[Chat, StoredMessage]] = {}
        for at, (name, key) in wanted.items():
            chat, message = known[name], reader.one(items.get(at), partial(message_from, name))
            if chat is not None and message is not None:
                found[name, key] = (chat, message)
        return found

    def read_recent(
        self, chat: Chat, *, depth: int, now: int, since: int | None = None, most: int = MAX_MESSAGES_READ
    ) -> Recent:
        """Reads the last ``depth`` entries, and each that may wait for an answer or a reason.

        Args:
            since: epoch milliseconds; each entry since then is read instead of what may wait.
            most: no more entries are read in any case.
        """
        earliest = f"{now - milliseconds(WAITS_FOR_A_REASON):013d}"
        floor = max(earliest, _earlier(chat.answered_to, LATE_ARRIVALS_MS)) if chat.answered_to else earliest
        if since is not None:
            floor = f"{max(0, since):013d}"
        messages: list[StoredMessage] = []
        turns: list[Turn] = []
        # One entry beyond the depth tells whether the one after it may wait, too.
        page = min(most, max(PAGE_ENTRIES, depth + 1))
        for count, item in enumerate(self._newest_first(chat, page=page, limit=most)):
            if count >= depth and item["at"] < floor:
                break
            if is_expired(item, now):
                continue
            if item["sk"].startswith("TURN#"):
                turns.append(turn_or_rest_from(item))
            else:
                messages += reader.each([item], partial(message_from, chat.id))
        return Recent(tuple(reversed(messages)), tuple(reversed(turns)))

    def find_turn_with_part(
        self, chat: Chat, message: str, *, now: int, since: int, until: int, most: int
    ) -> Turn | None:
        """Returns the turn that has a part with this message id on WhatsApp.

        The last turns are found by their keys, and cost the same however long the chat is. Others are looked for in
        the chat, from the instant ``until`` back to ``since``, through so many entries at most.
        """
        pk = chat_key(chat.tenant, chat.id)
        last = chat.last_turns[-1:]
        newest = self._table.get(pk, f"TURN#{last[0]}") if last else None
        found = turn_or_rest_from(newest) if newest is not None else None
        if found is not None and message in found.part_ids:
            return found
        before = self._table.get_many([(pk, f"TURN#{turn}") for turn in chat.last_turns[:-1]])
        for item in before:
            if message in (turn := turn_or_rest_from(item)).part_ids:
                return turn
        between = (f"{max(0, since):013d}", f"{max(0, until):013d}#~")
        for item in self._newest_first(chat, page=PAGE_ENTRIES, limit=most, between=between):
            if item["sk"].startswith("TURN#") and message in (turn := turn_or_rest_from(item)).part_ids:
                return None if is_expired(item, now) else turn
        return None

    def _newest_first(
        self, chat: Chat, *, page: int, limit: int, between: tuple[str, str] | None = None
    ) -> Iterator[Item]:
        return self._table.query(
            chat_key(chat.tenant, chat.id),
            index="by_time",
            keys=("pk", "at"),
            newest_first=True,
            between=between,
            limit=limit,
            page=page,
        )


def arrival(now: int, index: int) -> str:
    """Returns the text that orders messages by arrival, and within one hand-in by their order there."""
    return f"{now:013d}#{index:03d}"


def _earlier(at: str, by_ms: int) -> str:
    return f"{int(at.split('#')[0]) - by_ms:013d}"
