"""Chats and turns, and the rules for one of them. Pure; every rule takes `now`."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SAID_NOTHING, SkipReason
from chalicelib.model.stored_enum import StoredEnum
from chalicelib.model.times import milliseconds

#: Debounce: a chat is answered once its contact wrote nothing for this long …
QUIET_FOR = timedelta(milliseconds=1_500)
#: … or once its oldest unanswered message is this old.
ANSWER_AT_LATEST = timedelta(seconds=6)
#: A chat is first checked this long after a message.
DEBOUNCE = timedelta(seconds=2)
#: An older message gets no answer.
MAX_MESSAGE_AGE = timedelta(hours=12)
#: A reply this late quotes the message it answers.
QUOTED_AFTER = timedelta(minutes=10)
#: So often a turn's batch is frozen again because the contact wrote more, whether a text was stored by then or not:
#: each costs a model call. After that the turn is sent as it is, and what came later is answered next.
MAX_DISCARDS = 2
LAST_TURNS = 8  #: a chat names so many of its turns
#: A turn that made no progress for this long is checked again.
TURN_OVERDUE_AFTER = timedelta(seconds=150)
#: So many model calls of a turn may get no answer in time, and are paid all the same; then a person must choose less.
MAX_TIMEOUTS = 3
#: So many replies of a turn may be lost to an error of ours after the model was paid; then the turn is given up.
MAX_FAILURES = 3
#: So many failed model calls end a turn; with backoff up to 15 minutes, MAX_MESSAGE_AGE ends it earlier.
MAX_MODEL_ATTEMPTS = 60
#: So many paid model calls end a turn: its contact goes on editing, or the processes that call the model die.
MAX_CALLS = 6


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation of a tenant with a contact."""

    tenant: str
    id: str
    open_turn: str | None = None
    takeover_until: int = 0
    #: the arrival up to which each message is answered or skipped
    answered_to: str = ""
    phone: str | None = None
    #: the id that WhatsApp used last; replies are sent to it
    whatsapp_id: str = ""
    #: the line's number, if the chat began after that number was linked
    new_to: str | None = None
    #: a message came that the open turn does not answer: the chat is checked when the turn ends. The number of the
    #: latest backstop, should nothing check it; 0: there is none
    backstop: int = 0
    #: how many edits and deletions there were: no turn is opened over a batch that was read before one of them
    changes: int = 0
    #: a bot is at the other end: the line is silent until then
    muted_until: int = 0
    #: WhatsApp's time of the message that ended automatic answers, of the one that resumed them, and of the STOP that
    #: was confirmed
    stopped_at: int | None = None
    resumed_at: int | None = None
    stop_confirmed_at: int | None = None
    #: when the contact read last that the line cannot read messages without words
    wordless_notice_at: int | None = None
    #: the turns that were opened last, the latest last: an echo of our own is as a rule a part of one of these
    last_turns: tuple[str, ...] = ()
    #: when the text was made with which the contact read last that an automatic assistant answers
    introduced_at: int | None = None

    @property
    def stopped(self) -> bool:
        """True if the contact ended automatic answers, and neither the contact nor a person resumed them."""
        return self.stopped_at is not None and self.stopped_at >= (self.resumed_at or 0)

    @property
    def stop_confirmed(self) -> bool:
        """True if the contact read that automatic answers have ended."""
        return self.stop_confirmed_at is not None and self.stop_confirmed_at == self.stopped_at


class TurnState(StoredEnum):
    """The state of a turn: only a later one may follow, except that a new message returns it to THINKING."""

    THINKING = "thinking"  #: the batch is frozen, and the model has not answered yet
    READY = "ready"  #: the text is stored, and no part was sent
    SENDING = "sending"  #: a runner took it
    SENT = "sent"  #: each part is on WhatsApp's server
    WAITING = "waiting"  #: a person must fix a problem first
    DISCARDED = "discarded"  #: it is never sent; ``reason`` holds the reason
    UNKNOWN = "unknown"  #: written by a later release: neither sent, nor answered again, nor discarded


