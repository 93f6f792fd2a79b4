"""Recognises the automatic messages of the WhatsApp Business app (greeting, away), which are no takeover. Pure.

The owner's phone sends them by itself, and nothing on them says so (wa-js #3229, waha #2121). A greeting answers a
contact's first message, or the first one after 14 days of silence; an away message answers each message out of hours.
Quick replies are typed. So an own message is judged by its time and its text, and *in doubt a person wrote it*: a chat
that stays silent for an hour is a smaller mistake than a line that talks over its owner.

1. WhatsApp itself marks the message, or it went to a broadcast list: automatic.
2. An operator marked an equal text: as the operator says.
3. A greeting: it has GREETING_LENGTH characters and comes within GREETING_WITHIN after the chat's first message in
   SILENCE, which a contact wrote.
4. An away message: it has AWAY_LENGTH characters, comes within AWAY_WITHIN after a contact's message, and an equal text
   did so in OTHER_CHATS other chats.

A message in a group, with media, with a quote, or edited is automatic by the first two only. WhatsApp's times are whole
seconds: a contact's message of the same second counts if it was handed in before. A contact's message from before the
linking is not kept: what the phone answers to it after the linking is in doubt.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Final

from chalicelib.model.messages.audience import is_group
from chalicelib.model.messages.message import StoredMessage
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.stored_enum import StoredEnum
from chalicelib.model.times import milliseconds
from wire import Message, MessageKind

#: The app greets a contact who wrote nothing for this long as if they were new.
SILENCE: Final = timedelta(days=14)
#: The app greets within this; nobody reads a question and types an answer so fast.
GREETING_WITHIN: Final = timedelta(seconds=3)
#: A shorter own message is never a greeting: "Hi" may be typed by an owner who holds the phone.
GREETING_LENGTH: Final = 20
#: An away message comes within this, also from a phone that has to wake up first.
AWAY_WITHIN: Final = timedelta(seconds=15)
AWAY_LENGTH: Final = 30
#: A text counts as an away message once it was seen in so many chats before, besides its own.
OTHER_CHATS: Final = 2
#: So many characters of a recognised text are kept for the operator.
MAX_TEXT: Final = 500
#: A text of fewer letters is compared as it stands: without its numbers it would equal too many others.
FEWEST_LETTERS: Final = 15

#: The words of a greeting that a name may follow, up to a punctuation mark.
_SALUTATIONS: Final = (
    "hola|buenas|buenos días|buenas tardes|buenas noches|estimad[oa]|querid[oa]|hello|hi|hey|dear|good morning"
    "|good afternoon|good evening|hallo|liebe[r]?|guten tag|guten morgen|guten abend|sehr geehrte[r]?|moin|servus"
    "|bonjour|bonsoir|salut|cher|chère|olá|ola|oi|bom dia|boa tarde|boa noite|prezad[oa]|car[oa]|ciao|buongiorno"
    "|buonasera|gentile"
)


class TextMark(StoredEnum):
    """The operator's decision about a recognised text. The values are stored."""

    AUTOMATIC = "automatic"  #: equal texts are automatic at once
    PERSON = "person"  #: equal texts are a person's: a takeover
    UNKNOWN = "unknown"  #: written by a later release: the line decides


@dataclass(frozen=True, slots=True)
class SeenText:
    """An own text that came soon after a contact's message, as often as it was seen."""

    fingerprint: str
    #: hashes of the first chats that it was seen in, OTHER_CHATS and one more at most
    chats: frozenset[str]
    seen: int
    first_seen: int
    last_seen: int
    #: as it was seen last; empty until it is recognised as automatic
    text: str = field(default="", repr=False)
    mark: TextMark | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of an own message that is not our reply."""

    automatic: bool
    #: it may be an away message of which more will be seen: it is remembered as a SeenText
    remembered: bool = False


def judge(
    message: Message, before: Sequence[StoredMessage], known: SeenText | None, *, chat: str, complete_since: int
) -> Judgement:
    """Judges an own message that is not our reply by the rules above.

    Args:
        before: the messages of its chat that were handed in before it, without our replies.
        known: the text, as far as it was seen before.
        chat: the hash of its chat.
        complete_since: each message of the chat since then was handed in and is kept; epoch milliseconds.
    """
    if message.automatic:
        return Judgement(True)
    possible = _may_be_automatic(message)
    is_soon = possible and length(message.text) >= AWAY_LENGTH and bool(_asked(message, before, AWAY_WITHIN))
    if known is not None and known.mark in (TextMark.AUTOMATIC, TextMark.PERSON):
        return Judgement(known.mark is TextMark.AUTOMATIC, remembered=True)
    seen_elsewhere = known is not None and len(known.chats - {chat}) >= OTHER_CHATS
    automatic = (is_soon and seen_elsewhere) or (possible and _is_greeting(message, before, complete_since))
    return Judgement(automatic, remembered=is_soon or automatic)


def length(text: str) -> int:
    """Returns the number of visible characters; white space between words counts as one."""
    return len(" ".join("".join(each for each in text if unicodedata.category(each) != "Cf").split()))


def fingerprint(tenant: str, text: str, names: Iterable[str]) -> str:
    """Returns the hash that equal texts of a tenant share: letters only, without numbers and the contact's names."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    short = plain
    for name in sorted({name for each in names for name in _parts_of(each)}, key=len, reverse=True):
        short = re.sub(_pattern_of(name), " ", short)
    short = _salutation().sub(r"\1", short)
    letters = "".join(each for each in short if unicodedata.category(each)[0] in "LM" and not _selects(each))
    same = letters if len(letters) >= FEWEST_LETTERS else " ".join(plain.split())
    return hashlib.sha256(f"t1|{tenant}|{same}".encode()).hexdigest()[:32]


