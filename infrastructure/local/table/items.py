"""Reads and writes all items of a table through the API, so that they pass from one engine to another.

Items stay in DynamoDB's JSON on their way: numbers, sets and sealed secrets arrive digit for digit as they were stored.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: An item in DynamoDB's JSON.
StoredItem = dict[str, Any]

#: DynamoDB takes at most so many items in one BatchWriteItem.
MAX_BATCH = 25
#: The items of one read. dynoxide reads the rest of the table for a page without a limit: a quarter of a second at
#: 100,000 items, and again for the next page.
PAGE_ITEMS = 1_000
#: A batch, of which a busy table left something out, is sent this many times, with backoff.
ATTEMPTS = 8
BACKOFF_SECONDS = 0.05


class ItemsLeftOut(Exception):
    """The table took a part of a batch again and again, and never the rest."""


def copy_items(source: Any, destination: Any, table: str, pause: Callable[[float], None] = time.sleep) -> int:
    """Copies every item of ``table``, which exists on both sides; returns their number.

    An item that the destination has is replaced, so that an interrupted copy is made again from its start. The source
    must be at rest: items that are written meanwhile may be missing.

    Args:
        source: a boto3 DynamoDB client.
        destination: another one.
        pause: sleeps between attempts; takes seconds.

    Raises:
        ItemsLeftOut: the destination did not take all items.
    """
    return write_items(destination, table, read_items(source, table), pause)


def read_items(client: Any, table: str) -> Iterator[StoredItem]:
    """Yields every item, page by page, read consistently."""
    for page in scan_pages(client, table):
        yield from page["Items"]


def scan_pages(client: Any, table: str, **more: Any) -> Iterator[dict[str, Any]]:
    """Yields the answers of a whole scan, read consistently, each of a bounded page."""
    paginator = client.get_paginator("scan")
    yield from paginator.paginate(
        TableName=table, ConsistentRead=True, PaginationConfig={"PageSize": PAGE_ITEMS}, **more
    )


def write_items(
    client: Any, table: str, items: Iterable[StoredItem], pause: Callable[[float], None] = time.sleep
) -> int:
    """Writes the items, whose keys differ, in batches; returns their number. Raises ItemsLeftOut."""
    written = 0
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, MAX_BATCH)):
        _write_batch(client, table, [{"PutRequest": {"Item": item}} for item in batch], pause)
        written += len(batch)
    return written


def count_items(client: Any, table: str) -> int:
    """Returns how many items the table holds now: counted, because a table's own figure is hours old."""
    return sum(page["Count"] for page in scan_pages(client, table, Select="COUNT"))


def _write_batch(client: Any, table: str, requests: list[dict[str, Any]], pause: Callable[[float], None]) -> None:
    for attempt in range(ATTEMPTS):
        answer = client.batch_write_item(RequestItems={table: requests})
        requests = answer.get("UnprocessedItems", {}).get(table, [])
        if not requests:
            return
        pause(BACKOFF_SECONDS * 2**attempt)
    raise ItemsLeftOut(f"the table did not take {len(requests)} items in {ATTEMPTS} attempts")
