"""The plan of a soak: how many clients, and what people write to one of them in a month. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate

from wire import MessageKind

#: The sizes of an agency, in clients.
SIZES = (5, 20, 50)
DAYS = 30
MESSAGES_PER_DAY = 100
#: The contacts who write to one client in a month; a few of them write most.
CONTACTS = 60
#: People write up to so many messages before they wait for the answer.
MAX_BURST = 3
#: The time between two messages of a burst, and the hours of a day in which people write.
BURST_GAP_MS = (3_000, 25_000)
OPENS_HOUR, CLOSES_HOUR = 8, 21
#: What the runners report of themselves.
CHROMIUM, WA_JS = "150.0.7800.1", "4.6.0"
DAY_MS, HOUR_MS = 24 * 3_600_000, 3_600_000
#: Of a hundred messages so many have no words.
WITHOUT_WORDS_PERCENT = 4
#: So often a day the owner answers a chat from the phone.
TAKEOVERS_PER_DAY = 3
#: Characters of a message: most are short, a few are long.
MEDIAN_CHARACTERS, SPREAD, MAX_CHARACTERS = 60, 0.9, 1_500
_TEXT = "when is the table for four free and how much would it be with bread or without please on saturday"
_WORDS = tuple(_TEXT.split())


@dataclass(frozen=True, slots=True)
class Size:
    """One size of the soak."""

    clients: int
    days: int = DAYS
    messages_per_day: int = MESSAGES_PER_DAY

    @property
    def messages(self) -> int:
        """All messages of contacts."""
        return self.clients * self.days * self.messages_per_day

    @property
    def label(self) -> str:
        """The name of this size's directory and results."""
        return f"{self.clients}x{self.days}x{self.messages_per_day}"


@dataclass(frozen=True, slots=True)
class Written:
    """A message that a contact, or the owner on the phone, writes."""

    #: epoch milliseconds
    at: int
    contact: int
    kind: MessageKind
    text: str
    from_me: bool = False


def write_month(rng: random.Random, size: Size, end: int) -> list[Written]:
    """Returns what one client's phone receives in the days before ``end``, in order; every day as many messages.

    Args:
        end: epoch milliseconds; nothing is written later.
    """
    weights = list(accumulate(1 / (rank + 1) for rank in range(CONTACTS)))
    written: list[Written] = []
    for day in range(size.days):
        written += _write_day(rng, end - (size.days - day) * DAY_MS, size.messages_per_day, weights)
    return sorted(written, key=lambda one: (one.at, one.contact))


def _write_day(rng: random.Random, midnight: int, count: int, weights: list[float]) -> Iterator[Written]:
    left = count
    while left:
        at = midnight + round(rng.uniform(OPENS_HOUR, CLOSES_HOUR - 1) * HOUR_MS)
        (contact,) = rng.choices(range(CONTACTS), cum_weights=weights)
        for _ in range(min(left, rng.randint(1, MAX_BURST))):
            without_words = rng.randrange(100) < WITHOUT_WORDS_PERCENT
            kind = rng.choice((MessageKind.IMAGE, MessageKind.VOICE)) if without_words else MessageKind.TEXT
            yield Written(at, contact, kind, "" if without_words else write_text(rng))
            at += rng.randint(*BURST_GAP_MS)
            left -= 1
    for _ in range(TAKEOVERS_PER_DAY if count else 0):
        at = midnight + round(rng.uniform(OPENS_HOUR, CLOSES_HOUR) * HOUR_MS)
        yield Written(at, rng.randrange(CONTACTS), MessageKind.TEXT, write_text(rng), from_me=True)


def write_text(rng: random.Random, median: int = MEDIAN_CHARACTERS) -> str:
    """Returns a text of a plausible length."""
    length = min(MAX_CHARACTERS, max(2, round(median * rng.lognormvariate(0, SPREAD))))
    words: list[str] = []
    while sum(map(len, words)) + len(words) < length:
        words.append(rng.choice(_WORDS))
    return f"{' '.join(words)[: length - 1].strip().capitalize()}?"


def client_id(number: int) -> str:
    """Returns the tenant's id of the client with this number, from 1 on; all have the same length."""
    return f"soakclient{number:03d}"


def phone_number(number: int) -> str:
    """Returns the phone number of this client's line."""
    return f"49171{number:07d}"


def contact_number(client: int, contact: int) -> str:
    """Returns the phone number of a client's contact."""
    return f"49151{client:03d}{contact:04d}"


#: Events of a line are noted at this hour of the night, when nobody writes.
NIGHT = timedelta(hours=3, minutes=30)
