"""Export of a table into a file of JSON lines, and import from one: one item a line, as AWS exports a table to S3.

A line is ``{"Item": {"pk": {"S": "…"}, …}}`` in DynamoDB's JSON, so that no engine holds the data captive: AWS imports
such files, and so does any program that reads JSON. Secrets stay sealed as they are stored.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from infrastructure.local import durable_file
from infrastructure.local.table.items import StoredItem, read_items, write_items

#: What every item has: texts.
KEYS = ("pk", "sk")


class NotAnItem(Exception):
    """A line of the file is no item; the message names the line, and never its content."""


def export_items(client: Any, table: str, file: Path) -> int:
    """Writes every item of the table into a file that only this user can read; returns their number.

    The file appears when it is whole and on the disk. Of a table that is written meanwhile it holds each item as it was
    when it was read. Raises OSError, and then there is no new file.
    """
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for item in read_items(client, table):
            count += 1
            yield line_of(item)

    durable_file.write(file, lines())
    return count


def import_items(client: Any, table: str, file: Path) -> int:
    """Writes every item of the file into the table, which must be empty; returns their number.

    The whole file is checked before the first write. Raises NotAnItem, OSError, or what the table's engine raises.
    """
    for _ in _different(read_lines(file)):
        pass
    return write_items(client, table, read_lines(file))


def line_of(item: StoredItem) -> bytes:
    """Returns the item's line, with its end."""
    encoded = {name: _converted(value, _encoded) for name, value in item.items()}
    return json.dumps({"Item": encoded}, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def item_of(line: bytes) -> StoredItem:
    """Returns the item of a line. Raises ValueError."""
    try:
        content = json.loads(line)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(content, dict) or set(content) != {"Item"} or not isinstance(content["Item"], dict):
        raise ValueError("no item")
    item = {name: _converted(value, _decoded) for name, value in content["Item"].items()}
    if not all(item.get(name, {}).get("S") for name in KEYS):
        raise ValueError("no key")
    return item


def read_lines(file: Path) -> Iterator[StoredItem]:
    """Yields the item of each line; an empty line is none. Raises NotAnItem."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield item_of(line)
            except ValueError as error:  # of JSON, UTF-8 and base64, too; it may quote the line
                raise NotAnItem(f"line {number} is not an item in DynamoDB's JSON") from error


def _different(items: Iterable[StoredItem]) -> Iterator[StoredItem]:
    """Yields the items while each has another key; remembers a digest of each key. Raises NotAnItem."""
    seen = set[bytes]()
    for number, item in enumerate(items, 1):
        key = json.dumps([item[name]["S"] for name in KEYS]).encode()
        digest = hashlib.blake2b(key, digest_size=16).digest()
        if digest in seen:
            raise NotAnItem(f"item {number} has the key of an earlier one")
        seen.add(digest)
        yield item


# -- values ----------------------------------------------------------------------------------------------------------


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _decoded(content: Any) -> bytes:
    if not isinstance(content, str):
        raise ValueError("no base64")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None


def _converted(value: Any, binary: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns a typed value of DynamoDB's JSON, checked, with its binary parts converted. Raises ValueError."""
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("a value has one type")
    ((kind, content),) = value.items()
    match kind, content:
        case ("S", str()) | ("BOOL" | "NULL", bool()):
            return value
        case "N", str():
            return {"N": _number(content)}
        case "B", _:
            return {"B": binary(content)}
        case "SS", [_, *_] if all(isinstance(member, str) for member in content):
            return value
        case "NS", [_, *_]:
            return {"NS": [_number(member) for member in content]}
        case "BS", [_, *_]:
            return {"BS": [binary(member) for member in content]}
        case "L", list():
            return {"L": [_converted(member, binary) for member in content]}
        case "M", dict():
            return {"M": {name: _converted(member, binary) for name, member in content.items()}}
    raise ValueError("no value of DynamoDB")


def _number(content: Any) -> str:
    if not isinstance(content, str):
        raise ValueError("a number is written as a text")
    try:
        finite = Decimal(content).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        raise ValueError("no number")
    return content
