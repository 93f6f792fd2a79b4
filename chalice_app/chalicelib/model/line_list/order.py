"""The order of the lines, the entries of the list, and the search in it. Pure."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chalicelib.model.line_health import Line, LineHealth

#: A page of the list shows so many lines.
PAGE_ROWS: Final = 50
#: Characters of a phone number that people write and that mean nothing.
_BETWEEN_DIGITS: Final = str.maketrans("", "", "+()-/. ")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line in the list: what finds it, and no more of it."""

    id: str
    name: str = field(repr=False)
    owner: str = field(repr=False)
    #: the account that is linked, or was linked last; empty: none ever was
    number: str = field(default="", repr=False)
    #: a contact waited too long for an answer when the list was made: the line itself does not say so
    slow: bool = False


def sort_lines(lines: Iterable[Line], slow: frozenset[str] = frozenset()) -> list[Line]:
    """Sorts lines that need a person first, the worst health at the top as in the console; all others by name.

    Args:
        slow: ids of lines of which it is known otherwise that a contact waits too long.
    """

    def place(line: Line) -> tuple[LineHealth, str, str]:
        health = min(line.health, LineHealth.SLOW) if line.tenant.id in slow else line.health
        return min(health, LineHealth.PENDING), line.tenant.name.casefold(), line.tenant.id

    return sorted(lines, key=place)


def entry_of(line: Line) -> Entry:
    """Returns the entry of a line."""
    return Entry(
        line.tenant.id,
        line.tenant.name,
        line.tenant.owner_email,
        line.session.number or line.session.last_number or "",
        line.health is LineHealth.SLOW,
    )


def matches(entry: Entry, words: str) -> bool:
    """True if a search for these words finds the line: each is part of its name, its owner's e-mail or its id.

    Capitals and accents do not count. A phone number is found as people write it, or by a part of it.
    """
    folded = _fold(f"{entry.name} {entry.owner} {entry.id}")
    if all(word in folded for word in _fold(words).split()):
        return True
    digits = words.translate(_BETWEEN_DIGITS)
    return digits.isdecimal() and digits in entry.number


def page_of(entries: Sequence[Entry], number: int) -> Sequence[Entry]:
    """Returns the entries of a page; pages count from 1."""
    return entries[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]


def count_pages(entries: int) -> int:
    """Returns how many pages so many entries fill; an empty list has one, too."""
    return max(1, -(-entries // PAGE_ROWS))


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in plain if not unicodedata.combining(each))