def chat_hash(tenant: str, chat: str) -> str:
    """Returns the hash under which a text remembers a chat."""
    return hashlib.sha256(f"c1|{tenant}|{chat}".encode()).hexdigest()[:16]


def see_again(known: SeenText | None, fingerprint: str, *, chat: str, text: str, now: int) -> SeenText:
    """Returns the text as it is remembered after one more sighting; ``text`` is empty unless it is recognised."""
    if known is None:
        return SeenText(fingerprint, frozenset({chat}), 1, now, now, text[:MAX_TEXT])
    is_full = len(known.chats) > OTHER_CHATS
    return replace(
        known,
        chats=known.chats if is_full else known.chats | {chat},
        seen=known.seen + 1,
        last_seen=max(known.last_seen, now),
        text=(text or known.text)[:MAX_TEXT],
    )


def _may_be_automatic(message: Message) -> bool:
    """True for a plain text in a chat with one contact: the app sends nothing else by itself."""
    is_plain = message.kind is MessageKind.TEXT and message.quote is None and message.edited_at_ms is None
    return not is_group(message.chat) and is_plain and not message.deleted


def _is_greeting(message: Message, before: Sequence[StoredMessage], complete_since: int) -> bool:
    if length(message.text) < GREETING_LENGTH:
        return False
    return any(
        _is_first(asked, message.chat_since_ms, before, complete_since)
        and not any(_is_typed(each) and _is_before(asked, each) for each in before)
        for asked in _asked(message, before, GREETING_WITHIN)
    )


def _asked(message: Message, before: Sequence[StoredMessage], within: timedelta) -> tuple[StoredMessage, ...]:
    """Selects the contact's messages that the own one follows within this time."""
    return tuple(
        each for each in before if not each.from_me and 0 <= message.sent_at_ms - each.sent_at <= milliseconds(within)
    )


def _is_first(
    asked: StoredMessage, chat_since: int | None, before: Sequence[StoredMessage], complete_since: int
) -> bool:
    """True if nothing was written in the chat in SILENCE before; False where that cannot be known."""
    earliest = asked.sent_at - milliseconds(SILENCE)
    if any(each.sent_at > earliest and _is_before(each, asked) for each in before):
        return False
    if chat_since is None or chat_since >= asked.sent_at:
        return True  # the page has no older message either, or is of a release that does not say
    return chat_since <= earliest and complete_since <= earliest


def _is_typed(message: StoredMessage) -> bool:
    return message.from_me and message.skipped is not SkipReason.AUTOMATIC


def _is_before(one: StoredMessage, other: StoredMessage) -> bool:
    return (one.sent_at, one.at) < (other.sent_at, other.at)


@cache
def _salutation() -> re.Pattern[str]:
    """Returns the pattern of a greeting and a name; compiled at its first use, for it would slow each cold start."""
    return re.compile(rf"^(\W*(?:{_SALUTATIONS}))(?:\s+\w+\.?){{1,3}}(?=\s*[,!.:;–—-])")


def _parts_of(name: str) -> tuple[str, ...]:
    """Returns the parts of a display name that a text may address: the whole, its first and its last word."""
    words = [word for word in re.findall(r"\w+", unicodedata.normalize("NFKC", name).casefold()) if len(word) > 1]
    ends = [word for word in (*words[:1], *words[-1:]) if len(word) > 2]
    return (" ".join(words), *ends) if words else ()


def _pattern_of(name: str) -> str:
    """Returns the pattern of a name as a word of its own; scripts without spaces have no such words."""
    pattern = r"\W+".join(map(re.escape, name.split()))
    return pattern if any(unicodedata.east_asian_width(each) in "WF" for each in name) else rf"(?<!\w){pattern}(?!\w)"


def _selects(mark: str) -> bool:
    """True for a variation selector, which changes an emoji's look only."""
    return "\ufe00" <= mark <= "\ufe0f"
