"""Changes of messages that are stored: a new wording, or the erasure of a message and of its copies in the chat."""

from contextlib import suppress

from chalicelib.model import Chat, StoredMessage, Turn, TurnState
from chalicelib.model.messages.changes import erased, without_copies
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.store.conversation.items import chat_from, chat_key, message_item, turn_or_rest_from
from chalicelib.store.table import Attr, ConditionBase, ConditionFailed, Item, Table, Update


class MessageChanges:
    """The changes of messages of all chats.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def rewrite(self, chat: Chat, before: StoredMessage, after: StoredMessage) -> bool:
        """Stores the new wording; False if another process changed the message meanwhile."""
        item = message_item(chat, after, expires_at=0)
        key = {name: item.pop(name) for name in ("pk", "sk")}
        del item["expires_at"]
        try:
            self._table.update(Update(**key, set=item, when=_is_version(before)))
        except ConditionFailed:
            return False
        return True

    def count(self, chat: Chat) -> Chat | None:
        """Counts a change that is stored, and returns the chat with the turn that is open; None if it expired.

        A batch that was read before is not frozen any more, and one that was frozen before is seen here.
        """
        try:
            item = self._table.update(
                Update(chat_key(chat.tenant, chat.id), "CHAT", add={"changes": 1}, when=Attr("pk").exists())
            )
        except ConditionFailed:
            return None
        return chat_from(chat.tenant, item)

    def erase(self, chat: Chat, before: StoredMessage, reason: SkipReason = SkipReason.DELETED) -> bool:
        """Erases the content of a message; False if another process changed the message meanwhile.

        A deleted one keeps what its copies say, until ``forget_copies``: this process may die before they are erased.
        """
        return self.rewrite(chat, before, erased(before, reason))

    def erase_copies(self, chat: Chat, deleted: StoredMessage) -> None:
        """Erases what other messages quote of a deleted one, and what replies repeat of it.

        A reply keeps its text until it is sent: it must not change under its id.
        """
        for item in self._table.query(chat_key(chat.tenant, chat.id), begins_with="MESSAGE#"):
            self._erase_quote(item, deleted.id, deleted.from_me)
        self.erase_repetitions(chat, deleted)

    def forget_copies(self, chat: Chat, deleted: StoredMessage) -> None:
        """Forgets what the copies of a deleted message said: all of them are erased."""
        with suppress(ConditionFailed):
            key = chat_key(chat.tenant, chat.id), f"MESSAGE#{deleted.key}"
            self._table.update(Update(*key, remove=("copies",), when=Attr("copies").exists()))

    def erase_repetitions(self, chat: Chat, former: StoredMessage) -> None:
        """Erases what replies repeat of a wording that its author took back: nobody could find it any more later."""
        for item in self._table.query(chat_key(chat.tenant, chat.id), begins_with="TURN#"):
            turn = turn_or_rest_from(item)
            kept = turn.parts_once_sent or turn.parts
            parts = tuple(without_copies(part, former) for part in kept)
            markdown = without_copies(turn.markdown, former)
            if (parts, markdown) != (kept, turn.markdown):
                self._rewrite_reply(turn, parts, markdown)

    def rewrite_part(self, turn: Turn, part: int, text: str) -> None:
        """Replaces the text of a part that the owner edited or deleted on the phone, after it was sent."""
        if turn.parts[part] and turn.parts[part] != text and part < turn.cursor:
            parts = (*turn.parts[:part], text, *turn.parts[part + 1 :])
            self._rewrite_reply(turn, parts, "", also=Attr("cursor").gt(part))
            if not text:
                for item in self._table.query(chat_key(turn.tenant, turn.chat), begins_with="MESSAGE#"):
                    self._erase_quote(item, turn.part_id(part), from_me=True)

    def _rewrite_reply(
        self, turn: Turn, parts: tuple[str, ...], markdown: str, *, also: ConditionBase | None = None
    ) -> None:
        key = chat_key(turn.tenant, turn.chat), f"TURN#{turn.id}"
        ended = Attr("state").eq(TurnState.SENT) | Attr("state").eq(TurnState.DISCARDED)
        same = Attr("revision").eq(turn.revision)
        changes = {"parts": parts, "markdown": markdown}
        if also is None:
            later = {"parts_once_sent": parts, "markdown": markdown}
            with suppress(ConditionFailed):
                self._table.update(Update(*key, set=later, when=Attr("parts").exists() & same & ~ended))
        with suppress(ConditionFailed):
            self._table.update(Update(*key, set=changes, when=(ended if also is None else also) & same))

    def _erase_quote(self, item: Item, id: str, from_me: bool) -> None:
        quote = item.get("quote")
        if quote and quote.get("id") == id and quote.get("from_me", False) == from_me and quote.get("text"):
            with suppress(ConditionFailed):
                self._table.update(
                    Update(item["pk"], item["sk"], set={("quote", "text"): ""}, when=Attr("quote.id").eq(id))
                )


def _is_version(message: StoredMessage) -> ConditionBase:
    version, skipped = Attr("version"), Attr("skipped")
    same = version.eq(message.version) if message.version else version.not_exists()
    return Attr("pk").exists() & same & (skipped.not_exists() | skipped.ne(SkipReason.DELETED))