@dataclass(frozen=True, slots=True)
class Turn:
    """A reply: the frozen batch of messages that it answers, its text, and its delivery."""

    id: str
    tenant: str
    chat: str
    state: TurnState
    revision: int
    #: keys of the messages that it answers, oldest first
    messages: tuple[str, ...]
    #: stanza id of the first message of the first revision: the seed of the ids of the reply's parts
    first_message: str
    #: the last message that it answers, which a late reply quotes
    last_message: str
    created_at: int
    #: the arrival of its last message: its position in the history
    at: str
    oldest_sent_at: int
    parts: tuple[str, ...] = field(default=(), repr=False)
    cursor: int = 0
    discards: int = 0
    attempts: int = 0
    epoch: int | None = None
    due_at: int = 0
    #: a SkipReason, or the code of the error or problem that postponed it or ended it
    reason: str | None = None
    sent_at: int | None = None
    #: the versions of its messages when the batch was frozen, in their order; empty: none was ever edited or deleted
    versions: tuple[int, ...] = ()
    #: the model's own text, for the history; empty: the parts are it
    markdown: str = field(default="", repr=False)
    #: the parts without what they repeat of a message that was deleted before they were sent; empty: nothing to erase
    parts_once_sent: tuple[str, ...] = field(default=(), repr=False)
    #: the model calls that were paid, whatever became of their text
    calls: int = 0
    #: the instant of the last model call
    called_at: int | None = None
    #: the model calls that timed out
    timeouts: int = 0
    #: the replies that an error of ours kept from being stored, after the model was paid
    failures: int = 0
    #: the text is a fixed sentence, which no model wrote
    sentence: FixedSentence | None = None
    #: when its text was made, if that begins with the introduction
    introduced_at: int | None = None
    #: the version of the assistant that wrote the text; None for a fixed sentence, and before it was recorded
    assistant_version: int | None = None

    def part_id(self, part: int) -> str:
        """Returns the message id of a part on WhatsApp; ``part`` counts from 0."""
        return reply_id(self.tenant, self.first_message, part)

    @property
    def fixed(self) -> bool:
        """True if no model writes its text."""
        return self.sentence is not None

    @property
    def answers(self) -> tuple[str, ...]:
        """The keys of the messages that need no other reply: an edit may give words to a message without words."""
        said_nothing = self.state is TurnState.DISCARDED and self.reason in SAID_NOTHING
        return () if said_nothing or self.sentence not in (None, FixedSentence.STOPPED) else self.messages

    def covers(self, message: StoredMessage) -> bool:
        """True if the message needs no other reply; after a logout a person may reopen it, as a later version."""
        if message.key not in self.answers:
            return False
        ended = self.state is TurnState.DISCARDED and self.reason == SkipReason.OTHER_LOGIN
        return not ended or message.version <= self.frozen_versions[message.key]

    @property
    def frozen_versions(self) -> dict[str, int]:
        """The version of each of its messages when the batch was frozen, by key."""
        return dict(zip(self.messages, self.versions or (0,) * len(self.messages), strict=False))

    @property
    def call_instants(self) -> tuple[int, ...]:
        """The instant of the last model call, once for each paid call; earlier releases counted turns only."""
        if self.called_at is None:
            return () if self.fixed or self.state is TurnState.DISCARDED else (self.created_at,)
        return (self.called_at,) * self.calls

    @property
    def part_ids(self) -> tuple[str, ...]:
        """The message ids of all parts, in order."""
        return tuple(self.part_id(part) for part in range(len(self.parts)))


def reply_id(tenant: str, first_message: str, part: int) -> str:
    """Returns the message id of a part of a reply on WhatsApp: the same each time that it is sent.

    WhatsApp deduplicates by the id, which clients choose: ``3EB0`` + 18 hex digits is the shape that WhatsApp Web
    itself uses (whatsmeow ``GenerateMessageID``, Baileys ``generateMessageIDV2``).
    """
    digest = hashlib.sha256(f"r1|{tenant}|{first_message}|{part}|0".encode()).hexdigest()
    return "3EB0" + digest[:18].upper()


def reason_not_to_send(turn: Turn, answers_since: int | None, now: int) -> SkipReason | None:
    """Returns the reason not to send a reply any more: its messages are too old, or came to another login."""
    if answers_since is None or turn.oldest_sent_at < answers_since:
        return SkipReason.OTHER_LOGIN
    return SkipReason.TOO_OLD if now - turn.oldest_sent_at > milliseconds(MAX_MESSAGE_AGE) else None


