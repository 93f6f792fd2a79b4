"""`make export` and `make import` with the stack's own table: running, stopped, empty and not."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from infrastructure.local import recovery, resources
from infrastructure.local.__main__ import main
from infrastructure.local.preflight import lock_data_directory
from infrastructure.local.programs import Programs
from infrastructure.local.settings import Ports, Settings
from infrastructure.local.table.export import read_lines
from infrastructure.local.table.items import StoredItem, write_items

pytestmark = [pytest.mark.stack, pytest.mark.dynoxide, pytest.mark.timeout(60)]
ITEMS = [
    {"pk": {"S": "TENANT#a"}, "sk": {"S": f"EVENT#{number:03d}"}, "at": {"S": str(number)}} for number in range(40)
]


def sort_key(item: StoredItem) -> str:
    return str(item["sk"]["S"])


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """The directory of a running stack, as far as the table is concerned."""
    data = tmp_path / "data"
    settings = Settings(data=data, ports=Ports.free(), runners=0)
    lock = lock_data_directory(data)
    programs = Programs(settings)
    programs.start_table()
    try:
        table = resources.ensure_table(programs.aws, settings.stack)
        write_items(programs.aws.client("dynamodb"), table, ITEMS)
        (data / "stack.json").write_text(json.dumps({"aws": asdict(programs.aws)}))
        yield data
    finally:
        programs.stop()
        os.close(lock)


def test_the_table_goes_from_a_running_stack_into_an_empty_one_and_into_no_other(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "items.jsonl", tmp_path / "other"
    monkeypatch.setenv("DATA", str(data))
    assert main(["export", str(file)]) == 0
    assert "40 items" in capsys.readouterr().out
    assert main(["import", str(file)]) == 1
    assert "already runs" in capsys.readouterr().err

    monkeypatch.setenv("DATA", str(other))
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(file.read_bytes()[:-10])
    assert main(["import", str(bad)]) == 1
    assert "line 40 is not an item in DynamoDB's JSON. Nothing was imported." in capsys.readouterr().err
    assert main(["import", str(file)]) == 0
    assert "40 items imported" in capsys.readouterr().out
    assert recovery.read_marker(other) == recovery.RESTORED
    assert main(["import", str(file)]) == 1
    refused = capsys.readouterr().err
    assert "holds 40 items" in refused
    assert "Nothing was changed" in refused

    again = tmp_path / "again.jsonl"
    assert main(["export", str(again)]) == 0
    assert sorted(read_lines(again), key=sort_key) == sorted(read_lines(file), key=sort_key) == ITEMS
    assert {path.name for path in other.iterdir()} >= {"table", "lock"}
    os.close(lock_data_directory(other))  # released


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["export"], "Say which file: `make export FILE=answerline-items.jsonl`."),
        (["export", ""], "Say which file"),
        (["import", ""], "Say which file"),
        (["import", "missing.jsonl"], "There is no file"),
        (["export", "items.jsonl"], "holds no table of Answerline"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATA", str(tmp_path / "none"))
    assert main(arguments) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
