"""The table in memory, which counts what DynamoDB would bill for it on demand."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from boto3.dynamodb.conditions import ConditionBase

from chalicelib.store.table import Check, Item, Put, Update
from tests.simulation.memory_table import GLOBAL_INDEXES, LOCAL_INDEXES, Key, MemoryTable

KEYS = ("pk", "sk")
WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
#: A query goes on to the end of its page, however early the reader stops.
PAGE_BYTES = 1 << 20


class BilledTable(MemoryTable):
    """Write and read request units, by DynamoDB's published rules for sizes, indexes, transactions and consistency."""

    def __init__(self) -> None:
        super().__init__()
        self.write_units = 0.0
        self.read_units = 0.0
        self.items_read = 0
        #: What a write to the table itself costs: double in a transaction, whose indexes cost what they always do.
        self._times = 1
        self.watchers.append(self._bill_write)

    def get(self, pk: str, sk: str) -> Item | None:
        item = super().get(pk, sk)
        self.read_units += _units(size_bytes(item or {}), READ_UNIT_BYTES)
        self.items_read += item is not None
        return item

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        found = super().get_many(keys)
        self.read_units += sum(_units(size_bytes(item), READ_UNIT_BYTES) * 0.5 for item in found)
        self.items_read += len(found)
        return found

    def query(
        self,
        pk: str,
        *,
        where: ConditionBase | None = None,
        limit: int | None = None,
        page: int | None = None,
        **options: Any,
    ) -> Iterator[Item]:
        """Yields lazily, and bills each page when it is read."""
        read = list(super().query(pk, limit=limit if where is None else None, **options))
        passed = {(item["pk"], item["sk"]) for item in super().query(pk, where=where, limit=limit, **options)}
        yielded = 0
        for items in batched(read, page or max(1, len(read))):
            self._bill_page(items, **options)
            for item in items:
                if (item["pk"], item["sk"]) in passed:
                    yield item
                    yielded += 1
            if limit is not None and yielded >= limit:
                return

    def _bill_page(self, items: Sequence[Item], *, index: str | None = None, **options: Any) -> None:
        keys_only = index in GLOBAL_INDEXES and not GLOBAL_INDEXES[index][2]
        size = sum(size_bytes({name: item[name] for name in KEYS} if keys_only else item) for item in items)
        units = _units(min(PAGE_BYTES, size), READ_UNIT_BYTES)
        self.read_units += units * (1 if options.get("consistent", True) else 0.5)
        self.items_read += len(items)

    def transact(self, *writes: Put | Update | Check) -> None:
        self._times = 2
        try:
            super().transact(*writes)
        finally:
            self._times = 1
        for write in writes:
            if isinstance(write, Check):
                self.write_units += 2 * _units(size_bytes(self._at((write.pk, write.sk)) or {}), WRITE_UNIT_BYTES)

    def _bill_write(self, key: Key, before: Item | None, after: Item | None) -> None:
        largest = max(size_bytes(before or {}), size_bytes(after or {}))
        self.write_units += self._times * _units(largest, WRITE_UNIT_BYTES)
        for sort_key in LOCAL_INDEXES.values():
            self.write_units += _index_units(before, after, ("pk", sort_key), everything=True)
        for hash_key, sort_key, everything in GLOBAL_INDEXES.values():
            self.write_units += _index_units(before, after, (hash_key, sort_key), everything=everything)


def batched(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Returns the items in pages; an empty answer is a page, too."""
    return [items[first : first + size] for first in range(0, len(items), size)] or [()]


def size_bytes(value: Any) -> int:
    """Returns the size as DynamoDB counts it: texts in UTF-8, a number by its digits, three bytes for a list or map."""
    if isinstance(value, bool) or value is None:
        return 1
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, int | float):
        return len(str(value).strip("-0.")) // 2 + 2
    if isinstance(value, Mapping):
        inside = sum(len(name.encode()) + size_bytes(inner) for name, inner in value.items() if inner is not None)
        nested = 0 if "pk" in value else 3 + len(value)
        return inside + nested
    if isinstance(value, Set | list | tuple):
        return 3 + sum(1 + size_bytes(inner) for inner in value)
    raise TypeError(f"DynamoDB holds no {type(value).__name__}")


def _index_units(before: Item | None, after: Item | None, index: tuple[str, str], *, everything: bool) -> int:
    """One write where an entry comes, goes or changes; two where it moves; none where nothing projected changed."""
    old, new = _entry(before, index, everything), _entry(after, index, everything)
    if old == new:
        return 0
    sizes = [_units(size_bytes(entry), WRITE_UNIT_BYTES) for entry in (old, new) if entry is not None]
    moved = old is not None and new is not None and any(old[each] != new[each] for each in index)
    return sum(sizes) if moved else max(sizes)


def _entry(item: Item | None, index: tuple[str, str], everything: bool) -> Item | None:
    if item is None or any(item.get(each) is None for each in index):
        return None
    return item if everything else {each: item[each] for each in (*KEYS, *index)}


def _units(size: int, unit_bytes: int) -> int:
    """A read or a refused write of nothing still costs one."""
    return max(1, math.ceil(size / unit_bytes))
