"""Chats, messages and turns: what was handed in, and what is being answered.

A chat's open turn is the lock that makes answers come one at a time; a turn's revision is the fence that keeps a
text from being stored for a batch that has changed.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.model import (
    ANSWER_AT_LATEST,
    DISCARDS_AT_MOST,
    TOO_OLD,
    TURN_OVERDUE_AFTER,
    Chat,
    StoredMessage,
    Turn,
    TurnState,
    frozen,
    message_key,
    milliseconds,
)
from chalicelib.store.table import Attr, Check, ConditionFailed, Item, Put, Table, Update
from wire import Message, MessageKind

#: How far back of the answered part late arrivals are looked for (clocks of different machines differ).
LATE_ARRIVALS_MS = 120_000
#: The most messages one look at a chat reads.
LOOK_AT_MOST = 300

DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Recent:
    """The end of a chat: messages and turns, oldest first."""

    messages: tuple[StoredMessage, ...]
    turns: tuple[Turn, ...]

    def turn_with_part(self, message: str) -> Turn | None:
        """The turn one of whose bubbles has this id on WhatsApp."""
        return next((turn for turn in self.turns if message in turn.part_ids), None)


class Chats:
    """Conversations of all tenants.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    # -- chats -----------------------------------------------------------------------------------------------

    def chat(self, tenant: str, chat: str) -> Chat | None:
        """The chat under its first name; follows one alias."""
        item = self._table.get(_pk(tenant, chat), "CHAT")
        if item is not None and "same_as" in item:
            item = self._table.get(_pk(tenant, item["same_as"]), "CHAT")
        return _chat_from(tenant, item) if item is not None else None

    def meet(self, tenant: str, message: Message, now: int) -> Chat:
        """The chat of this message, whether it came under its LID or its phone; a new one if need be."""
        chat = self.chat(tenant, message.chat)
        if chat is None and message.chat_alias is not None:
            chat = self.chat(tenant, message.chat_alias)
            if chat is not None:
                self._alias(tenant, message.chat, chat.id)
        if chat is None:
            chat = Chat(tenant, message.chat, phone=message.phone, whatsapp_id=message.chat)
            try:
                self._table.put(
                    Put(
                        {
                            "pk": _pk(tenant, chat.id),
                            "sk": "CHAT",
                            "id": chat.id,
                            "whatsapp_id": message.chat,
                            "phone": message.phone,
                            "met_at": now,
                        }
                    )
                )
            except ConditionFailed:
                return self.meet(tenant, message, now)  # somebody else met it a moment ago
            if message.chat_alias is not None:
                self._alias(tenant, message.chat_alias, chat.id)
        if chat.whatsapp_id != message.chat or (message.phone and chat.phone != message.phone):
            chat = replace(chat, whatsapp_id=message.chat, phone=message.phone or chat.phone)
            self._table.update(
                Update(_pk(tenant, chat.id), "CHAT", set={"whatsapp_id": message.chat, "phone": chat.phone})
            )
        return chat

    def take_over(self, chat: Chat, until: int) -> None:
        """A person answers in this chat; the line keeps quiet."""
        self._table.update(Update(_pk(chat.tenant, chat.id), "CHAT", set={"takeover_until": until}))

    def _alias(self, tenant: str, alias: str, chat: str) -> None:
        try:
            self._table.put(Put({"pk": _pk(tenant, alias), "sk": "CHAT", "same_as": chat}))
        except ConditionFailed:
            return  # it has a history of its own: leave that alone

    # -- messages --------------------------------------------------------------------------------------------

    def hand_in(
        self, chat: Chat, message: Message, *, arrival: str, skipped: str | None, retention_days: int, now: int
    ) -> StoredMessage | None:
        """Stores a message once. None if it was handed in before (see :meth:`message`)."""
        stored = StoredMessage(
            id=message.id,
            chat=chat.id,
            sender=message.sender,
            from_me=message.from_me,
            kind=message.kind,
            text=message.text,
            sent_at=message.sent_at_ms,
            received_at=now,
            at=arrival,
            skipped=skipped,
        )
        try:
            self._table.put(
                Put(
                    {
                        "pk": _pk(chat.tenant, chat.id),
                        "sk": f"MESSAGE#{stored.key}",
                        "id": stored.id,
                        "sender": stored.sender,
                        "from_me": stored.from_me,
                        "kind": stored.kind,
                        "text": stored.text,
                        "sent_at": stored.sent_at,
                        "received_at": now,
                        "at": arrival,
                        "skipped": skipped,
                        "expires_at": now // 1000 + retention_days * DAY_SECONDS,
                    }
                )
            )
        except ConditionFailed:
            return None
        return stored

    def message(self, chat: Chat, message: Message) -> StoredMessage | None:
        """The message as it was first handed in."""
        key = message_key(message.from_me, message.sender, message.id)
        item = self._table.get(_pk(chat.tenant, chat.id), f"MESSAGE#{key}")
        return _message_from(chat.id, item) if item else None

    def recent(self, chat: Chat, *, depth: int, now: int) -> Recent:
        """The last ``depth`` entries, and every one that may still wait for an answer."""
        earliest = f"{max(0, now - milliseconds(TOO_OLD)):013d}"
        floor = max(earliest, _earlier(chat.answered_to, LATE_ARRIVALS_MS)) if chat.answered_to else earliest
        messages: list[StoredMessage] = []
        turns: list[Turn] = []
        entries = self._table.query(
            _pk(chat.tenant, chat.id), index="by_time", keys=("pk", "at"), newest_first=True, limit=LOOK_AT_MOST
        )
        for count, item in enumerate(entries):
            if count >= depth and item["at"] < floor:
                break
            if item.get("expires_at", now) * 1000 < now:
                continue
            if item["sk"].startswith("TURN#"):
                turns.append(turn_from(item))
            else:
                messages.append(_message_from(chat.id, item))
        return Recent(tuple(reversed(messages)), tuple(reversed(turns)))

    # -- turns -----------------------------------------------------------------------------------------------

    def turn(self, tenant: str, chat: str, turn: str) -> Turn | None:
        item = self._table.get(_pk(tenant, chat), f"TURN#{turn}")
        return turn_from(item) if item else None

    def freeze(
        self, chat: Chat, waiting: tuple[StoredMessage, ...], *, assistant_version: int, retention_days: int, now: int
    ) -> Turn | None:
        """Opens the chat's turn over this batch. None if another turn is open, or was opened for this batch before."""
        first = waiting[0]
        turn = Turn(
            id=_turn_id(chat, first.key),
            tenant=chat.tenant,
            chat=chat.id,
            state=TurnState.THINKING,
            revision=1,
            messages=tuple(message.key for message in waiting),
            first_message=f"{chat.id}|{first.key}",
            last_message=waiting[-1].id,
            created_at=now,
            at=waiting[-1].at,
            oldest_sent_at=min(message.sent_at for message in waiting),
            due_at=now + milliseconds(TURN_OVERDUE_AFTER),
            assistant_version=assistant_version,
        )
        item = {
            "pk": _pk(chat.tenant, chat.id),
            "sk": f"TURN#{turn.id}",
            "tenant": chat.tenant,
            "chat": chat.id,
            "state": turn.state,
            "revision": 1,
            "messages": turn.messages,
            "first_message": turn.first_message,
            "last_message": turn.last_message,
            "created_at": now,
            "at": turn.at,
            "oldest_sent_at": turn.oldest_sent_at,
            "open_turns": "OPEN",
            "due_at": turn.due_at,
            "assistant_version": assistant_version,
            "expires_at": now // 1000 + retention_days * DAY_SECONDS,
        }
        try:
            self._table.transact(
                Update(
                    _pk(chat.tenant, chat.id),
                    "CHAT",
                    set={"open_turn": turn.id, "again": None},
                    when=Attr("open_turn").not_exists() & Attr("pk").exists(),
                ),
                Put(item),
            )
        except ConditionFailed:
            return None
        return turn

    def cover(
        self, chat: Chat, waiting: tuple[StoredMessage, ...], reason: str, *, retention_days: int, now: int
    ) -> None:
        """Says why these messages get no answer: a turn that was discarded from the start."""
        turn = self.freeze(chat, waiting, assistant_version=0, retention_days=retention_days, now=now)
        if turn is not None:
            self.discard(turn, reason, now)

    def fold_in(self, turn: Turn, waiting: tuple[StoredMessage, ...], now: int) -> Turn | None:
        """Freezes the open turn's batch anew, if nothing was sent yet and not too often. None if that is too late."""
        if turn.discards >= DISCARDS_AT_MOST:
            return None
        anew = frozen(turn, waiting, now)
        changes = {
            "state": anew.state,
            "revision": anew.revision,
            "messages": anew.messages,
            "last_message": anew.last_message,
            "at": anew.at,
            "oldest_sent_at": anew.oldest_sent_at,
            "parts": None,
            "discards": anew.discards,
            "due_at": anew.due_at,
        }
        unsent = (
            Attr("state").eq(TurnState.THINKING)
            | Attr("state").eq(TurnState.READY)
            | Attr("state").eq(TurnState.WAITING)
        )
        return self._change(turn, changes, unsent & Attr("revision").eq(turn.revision))

    def think_again(self, turn: Turn, now: int) -> Turn | None:
        """Claims an overdue or waiting turn for one more attempt of the model."""
        changes = {
            "state": TurnState.THINKING,
            "revision": turn.revision + 1,
            "due_at": now + milliseconds(TURN_OVERDUE_AFTER),
        }
        return self._change(turn, changes, Attr("state").eq(turn.state) & Attr("revision").eq(turn.revision))

    def store_text(self, turn: Turn, parts: tuple[str, ...], now: int) -> Turn | None:
        """``thinking → ready``, once, and only for the batch the text was made for."""
        changes = {
            "state": TurnState.READY,
            "parts": parts,
            "cursor": 0,
            "due_at": now + milliseconds(ANSWER_AT_LATEST) * 5,
        }
        return self._change(turn, changes, Attr("state").eq(TurnState.THINKING) & Attr("revision").eq(turn.revision))

    def put_off(self, turn: Turn, state: TurnState, *, due_at: int, attempts: int, reason: str) -> Turn | None:
        """The model could not answer now: ``thinking`` until it can, or ``waiting`` for a person."""
        changes = {"state": state, "due_at": due_at, "attempts": attempts, "reason": reason}
        return self._change(turn, changes, Attr("state").eq(TurnState.THINKING) & Attr("revision").eq(turn.revision))

    def look_again_at(self, turn: Turn, due_at: int) -> None:
        """Keeps an open turn among the candidates of ``reconcile``, later."""
        self._change(turn, {"due_at": due_at}, Attr("state").eq(turn.state) & Attr("revision").eq(turn.revision))

    def discard(self, turn: Turn, reason: str, now: int) -> bool:
        """The turn will not be sent. False once a runner took it."""
        changes = {"state": TurnState.DISCARDED, "reason": reason, "open_turns": None, "due_at": None}
        unsent = Attr("state").ne(TurnState.SENDING) & Attr("state").ne(TurnState.SENT)
        if self._change(turn, changes, unsent) is None:
            return False
        self.close(turn)
        return True

    def take(self, turn: Turn, runner: str, epoch: int, now: int) -> Turn | None:
        """``ready → sending``, only for the runner that holds the session at this epoch. None: it may not."""
        may = Attr("state").eq(TurnState.READY) | Attr("state").eq(TurnState.SENDING)
        try:
            self._table.transact(
                Check(
                    f"TENANT#{turn.tenant}",
                    "SESSION",
                    when=Attr("runner").eq(runner) & Attr("epoch").eq(epoch),
                ),
                Update(
                    _pk(turn.tenant, turn.chat),
                    f"TURN#{turn.id}",
                    set={
                        "state": TurnState.SENDING,
                        "epoch": epoch,
                        "due_at": now + milliseconds(TURN_OVERDUE_AFTER),
                    },
                    when=may & Attr("revision").eq(turn.revision),
                ),
            )
        except ConditionFailed:
            return None
        return replace(turn, state=TurnState.SENDING, epoch=epoch)

    def sent(self, turn: Turn, part: int, now: int) -> tuple[Turn, bool]:
        """Part ``part`` arrived. Monotone and not fenced. Returns the turn and whether the chat should be looked at."""
        cursor = max(turn.cursor, part + 1)
        last = cursor >= len(turn.parts)
        changes: dict[str, Any] = {"cursor": cursor}
        if last:
            changes |= {"state": TurnState.SENT, "sent_at": now, "open_turns": None, "due_at": None}
        changed = self._change(turn, changes, Attr("cursor").lt(cursor) & Attr("state").ne(TurnState.DISCARDED))
        if changed is None:
            fresh = self.turn(turn.tenant, turn.chat, turn.id) or turn
            if fresh.state is not TurnState.SENT:
                return fresh, False
            changed = fresh
        again = self.close(changed) if changed.state is TurnState.SENT else False
        return changed, again

    def close(self, turn: Turn) -> bool:
        """Takes the finished turn off its chat. True if somebody wrote meanwhile and the chat needs a look."""
        try:
            item = self._table.update(
                Update(
                    _pk(turn.tenant, turn.chat),
                    "CHAT",
                    set={"answered_to": turn.at},
                    remove=("open_turn",),
                    when=Attr("open_turn").eq(turn.id),
                )
            )
        except ConditionFailed:
            return False
        return bool(item.get("again"))

    def again(self, turn: Turn) -> bool:
        """Asks for another look when this turn is done. False if it is done already."""
        try:
            self._table.update(
                Update(_pk(turn.tenant, turn.chat), "CHAT", set={"again": True}, when=Attr("open_turn").eq(turn.id))
            )
        except ConditionFailed:
            return False
        return True

    def open_turns(self, *, due_before: int, tenant: str | None = None, limit: int = 200) -> list[Turn]:
        """Turns that should have moved on by then: candidates, never authority."""
        where = Attr("tenant").eq(tenant) if tenant is not None else None
        return [
            turn_from(item)
            for item in self._table.query(
                "OPEN",
                index="open_turns",
                keys=("open_turns", "due_at"),
                between=(0, due_before),
                where=where,
                limit=limit,
                consistent=False,
            )
        ]

    def _change(self, turn: Turn, changes: dict[str, Any], when: Any) -> Turn | None:
        try:
            item = self._table.update(
                Update(_pk(turn.tenant, turn.chat), f"TURN#{turn.id}", set=changes, when=Attr("pk").exists() & when)
            )
        except ConditionFailed:
            return None
        return turn_from(item)


