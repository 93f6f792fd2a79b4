"""The chats of the stored world: messages of each kind and turns in each state."""

from enum import StrEnum
from typing import Any, TypeVar

from chalicelib.model import Chat, SkipReason, StoredMessage, Turn, TurnState
from chalicelib.model.messages.message import stored_message
from chalicelib.store.conversation.chats import Chats, arrival
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.runners import Runners, TurnToTake
from chalicelib.store.table import Table
from wire import Message, MessageKind

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
RETENTION_DAYS = 20

#: The reasons for which 084ff81 skipped a message on its arrival.
SKIPPED_ON_ARRIVAL = (
    SkipReason.BROADCAST,
    SkipReason.HISTORY,
    SkipReason.GROUP,
    SkipReason.IGNORED_CONTACT,
    SkipReason.NOT_ALLOWED,
    SkipReason.TOO_OLD,
    SkipReason.NOT_DECRYPTED,
    SkipReason.NO_TEXT_OTHER,
    SkipReason.NO_TEXT_IMAGE,
    SkipReason.PAUSED,
    SkipReason.TAKEOVER,
)

Member = TypeVar("Member", bound=StrEnum)


def stored(kind: type[Member]) -> list[Member]:
    """The members of an enum that 084ff81 stored: all but those since, and the one for values of a later release."""
    since = ("UNKNOWN", "CHAT_MUTED", "DISK_FULL", "INVITE_MOVED", "INTRODUCTION_OFF", "INTRODUCTION_ON")
    return [member for member in kind if member.name not in since]


class StoredChats:
    """Writes the chats of one tenant, each with a contact of its own.

    Args:
        table: any table that keeps what it is given.
        now: when the first message comes, in epoch milliseconds.
    """

    def __init__(self, table: Table, now: int) -> None:
        self._chats, self._turns, self._runners = Chats(table), Turns(table), Runners(table)
        self._tenant = ""
        self.now = now

    def write(self, tenant: str, runner: str, epoch: int) -> None:
        """Writes them; ``runner`` holds the tenant's session at ``epoch``."""
        self._tenant = tenant
        self._replies(runner, epoch)
        self._skipped()

    def _message(self, number: int, text: str = "Are you open?", **more: Any) -> Message:
        self.now += SECOND
        contact = f"155502{number:02d}"
        given = {"id": f"3EB0{self.now}", "chat": f"{contact}@c.us", "phone": contact, "from_me": False}
        return Message.model_validate({**given, "sent_at_ms": self.now, "kind": MessageKind.TEXT, "text": text, **more})

    def _hand_in(self, message: Message, skipped: SkipReason | None = None) -> tuple[Chat, StoredMessage]:
        chat = self._chats.record(self._tenant, message, self._chats.find(self._tenant, message))
        at = arrival(self.now, 0)
        stored = stored_message(message, chat.id, at=at, skipped=skipped, keeps_content=True, now=self.now)
        assert self._chats.store_message(chat, stored, retention_days=RETENTION_DAYS, now=self.now)
        return chat, stored

    def _frozen(self, number: int) -> Turn:
        chat, waiting = self._hand_in(self._message(number))
        turn = self._turns.freeze(chat, (waiting,), retention_days=RETENTION_DAYS, now=self.now)
        assert turn is not None
        return turn

    def _ready(self, number: int) -> Turn:
        ready = self._turns.store_text(self._frozen(number), ("Yes.", "Until six."), self.now)
        assert ready is not None
        return ready

    def _replies(self, runner: str, epoch: int) -> None:
        """One chat for each state of a turn, by number: 1 thinking … 7 discarded."""
        self._frozen(1)
        due = self.now + MINUTE
        self._turns.postpone(self._frozen(2), TurnState.THINKING, due_at=due, attempts=2, reason="rate_limited")
        self._turns.postpone(self._frozen(3), TurnState.WAITING, due_at=due, attempts=0, reason="key_revoked")
        ready = self._ready(4)
        chat, late = self._hand_in(self._message(4, "And tomorrow?"))
        first = self._chats.read_recent(chat, depth=5, now=self.now).messages[0]
        again = self._turns.fold_in(chat, ready, (first, late), self.now)
        assert again is not None
        self._turns.store_text(again, ("Yes, both days.",), self.now)
        self._runners.ring(runner, TurnToTake(again.id, self._tenant, again.chat, again.revision))
        for number in (5, 6):
            taken = self._turns.take(self._ready(number), runner, epoch, self.now)
            assert taken is not None
            sending, _ = self._turns.record_part_sent(taken, 0, self.now)
            if number == 5:
                self._turns.request_check(sending, 1)
            else:
                self._turns.record_part_sent(sending, 1, self.now + SECOND)
        self._turns.discard(self._frozen(7), SkipReason.TOO_OLD, self.now)
        for reason in map(SkipReason, ("takeover", "two bots talk", "paused", "another login", "daily cap")):
            chat, waiting = self._hand_in(self._message(8))
            self._turns.skip(chat, (waiting,), reason, retention_days=RETENTION_DAYS, now=self.now)

    def _skipped(self) -> None:
        """A message of each kind, one for each reason to skip it, and a chat that is known under two names."""
        for kind in stored(MessageKind):
            self._hand_in(self._message(9, kind=kind, sender="15550166@c.us"))
        for reason in SKIPPED_ON_ARRIVAL:
            self._hand_in(self._message(10), reason)
        named = self._message(11, chat="4711@lid", chat_alias="15550211@c.us")
        self._hand_in(named)
        chat, _ = self._hand_in(self._message(11, from_me=True))
        self._chats.record_takeover(chat, self.now + HOUR)
