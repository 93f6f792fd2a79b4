"""All items of a table, from one engine to another."""

from typing import Any

import pytest

from infrastructure.local.table.items import (
    ATTEMPTS,
    PAGE_ITEMS,
    ItemsLeftOut,
    copy_items,
    count_items,
    read_items,
    write_items,
)

TABLE = "answerline-test"
#: Values that a careless copy would change.
EDGES: dict[str, Any] = {
    "large": {"N": "12345678901234567890123456789012345678"},
    "small": {"N": "1E-130"},
    "half": {"N": "0.1"},
    "bytes": {"B": b"\x00\xff\xfe"},
    "many": {"BS": [b"\x00", b"\xff"]},
    "numbers": {"NS": ["1", "2.5"]},
    "names": {"SS": ["a", "ä"]},
    "nothing": {"NULL": True},
    "empty": {"S": ""},
    "inside": {"M": {"list": {"L": [{"N": "1"}, {"M": {}}, {"BOOL": False}]}}},
}


class Engine:
    """A table in a dictionary, which serves pages of a bounded size and may leave out a part of a batch."""

    def __init__(self, page: int = 7) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.page = page
        #: how many items of the next batches are left out
        self.busy: list[int] = []
        self.batches: list[int] = []

    def get_paginator(self, operation: str) -> "Engine":
        assert operation == "scan"
        return self

    def paginate(
        self,
        TableName: str,  # noqa: N803
        ConsistentRead: bool,  # noqa: N803
        PaginationConfig: dict[str, int],  # noqa: N803
        Select: str = "",  # noqa: N803
    ) -> Any:
        assert (TableName, ConsistentRead) == (TABLE, True)
        assert PaginationConfig == {"PageSize": PAGE_ITEMS}, "dynoxide reads the rest of the table for such a page"
        found = [self.items[key] for key in sorted(self.items)]
        for start in range(0, max(1, len(found)), self.page):
            part = found[start : start + self.page]
            yield {"Count": len(part), **({} if Select == "COUNT" else {"Items": part})}

    def batch_write_item(self, RequestItems: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:  # noqa: N803
        requests = RequestItems[TABLE]
        assert 0 < len(requests) <= 25
        self.batches.append(len(requests))
        left = self.busy.pop(0) if self.busy else 0
        for request in requests[left:]:
            item = request["PutRequest"]["Item"]
            self.items[item["pk"]["S"], item["sk"]["S"]] = item
        return {"UnprocessedItems": {TABLE: requests[:left]} if left else {}}


def an_item(number: int, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": "P"}, "sk": {"S": f"{number:05d}"}, **attributes}


@pytest.mark.parametrize("count", [0, 1, 25, 26, 60])
def test_every_item_arrives_as_it_was_stored(count: int) -> None:
    source, destination = Engine(), Engine()
    source.items = {("P", f"{n:05d}"): an_item(n, **EDGES) for n in range(count)}
    assert copy_items(source, destination, TABLE) == count
    assert destination.items == source.items
    assert count_items(destination, TABLE) == count
    assert sum(destination.batches) == count


def test_an_interrupted_copy_is_made_again() -> None:
    source, destination = Engine(), Engine()
    source.items = {("P", f"{n:05d}"): an_item(n, n={"N": str(n)}) for n in range(30)}
    destination.items = {("P", "00003"): an_item(3, n={"N": "-1"}), ("P", "00004"): source.items["P", "00004"]}
    copy_items(source, destination, TABLE)
    assert destination.items == source.items


def test_items_that_a_busy_table_left_out_are_sent_again() -> None:
    destination, pauses = Engine(), list[float]()
    destination.busy = [20, 5, 0, 3]
    assert write_items(destination, TABLE, map(an_item, range(40)), pauses.append) == 40
    assert len(destination.items) == 40
    assert destination.batches == [25, 20, 5, 15, 3]
    assert pauses == [0.05, 0.1, 0.05]


def test_a_table_that_stays_busy_is_given_up_and_the_copy_is_not_called_complete() -> None:
    destination, pauses = Engine(), list[float]()
    destination.busy = [1] * 100
    with pytest.raises(ItemsLeftOut, match="1 items"):
        write_items(destination, TABLE, map(an_item, range(3)), pauses.append)
    assert len(pauses) == ATTEMPTS


def test_items_are_read_as_a_stream() -> None:
    source = Engine(page=2)
    source.items = {("P", f"{n:05d}"): an_item(n) for n in range(5)}
    first = next(read_items(source, TABLE))
    assert first == an_item(0)