def arrival(now: int, index: int) -> str:
    """Orders messages by when they came, and within one hand-in as they stood there."""
    return f"{now:013d}#{index:03d}"


def _earlier(at: str, by_ms: int) -> str:
    return f"{max(0, int(at.split('#')[0]) - by_ms):013d}"


def _pk(tenant: str, chat: str) -> str:
    return f"CHAT#{tenant}#{chat}"


def _turn_id(chat: Chat, first_key: str) -> str:
    """The same batch opens the same turn, whoever freezes it."""
    return hashlib.sha256(f"{chat.tenant}|{chat.id}|{first_key}".encode()).hexdigest()[:24]


def _chat_from(tenant: str, item: Item) -> Chat:
    return Chat(
        tenant=tenant,
        id=item["id"],
        open_turn=item.get("open_turn"),
        takeover_until=item.get("takeover_until", 0),
        answered_to=item.get("answered_to", ""),
        phone=item.get("phone"),
        whatsapp_id=str(item.get("whatsapp_id") or item["id"]),
    )


def _message_from(chat: str, item: Item) -> StoredMessage:
    return StoredMessage(
        id=item["id"],
        chat=chat,
        sender=item.get("sender"),
        from_me=item["from_me"],
        kind=MessageKind(item["kind"]),
        text=item["text"],
        sent_at=item["sent_at"],
        received_at=item["received_at"],
        at=item["at"],
        skipped=item.get("skipped"),
    )


def turn_from(item: Item) -> Turn:
    return Turn(
        id=item["sk"].removeprefix("TURN#"),
        tenant=item["tenant"],
        chat=item["chat"],
        state=TurnState(item["state"]),
        revision=item["revision"],
        messages=tuple(item["messages"]),
        first_message=item["first_message"],
        last_message=item["last_message"],
        created_at=item["created_at"],
        at=item["at"],
        oldest_sent_at=item["oldest_sent_at"],
        parts=tuple(item.get("parts", ())),
        cursor=item.get("cursor", 0),
        generation=item.get("generation", 0),
        discards=item.get("discards", 0),
        attempts=item.get("attempts", 0),
        epoch=item.get("epoch"),
        due_at=item.get("due_at", 0),
        reason=item.get("reason"),
        sent_at=item.get("sent_at"),
        assistant_version=item.get("assistant_version"),
    )
