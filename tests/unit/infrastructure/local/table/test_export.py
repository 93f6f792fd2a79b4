"""A table as a file of plain items, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.store.expressions import stored
from infrastructure.local.table import export
from infrastructure.local.table.export import NotAnItem, export_items, import_items, item_of, line_of, read_lines
from infrastructure.local.table.items import count_items, read_items, write_items
from tests.engines.dynoxide import Dynoxide, new_table
from tests.engines.operations import values
from tests.unit.infrastructure.local.table.test_items import EDGES, an_item

TABLE = "answerline-export"
FIXTURE = Path(__file__).parents[5] / "tests" / "fixtures" / "written_by_084ff81" / "items.jsonl"


def of(client: Any) -> list[Any]:
    return sorted(read_items(client, TABLE), key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


@pytest.mark.dynoxide
def test_what_is_exported_is_imported_digit_for_digit(dynoxide: Dynoxide, tmp_path: Path) -> None:
    client, file = dynoxide.client(), tmp_path / "items.jsonl"
    new_table(client, TABLE)
    items = [an_item(number, **EDGES, text={"S": "\r\n\u2028\U0001f600 '\"\\\x00"}) for number in range(60)]
    write_items(client, TABLE, items)
    before = of(client)
    assert export_items(client, TABLE, file) == 60
    assert len(file.read_bytes().splitlines()) == 60
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
    new_table(client, TABLE)
    assert import_items(client, TABLE, file) == 60
    assert of(client) == before
    assert before[0]["large"] == EDGES["large"]
    assert before[0]["bytes"] == EDGES["bytes"]


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.text(min_size=1, max_size=5), values, max_size=4))
def test_every_value_survives_its_line(attributes: dict[str, Any]) -> None:
    item = {name: stored(value) for name, value in {**attributes, "pk": "P", "sk": "S"}.items()}
    line = line_of(item)
    assert line.count(b"\n") == 1
    assert item_of(line) == item
    assert json.loads(line)["Item"].keys() == item.keys()


def test_a_table_without_items_is_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text("former\n")
    file.chmod(0o644)

    class Empty:
        def get_paginator(self, operation: str) -> "Empty":
            return self

        def paginate(self, **request: Any) -> list[dict[str, Any]]:
            return [{"Items": []}]

    assert export_items(Empty(), TABLE, file) == 0
    assert file.read_bytes() == b""
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_export_that_fails_leaves_the_former_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text("former\n")

    def broken(client: Any, table: str) -> Any:
        yield an_item(1)
        raise OSError("no space left")

    monkeypatch.setattr(export, "read_items", broken)
    with pytest.raises(OSError, match="no space"):
        export_items(None, TABLE, file)
    assert file.read_text() == "former\n"
    assert list(tmp_path.iterdir()) == [file]


GOOD = '{"Item":{"pk":{"S":"P"},"sk":{"S":"S"},"n":{"N":"1"}}}'
#: what is wrong with each
BAD = {
    "cut": GOOD[:-5],
    "text": "private words",
    "list": "[]",
    "no item": '{"pk":{"S":"P"},"sk":{"S":"S"}}',
    "more": GOOD[:-1] + ',"Other":1}',
    "no key": GOOD.replace('"sk"', '"other"'),
    "an empty key": GOOD.replace('"S":"P"', '"S":""'),
    "a key of numbers": GOOD.replace('"S":"P"', '"N":"1"'),
    "no type": GOOD.replace('{"N":"1"}', '"1"'),
    "two types": GOOD.replace('"N":"1"', '"N":"1","S":"1"'),
    "an unknown type": GOOD.replace('"N":"1"', '"X":"1"'),
    "a number as such": GOOD.replace('"N":"1"', '"N":1'),
    "no number": GOOD.replace('"N":"1"', '"N":"one"'),
    "not a number": GOOD.replace('"N":"1"', '"N":"NaN"'),
    "no truth": GOOD.replace('"N":"1"', '"BOOL":"true"'),
    "no base64": GOOD.replace('"N":"1"', '"B":"%%"'),
    "an empty set": GOOD.replace('"N":"1"', '"SS":[]'),
    "a mixed set": GOOD.replace('"N":"1"', '"SS":["a",1]'),
    "a bad member": GOOD.replace('"N":"1"', '"L":[{"S":1}]'),
    "a bad inside": GOOD.replace('"N":"1"', '"M":{"a":{"N":""}}'),
    "deep": GOOD.replace('{"N":"1"}', '{"L":[' * 40_000),
    "bytes": "\udcff",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_a_line_that_is_no_item_is_named_without_its_content_and_nothing_is_written(line: str, tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_bytes(f"{GOOD}\n\n{line}\n".encode(errors="surrogateescape"))
    with pytest.raises(NotAnItem) as refused:
        import_items(None, TABLE, file)  # without a client: a write would be an error of another kind
    assert str(refused.value) == "line 3 is not an item in DynamoDB's JSON"


def test_an_item_that_stands_twice_is_refused_before_the_first_write(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    other = GOOD.replace('"S":"S"', '"S":"T"')
    file.write_text("\n".join([GOOD, other, GOOD.replace('"N":"1"', '"N":"2"')]))
    with pytest.raises(NotAnItem, match="item 3 has the key of an earlier one"):
        import_items(None, TABLE, file)


@pytest.mark.dynoxide
def test_the_items_of_a_release_come_in(dynoxide: Dynoxide, tmp_path: Path) -> None:
    client, file = dynoxide.client(), tmp_path / "items.jsonl"
    lines = FIXTURE.read_text().splitlines()
    file.write_text("".join(f'{{"Item":{line}}}\n' for line in lines))
    new_table(client, TABLE)
    assert import_items(client, TABLE, file) == len(lines) == count_items(client, TABLE)
    assert sorted(map(str, read_lines(file))) == sorted(map(str, map(item_of, file.read_bytes().splitlines())))
