"""Turns: the replies of a chat, one at a time.

A chat's open turn is its lock: a second turn cannot be opened. A turn's revision is its fence: a text is not stored for
a batch that has changed. Each write is conditional; None or False means that the condition failed: read again.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from chalicelib.model import (
    TURN_OVERDUE_AFTER,
    Chat,
    SkipReason,
    StoredMessage,
    Turn,
    TurnState,
    milliseconds,
    refreeze,
)
from chalicelib.model.conduct.introduction import introduced, introduced_by
from chalicelib.model.conversation import LAST_TURNS, first_turn
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.store.conversation.items import chat_key, turn_item, turn_or_rest_from
from chalicelib.store.conversation.open_turns import OpenTurns
from chalicelib.store.conversation.turn_fences import nothing_answered_since, nothing_changed_since, unsent
from chalicelib.store.fleet import waiting_index
from chalicelib.store.table import Attr, Check, ConditionBase, ConditionFailed, Item, Put, Update

#: More of a model's text could not be sent either (``replies/formatting.py``).
MAX_MARKDOWN_CHARACTERS = 20_000
#: A text that no runner took for this long is rung for again.
READY_OVERDUE_AFTER = timedelta(seconds=30)
#: The attributes of a turn that its batch decides.
_FROZEN = ("state", "revision", "messages", "last_message", "at", "oldest_sent_at", "discards", "due_at")
#: The changes that take the text from a turn.
_WITHOUT_TEXT = dict.fromkeys(("parts", "parts_once_sent", "markdown", "introduced_at"))
#: The changes that take a turn that is done out of the lists of open turns.
_UNLISTED: Mapping[str, Any] = {"open_turns": None, "due_at": None, **waiting_index.UNLISTED}
#: The changes that discard a turn; its reason belongs to them.
_DISCARDED = {**_UNLISTED, "state": TurnState.DISCARDED}


class Turns(OpenTurns):
    """The turns of all chats."""

    def freeze(self, chat: Chat, waiting: tuple[StoredMessage, ...], *, retention_days: int, now: int) -> Turn | None:
        """Opens the chat's turn over this batch.

        None if another turn is open, if the owner took the chat over, if there was a turn for this batch before, or if
        a message was answered, skipped, edited or deleted since the chat was read.
        """
        due_at = now + milliseconds(TURN_OVERDUE_AFTER)
        turn = replace(first_turn(chat, waiting, now), due_at=due_at, calls=1, called_at=now)
        return self._open(chat, turn, {}, retention_days=retention_days, now=now)

    def say(
        self,
        chat: Chat,
        batch: tuple[StoredMessage, ...],
        sentence: FixedSentence,
        text: str,
        *,
        reason: SkipReason | None,
        introduction: str = "",
        retention_days: int,
        now: int,
    ) -> Turn | None:
        """Opens a turn that is ready at once, with a fixed sentence, after an introduction if any. None as `freeze`."""
        turn = replace(
            first_turn(chat, batch, now),
            state=TurnState.READY,
            parts=introduced(introduction, (text,)),
            markdown=text if introduction else "",
            introduced_at=now if introduction else None,
            sentence=sentence,
            reason=reason,
            due_at=now + milliseconds(READY_OVERDUE_AFTER),
        )
        confirms = sentence is FixedSentence.STOPPED
        said = {"stop_confirmed_at": chat.stopped_at} if confirms else {"wordless_notice_at": now}
        return self._open(chat, turn, said, retention_days=retention_days, now=now)

    def _open(self, chat: Chat, turn: Turn, changes: dict[str, Any], *, retention_days: int, now: int) -> Turn | None:
        quiet = Attr("takeover_until").not_exists() | Attr("takeover_until").lte(now)
        here = Attr("open_turn").not_exists() & Attr("pk").exists()
        last_turns = (*(each for each in chat.last_turns if each != turn.id), turn.id)[-LAST_TURNS:]
        opening = Update(
            chat_key(chat.tenant, chat.id),
            "CHAT",
            set={"open_turn": turn.id, "again": None, "last_turns": last_turns, **changes},
            when=here & quiet & nothing_changed_since(chat) & nothing_answered_since(chat),
        )
        try:
            listed = {"open_turns": "OPEN", **waiting_index.turn_of(turn.tenant, turn.created_at)}
            self._table.transact(opening, Put({**turn_item(turn, retention_days, now), **listed}))
        except ConditionFailed:
            return None
        return turn

    def skip(
        self,
        chat: Chat,
        waiting: tuple[StoredMessage, ...],
        reason: SkipReason,
        *,
        retention_days: int,
        now: int,
        mute_until: int | None = None,
    ) -> bool:
        """Stores the reason why these messages get no reply, as a discarded turn.

        False if a turn is open, or if a message was answered or skipped since the chat was read.

        Args:
            mute_until: the chat is silent until then; epoch milliseconds.
        """
        turn = replace(first_turn(chat, waiting, now), state=TurnState.DISCARDED, reason=reason)
        muted = {"muted_until": mute_until} if mute_until is not None else {}
        closing = Update(
            chat_key(chat.tenant, chat.id),
            "CHAT",
            set={"answered_to": turn.at, **muted},
            when=Attr("open_turn").not_exists() & Attr("pk").exists() & nothing_answered_since(chat),
        )
        try:
            self._table.transact(closing, Put(turn_item(turn, retention_days, now)))
        except ConditionFailed:
            return False
        return True

    def fold_in(
        self, chat: Chat, turn: Turn, waiting: tuple[StoredMessage, ...], now: int, *, call: bool = True
    ) -> Turn | None:
        """Freezes the batch of the open turn again.

        None if a part may be sent already, if the turn changed, or if a message was edited or deleted since the chat
        was read.

        Args:
            call: claims the turn for a model call; else it is due at once.
        """
        counted: dict[str, Any] = {"calls": turn.calls + 1, "called_at": now} if call else {"due_at": now}
        frozen = replace(refreeze(turn, waiting, now), **counted)
        changes = {name: getattr(frozen, name) for name in _FROZEN}
        changes |= {**_WITHOUT_TEXT, "versions": frozen.versions or None, "called_at": frozen.called_at}
        as_read = Check(chat_key(chat.tenant, chat.id), "CHAT", when=Attr("pk").exists() & nothing_changed_since(chat))
        when = unsent() & Attr("revision").eq(turn.revision)
        try:
            self._table.transact(as_read, Update(*_key(turn), set=changes, add={"calls": 1} if call else {}, when=when))
        except ConditionFailed:
            return None
        return frozen

    def withdraw(self, turn: Turn, now: int) -> bool:
        """Withdraws the text of a turn, or the call that makes it, because a message of its batch was changed.

        The next check freezes the batch again. False if a part may be sent already, or if the turn changed.
        """
        again = {"state": TurnState.THINKING, "revision": turn.revision + 1, "due_at": now}
        changes = {**_WITHOUT_TEXT, **again}
        return self._change(turn, changes, unsent() & Attr("revision").eq(turn.revision)) is not None

    def reclaim(self, turn: Turn, now: int) -> Turn | None:
        """Claims an overdue or waiting turn for one more model call, which counts unless it is given back."""
        changes = {
            "state": TurnState.THINKING,
            "revision": turn.revision + 1,
            "due_at": now + milliseconds(TURN_OVERDUE_AFTER),
            "called_at": now,
        }
        when = Attr("state").eq(turn.state) & Attr("revision").eq(turn.revision)
        return self._change(turn, changes, when, add={"calls": 1})

    def give_back_call(self, turn: Turn) -> None:
        """Takes the turn's last model call off its count: OpenAI did not take it, so that nobody pays for it."""
        self._change(turn, {}, Attr("calls").gt(0), add={"calls": -1})

    def store_text(
        self, turn: Turn, parts: tuple[str, ...], now: int, *, markdown: str = "", introduces: bool = False
    ) -> Turn | None:
        """Stores the text of the batch for which it was made (``thinking → ready``).

        Args:
            markdown: the model's own text, which the model reads again as history.
            introduces: the first part begins with the introduction.
        """
        kept = markdown[:MAX_MARKDOWN_CHARACTERS] if (markdown,) != parts else None
        text = {"parts": parts, "cursor": 0, "markdown": kept, "assistant_version": turn.assistant_version}
        changes = {
            "state": TurnState.READY,
            "introduced_at": now if introduces else None,
            "due_at": now + milliseconds(READY_OVERDUE_AFTER),
            **text,
        }
        return self._change(turn, changes, Attr("state").eq(TurnState.THINKING) & Attr("revision").eq(turn.revision))

    def postpone(self, turn: Turn, state: TurnState, *, due_at: int, attempts: int, reason: str) -> Turn | None:
        """Postpones the model call: ``thinking`` until its retry, or ``waiting`` for a person to fix a problem.

        Stores what was counted on ``turn`` too: its timeouts and failures.
        """
        counted = {"attempts": attempts, "timeouts": turn.timeouts or None, "failures": turn.failures or None}
        changes = {"state": state, "due_at": due_at, "reason": reason, **counted}
        return self._change(turn, changes, Attr("state").eq(TurnState.THINKING) & Attr("revision").eq(turn.revision))

    def try_again(self, turn: Turn, now: int) -> None:
        """Lets a turn that waits be tried now, although its model calls timed out: an operator acted."""
        self._change(
            turn, {"timeouts": None, "due_at": now}, Attr("state").eq(turn.state) & Attr("revision").eq(turn.revision)
        )

    def postpone_check(self, turn: Turn, due_at: int) -> None:
        """Postpones the next check of an open turn by the reconciler; lists it under its tenant if it is not yet."""
        changes = {"due_at": due_at, **waiting_index.turn_of(turn.tenant, turn.created_at)}
        self._change(turn, changes, Attr("state").eq(turn.state) & Attr("revision").eq(turn.revision))

    def discard(self, turn: Turn, reason: str, now: int) -> bool:
        """Discards a turn that no runner took, with its text, and closes it. False if one did."""
        changes = {**_DISCARDED, "reason": reason, "parts": None, "markdown": None}
        return self._end(turn, changes, unsent() | Attr("state").eq(TurnState.DISCARDED))

    def abandon(self, turn: Turn, reason: SkipReason) -> bool:
        """Discards the turn and closes it, also if a runner took it, because no runner may send it any more."""
        changes = {**_DISCARDED, "reason": reason}
        return self._end(turn, changes, Attr("state").eq(turn.state) & Attr("revision").eq(turn.revision))

    def take(self, turn: Turn, runner: str, epoch: int, now: int) -> Turn | None:
        """Takes the turn (``ready → sending``) for the runner that holds the session at this epoch."""
        changes = {"state": TurnState.SENDING, "epoch": epoch, "due_at": now + milliseconds(TURN_OVERDUE_AFTER)}
        may = Attr("state").eq(TurnState.READY) | Attr("state").eq(TurnState.SENDING)
        taken = self._change_as_holder(turn, runner, epoch, changes, may & Attr("revision").eq(turn.revision))
        return replace(turn, state=TurnState.SENDING, epoch=epoch) if taken else None

    def end_refused(self, turn: Turn, runner: str, epoch: int, part: int) -> bool:
        """Discards a turn of which WhatsApp refuses ``part`` for good, and leaves it to be closed. Idempotent."""
        changes: dict[str, Any] = {**_DISCARDED, "reason": SkipReason.NOT_ACCEPTED}
        if turn.parts_once_sent:
            changes |= {"parts": turn.parts_once_sent, "parts_once_sent": None}
        sending = Attr("state").eq(TurnState.SENDING) & Attr("cursor").lte(part)
        ended = Attr("reason").eq(SkipReason.NOT_ACCEPTED)
        return self._change_as_holder(turn, runner, epoch, changes, sending | ended)

    def record_part_sent(self, turn: Turn, part: int, now: int) -> tuple[Turn, bool]:
        """Records that part ``part`` is on WhatsApp's server; returns the turn, and True if the chat needs a check.

        Monotone by its condition, and not fenced by the epoch: a runner that lost the session may report what it sent.
        """
        cursor = part + 1
        last = cursor >= len(turn.parts)
        changes: dict[str, Any] = {"cursor": cursor}
        if last:
            changes |= {**_UNLISTED, "state": TurnState.SENT, "sent_at": now}
        changed = self._change(turn, changes, Attr("cursor").lt(cursor) & Attr("state").ne(TurnState.DISCARDED))
        if changed is None:
            changed = self.get(turn.tenant, turn.chat, turn.id) or turn
        if changed.state is not TurnState.SENT:
            return changed, False
        if changed.parts_once_sent:
            erased = {"parts": changed.parts_once_sent, "parts_once_sent": None}
            changed = self._change(changed, erased, Attr("parts_once_sent").exists()) or changed
        return changed, self.close(changed)

    def close(self, turn: Turn) -> bool:
        """Removes the finished turn from its chat. True if a message came meanwhile, so that the chat needs a check."""
        changes: dict[str, Any] = {"answered_to": turn.at, "open_turn": None}
        if since := introduced_by(turn):  # the chat learns it in the write before which no other turn is opened
            changes["introduced_at"] = since
        item = self._change_chat(turn.tenant, turn.chat, turn.id, changes)
        return item is not None and bool(item.get("again"))

    def clear_expired(self, chat: Chat) -> None:
        """Removes an open turn that expired from its chat."""
        self._change_chat(chat.tenant, chat.id, chat.open_turn, {"open_turn": None})

    def request_check(self, turn: Turn, backstop: int) -> bool:
        """Requests a check of the chat for when this turn ends, and notes its backstop. False if it has ended."""
        return self._change_chat(turn.tenant, turn.chat, turn.id, {"again": backstop}) is not None

    def _end(self, turn: Turn, changes: dict[str, Any], when: ConditionBase) -> bool:
        """Discards the turn under a condition, and closes it as it is by then."""
        ended = self._change(turn, changes, when)
        if ended is not None:
            self.close(ended)
        return ended is not None

    def _change_as_holder(self, turn: Turn, runner: str, epoch: int, changes: dict[str, Any], when: Any) -> bool:
        """Changes the turn while this runner holds the session at this epoch; False if a condition failed."""
        fence = Check(f"TENANT#{turn.tenant}", "SESSION", when=Attr("runner").eq(runner) & Attr("epoch").eq(epoch))
        try:
            self._table.transact(fence, Update(*_key(turn), set=changes, when=when))
        except ConditionFailed:
            return False
        return True

    def _change_chat(self, tenant: str, chat: str, open_turn: str | None, changes: dict[str, Any]) -> Item | None:
        """Changes the chat while this turn is open there; returns its item, or None if it is not open any more."""
        try:
            return self._table.update(
                Update(chat_key(tenant, chat), "CHAT", set=changes, when=Attr("open_turn").eq(open_turn))
            )
        except ConditionFailed:
            return None

    def _change(
        self, turn: Turn, changes: dict[str, Any], when: ConditionBase, *, add: Mapping[str, int] | None = None
    ) -> Turn | None:
        """Changes the turn under a condition on an attribute that it has, so that none is made of one that expired."""
        try:
            item = self._table.update(Update(*_key(turn), set=changes, add=add or {}, when=when))
        except ConditionFailed:
            return None
        return turn_or_rest_from(item)


def _key(turn: Turn) -> tuple[str, str]:
    return chat_key(turn.tenant, turn.chat), f"TURN#{turn.id}"