def split_by_login(
    waiting: Sequence[StoredMessage], answers_since: int | None
) -> tuple[tuple[StoredMessage, ...], tuple[StoredMessage, ...]]:
    """Splits messages into those that came to the present login and those that came to an earlier one."""
    ours = tuple(each for each in waiting if answers_since is not None and each.sent_at >= answers_since)
    return ours, tuple(each for each in waiting if each not in ours)


def unanswered_messages(
    messages: Iterable[StoredMessage], turns: Iterable[Turn], *, ignoring: str | None = None
) -> tuple[StoredMessage, ...]:
    """Selects the messages that have neither an answer nor a reason, in order of arrival: not skipped, in no turn.

    Args:
        ignoring: the open turn, whose batch may be frozen again.
    """
    others = [turn for turn in turns if turn.id != ignoring]
    return tuple(
        sorted(
            (
                message
                for message in messages
                if not message.from_me and message.skipped is None and not any(each.covers(message) for each in others)
            ),
            key=lambda message: message.at,
        )
    )


def split_by_age(
    waiting: Sequence[StoredMessage], now: int
) -> tuple[tuple[StoredMessage, ...], tuple[StoredMessage, ...]]:
    """Splits messages into those that may still be answered and those that are too old."""
    oldest = now - milliseconds(MAX_MESSAGE_AGE)
    fresh = tuple(each for each in waiting if each.sent_at >= oldest)
    return fresh, tuple(each for each in waiting if each.sent_at < oldest)


def answered_by_owner(messages: Iterable[StoredMessage], waiting: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Selects the messages that the owner answered from the phone before the line did, for example while offline.

    The phone's own greeting or away message answers nothing, and neither does a message that the owner deleted.
    """
    not_typed = (SkipReason.AUTOMATIC, SkipReason.DELETED)
    typed = (message for message in messages if message.from_me and message.skipped not in not_typed)
    last_reply_at = max((message.sent_at for message in typed), default=0)
    return tuple(message for message in waiting if message.sent_at <= last_reply_at)


def has_settled(waiting: Sequence[StoredMessage], now: int) -> bool:
    """True once the contact seems to have finished writing (debounce)."""
    if not waiting:
        return False
    newest = max(message.received_at for message in waiting)
    oldest = min(message.received_at for message in waiting)
    return now - newest >= milliseconds(QUIET_FOR) or now - oldest >= milliseconds(ANSWER_AT_LATEST)


def versions_of(batch: Sequence[StoredMessage]) -> tuple[int, ...]:
    """Returns the versions of a batch's messages; empty if none was ever edited or deleted."""
    versions = tuple(message.version for message in batch)
    return versions if any(versions) else ()


def first_turn(chat: Chat, batch: Sequence[StoredMessage], now: int) -> Turn:
    """Returns the first revision of the turn that answers this batch; each process that freezes it gets the same id."""
    first, last = batch[0], batch[-1]
    # An edited message may begin a second turn: the first one discarded it, or said that it had no words.
    seed = f"{first.key}|{first.version}" if first.version else first.key
    return Turn(
        id=hashlib.sha256(f"{chat.tenant}|{chat.id}|{seed}".encode()).hexdigest()[:24],
        tenant=chat.tenant,
        chat=chat.id,
        state=TurnState.THINKING,
        revision=1,
        messages=tuple(message.key for message in batch),
        versions=versions_of(batch),
        first_message=f"{chat.id}|{seed}",
        last_message=last.id,
        created_at=now,
        at=last.at,
        oldest_sent_at=min(message.sent_at for message in batch),
    )


def refreeze(turn: Turn, batch: Sequence[StoredMessage], now: int) -> Turn:
    """Returns the turn with its batch frozen again, before a part was sent."""
    grown = any(message.key not in turn.messages for message in batch)
    return replace(
        turn,
        state=TurnState.THINKING,
        revision=turn.revision + 1,
        messages=tuple(message.key for message in batch),
        versions=versions_of(batch),
        last_message=batch[-1].id,
        at=batch[-1].at,
        oldest_sent_at=min(message.sent_at for message in batch),
        parts=(),
        markdown="",
        parts_once_sent=(),
        introduced_at=None,
        discards=turn.discards + grown,
        due_at=now + milliseconds(TURN_OVERDUE_AFTER),
    )
