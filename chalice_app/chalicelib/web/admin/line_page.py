"""A page of the list of lines: what a poll reads is what the page shows, however many lines there are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chalicelib.model.line_health import Line, line_of
from chalicelib.model.line_list.counts import LineCounts, count_lines
from chalicelib.model.line_list.order import PAGE_ROWS, Entry, count_pages, entry_of, matches, page_of, sort_lines
from chalicelib.reconcilers import health_report, line_list
from chalicelib.store.fleet.line_list import PAGES_IN_A_PART, ListHead

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: So many lines are looked at by themselves, because the list may show them in a wrong place.
MOST_RECENT: Final = PAGE_ROWS
#: More characters of a search find nothing that fewer do not.
MAX_WORDS: Final = 100


@dataclass(frozen=True, slots=True)
class LinePage:
    """A page of the list, or of what a search found in it."""

    lines: Sequence[Line]
    counts: LineCounts
    #: when the counts were made, if not a moment ago
    counted_at: int | None
    number: int
    pages: int
    words: str
    #: how many lines the search found; of the whole list all
    found: int


def read_page(services: "Services", number: int = 1, words: str = "") -> LinePage:
    """Reads a page of the list; the last one, if there are not so many.

    The list is a minute old, and the lines are as they are now. Lines that were made or changed since the list was
    made, or of which there is news, are on the first page too.

    Args:
        number: counts from 1.
        words: of a search; empty: the whole list.
    """
    words = " ".join(words[:MAX_WORDS].split())
    head = services.line_list.head() or _make(services)
    if head.counts.total <= PAGE_ROWS:
        return _only_page(services, head, words)
    if words:
        return _found(services, head, number, words)
    pages = count_pages(head.counts.total)
    number = max(1, min(number, pages))
    recent = services.line_list.recent(head, MOST_RECENT) if number == 1 else ()
    lines = _read(services, services.line_list.page(number), recent)
    return LinePage(lines, head.counts, head.at, number, pages, "", head.counts.total)


def _make(services: "Services") -> ListHead:
    """Makes the list: the loop of each minute has not made any yet."""
    now = services.clock()
    line_list.record(services, health_report.read(services), now)
    return services.line_list.head() or ListHead(now, LineCounts(), ())


def _only_page(services: "Services", head: ListHead, words: str) -> LinePage:
    """Reads all lines, of which there are few: order and counts are those of this moment."""
    lines = _read(services, services.line_list.page(1), services.line_list.recent(head, MOST_RECENT))
    found = [line for line in lines if not words or matches(entry_of(line), words)]
    return LinePage(found, count_lines(lines), None, 1, 1, words, len(found))


def _found(services: "Services", head: ListHead, number: int, words: str) -> LinePage:
    """Reads a page of what a search finds; by their present names, of the lines that were changed lately."""
    recent = services.line_list.recent(head, MOST_RECENT)
    parts = range(-(-count_pages(head.counts.total) // PAGES_IN_A_PART))
    changed = [line for line in _read(services, (), recent) if matches(entry_of(line), words)]
    entries = [each for each in services.line_list.parts(parts) if each.id not in recent and matches(each, words)]
    found = len(entries) + len(changed)
    pages = count_pages(len(entries))
    number = max(1, min(number, pages))
    shown = [line.tenant.id for line in changed] if number == 1 else []
    return LinePage(_read(services, page_of(entries, number), shown), head.counts, head.at, number, pages, words, found)


def _read(services: "Services", entries: Sequence[Entry], recent: Iterable[str]) -> list[Line]:
    """Reads these lines as they are now, in their order."""
    now = services.clock()
    ids = dict.fromkeys([*recent, *(entry.id for entry in entries)])
    lines = [line_of(tenant, session, (), None, now) for tenant, session in services.tenants.get_many(ids)]
    return sort_lines(lines, frozenset(entry.id for entry in entries if entry.slow))
