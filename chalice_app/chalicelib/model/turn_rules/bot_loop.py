"""Two bots: recognises a chat whose other end is a program that answers each of our replies. Pure; takes `now`.

Measured on exchanges: our reply, and what the contact wrote next. How fast *we* answer does not matter, so that neither
our limits nor a slow model hide a bot. Three things give it away:

* the same text again and again ("I am out of office"), at whatever pace;
* no pause for thought: each text comes sooner than a person can read our reply and type the text. People type 30 to 60
  words a minute on a phone, the fastest about 90, which is 8 letters a second. We assume 10, at most 3 s to skim a
  reply, and 1 s to turn to it. A fast chatter stays under that for some messages, not for 8 in a row, one message after
  each reply. A message that was under way before our reply came says nothing about its author;
* a metronome: pauses of at least 8 s that are all equal, 10 in a row, or of 4 s, 15 in a row. The pauses of people
  vary by more than half.

A person who writes several messages in a row before we answer is no bot: programs answer with one or two.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.model.conversation import Turn, TurnState
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.times import milliseconds

#: Exchanges that are older say nothing about this moment.
LOOKED_BACK = timedelta(hours=2)
#: A check reads so many messages and turns of a chat for this, if the chat has them.
LOOP_DEPTH = 60
#: A program answers a reply with so many messages at most.
MAX_BATCH = 2
#: So often the same text, with this one, is a program's …
REPEATS = 4
#: … if it has so many letters. People repeat "ok", "next" and "1": a shorter text counts after more repeats in a row.
LONG_TEXT_LETTERS, SHORT_TEXT_REPEATS = 8, 8
#: So many exchanges in a row without a pause for thought.
HASTY_EXCHANGES = 8
#: The least time in which a person turns to a reply, reads and types.
REACTION_MS, READ_MS_A_LETTER, MAX_READ_MS, TYPE_MS_A_LETTER = 1_000, 10, 3_000, 100
#: WhatsApp dates messages in whole seconds, and a runner reports a part a moment after it was sent: an answer at once
#: may be dated this much before the reply. One that is dated earlier was written before the reply came.
CLOCK_ERROR_MS = 3_000
#: So many exchanges in a row with pauses of at least so long that are equal, within so much or a twentieth. A person
#: who chats fast may pause equally for a while: of shorter pauses more are looked at, and more closely.
METRONOMES = ((10, 8_000, 2_000), (15, 4_000, 1_000))
EQUAL_WITHIN_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Exchange:
    """Our reply, and what the contact wrote next."""

    reply_letters: int
    #: from our reply to the contact's last message of the batch
    pause_ms: int
    texts: tuple[str, ...] = field(repr=False)

    @property
    def is_hasty(self) -> bool:
        """True if no person could have read the reply and typed the text in this time."""
        reading = min(MAX_READ_MS, self.reply_letters * READ_MS_A_LETTER)
        typing = sum(map(len, self.texts)) * TYPE_MS_A_LETTER
        return -CLOCK_ERROR_MS <= self.pause_ms < REACTION_MS + reading + typing and self.is_short

    @property
    def is_short(self) -> bool:
        """True if the contact wrote as few messages as a program does."""
        return 0 < len(self.texts) <= MAX_BATCH


def is_bot_loop(
    messages: Iterable[StoredMessage], turns: Iterable[Turn], waiting: Sequence[StoredMessage], now: int
) -> bool:
    """True if a program is at the other end: see the module's text.

    Args:
        messages: the latest messages of the chat.
        turns: its latest turns.
        waiting: what the contact wrote last.
    """
    by_key = {message.key: message for message in messages}
    since = now - milliseconds(LOOKED_BACK)
    sent = [turn for turn in turns if turn.state is TurnState.SENT and (turn.sent_at or 0) >= since]
    sent.sort(key=lambda turn: turn.at)
    batches = [tuple(by_key[key] for key in turn.messages if key in by_key) for turn in sent]
    followed = zip(sent, [*batches[1:], tuple(waiting)], strict=False) if sent else ()
    exchanges = [_exchange(turn, batch) for turn, batch in followed]
    return _is_repeated(batches, waiting) or _is_hasty(exchanges) or _is_metronome(exchanges)


def _exchange(turn: Turn, batch: Sequence[StoredMessage]) -> Exchange:
    said_at = max((message.sent_at for message in batch), default=0)
    return Exchange(sum(map(len, turn.parts)), said_at - (turn.sent_at or 0), tuple(each.text for each in batch))


def _is_repeated(batches: Sequence[Sequence[StoredMessage]], waiting: Sequence[StoredMessage]) -> bool:
    text = _letters(waiting)
    if not text or len(waiting) > MAX_BATCH:
        return False
    same = [len(batch) <= MAX_BATCH and _letters(batch) == text for batch in batches]
    if len(text) >= LONG_TEXT_LETTERS:
        return 1 + sum(same) >= REPEATS
    before = SHORT_TEXT_REPEATS - 1
    return len(same) >= before and all(same[-before:])


def _is_hasty(exchanges: Sequence[Exchange]) -> bool:
    latest = exchanges[-HASTY_EXCHANGES:]
    return len(latest) == HASTY_EXCHANGES and all(each.is_hasty for each in latest)


def _is_metronome(exchanges: Sequence[Exchange]) -> bool:
    return any(
        shortest >= least and longest - shortest <= max(within, shortest * EQUAL_WITHIN_SHARE)
        for number, least, within in METRONOMES
        if len(latest := exchanges[-number:]) == number and all(each.is_short for each in latest)
        for shortest, longest in [(min(each.pause_ms for each in latest), max(each.pause_ms for each in latest))]
    )


def _letters(batch: Sequence[StoredMessage]) -> str:
    """Returns the letters and digits of a batch, without case, punctuation, blanks and emoji."""
    folded = unicodedata.normalize("NFKC", "".join(message.text for message in batch)).casefold()
    return "".join(each for each in folded if each.isalnum())
