"""The list of lines, made each minute: a page of the admin reads of it what it shows, however many lines there are.

=========  ==================  =========================================================================================
``pk``     ``sk``              what it holds
=========  ==================  =========================================================================================
``LINES``  ``HEAD``            when it was made, the counts of all lines, and a digest of each part
``LINES``  ``PART#<number>``   so many entries, in the order of the list
``LINES``  ``RECENT#<at>#<t>`` a line that was made or changed, or of which there is news: looked at by itself; expires
=========  ==================  =========================================================================================

The parts say in which order lines are shown, and how they are found. The state of a line that is shown is always read
from the line. A part is written if its digest changed, and now and then all are: two writers at once may disagree.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Final

from chalicelib.model import milliseconds
from chalicelib.model.line_list.counts import LineCounts
from chalicelib.model.line_list.order import PAGE_ROWS, Entry, page_of
from chalicelib.store.records.reader import each, one, readable, value_of
from chalicelib.store.table import Item, Put, Table, Update
from chalicelib.store.timeline import seconds
from chalicelib.tokens import sha256

PARTITION: Final = "LINES"
#: A part holds so many pages: an entry has at most 700 bytes, and an item of DynamoDB 400 KB.
PAGES_IN_A_PART: Final = 8
PART_ROWS: Final = PAGES_IN_A_PART * PAGE_ROWS
#: What happened so long before the list was made may be missing in it: clocks differ, and the directory lags behind.
MISSING_BEFORE: Final = timedelta(minutes=1)
RECENT_KEPT_FOR: Final = timedelta(hours=1)
#: Each part is written this often, changed or not.
WRITTEN_EVERY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ListHead:
    """The head of the list: when it was made, and the counts of all lines."""

    at: int
    counts: LineCounts
    #: of each part, in order
    digests: tuple[str, ...]


class LineList:
    """The list of all lines.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def head(self) -> ListHead | None:
        """Returns the head; None before the list was made for the first time."""
        return one(self._table.get(PARTITION, "HEAD"), _head_from)

    def page(self, number: int) -> Sequence[Entry]:
        """Returns the entries of a page; pages count from 1."""
        part, page = divmod(number - 1, PAGES_IN_A_PART)
        return page_of(self.parts([part]), page + 1)

    def parts(self, numbers: Sequence[int]) -> list[Entry]:
        """Returns the entries of these parts that can be read, in order; a moment old."""
        found = self._table.get_many([_part_key(number) for number in numbers])
        found.sort(key=lambda item: str(item["sk"]))
        entries = (entry for item in found for entry in item.get("entries", ()))
        return list(each(entries, _entry_from))

    def recent(self, head: ListHead, limit: int) -> list[str]:
        """Returns the lines that the list may show in a wrong place or not at all, the latest first."""
        since = f"RECENT#{head.at - milliseconds(MISSING_BEFORE):015d}"
        items = self._table.query(
            PARTITION, between=(since, "RECENT#~"), newest_first=True, limit=limit, consistent=False
        )
        return list(dict.fromkeys(str(item["sk"]).rpartition("#")[2] for item in items))

    def record(self, entries: Sequence[Entry], counts: LineCounts, at: int) -> None:
        """Writes the list as it was at this moment; only those of its parts that changed.

        Args:
            entries: all lines, in the order of the list.
        """
        head = self.head()
        every = milliseconds(WRITTEN_EVERY)
        before = head.digests if head is not None and head.at // every == at // every else ()
        digests = []
        for number, first in enumerate(range(0, len(entries), PART_ROWS)):
            part = [_entry_item(entry) for entry in entries[first : first + PART_ROWS]]
            digests.append(sha256(json.dumps(part, ensure_ascii=False))[:32])
            if before[number : number + 1] != (digests[-1],):
                self._table.update(Update(*_part_key(number), set={"entries": part}))
        changes = {"made_at": at, "counts": asdict(counts), "digests": digests}
        self._table.update(Update(PARTITION, "HEAD", set=changes))


def recent_put(tenant: str, at: int) -> Put:
    """Returns the write that lets a line be looked at by itself until the list is made again."""
    item = {"expires_at": seconds(at + milliseconds(RECENT_KEPT_FOR))}
    return Put({"pk": PARTITION, "sk": f"RECENT#{at:015d}#{tenant}", **item}, when=None)


def _part_key(number: int) -> tuple[str, str]:
    return PARTITION, f"PART#{number:04d}"


@readable
def _head_from(item: Item) -> ListHead:
    known = {name.name: item["counts"].get(name.name, 0) for name in fields(LineCounts)}
    return ListHead(int(item["made_at"]), value_of(LineCounts, **known), tuple(item["digests"]))


def _entry_item(entry: Entry) -> Item:
    return {name: value for name, value in asdict(entry).items() if value}


@readable
def _entry_from(item: Item) -> Entry:
    return value_of(Entry, **{"name": "", "owner": "", **item})
