"""The ledger of deletions: what it holds, where it is read, and that a damaged one is never taken for an empty one."""

import io
from pathlib import Path

import pytest

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.deletions import Deletion, Ledger, ledgers_of, union
from infrastructure.local.backup.names import ledger_name
from infrastructure.local.backup.places import Folder
from tests.unit.infrastructure.local.backup.conftest import Data

BAKERY, GARAGE = Deletion("bakery", 5), Deletion("garage", 3)
BUCKET = "ministack/s3/000000000000/answerline-local-data"


def ledger(*deletions: Deletion) -> Ledger:
    return Ledger(frozenset(deletions))


def test_a_ledger_is_read_back_line_by_line() -> None:
    written = ledger(GARAGE, BAKERY).to_bytes()
    assert written == b'{"tenant": "bakery", "deleted_at": 5}\n{"tenant": "garage", "deleted_at": 3}\n'
    assert Ledger.of_bytes(written, "x") == ledger(BAKERY, GARAGE)
    assert Ledger.of_bytes(b"", "x") == ledger()


def test_ledgers_are_joined(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.write(ledger_name("00000001"), io.BytesIO(ledger(BAKERY).to_bytes()))
    place.write(ledger_name("00000002"), io.BytesIO(ledger(GARAGE).to_bytes()))
    place.write("answerline-00000002-deletions.jsonl.partial", io.BytesIO(b"half"))
    assert union(ledgers_of(place)) == ledger(BAKERY) | ledger(GARAGE)
    assert union([]).tenants == frozenset()
    assert (ledger(BAKERY) | ledger(GARAGE)).tenants == {"bakery", "garage"}


def test_the_deletions_of_a_data_directory_are_its_objects(data: Data) -> None:
    assert Ledger.of_data(data.directory) == ledger()
    data.file(f"{BUCKET}/deletions/bakery", ledger(BAKERY).to_bytes())
    data.file(f"{BUCKET}/deletions/bakery.meta.json", "{}")
    data.file(f"{BUCKET}/deletions/garage.tmp", "half")
    assert Ledger.of_data(data.directory) == ledger(BAKERY)


@pytest.mark.parametrize(
    "line", [b"x", b"[]", b"{}", b'{"tenant": "a"}', b'{"tenant": "a", "deleted_at": "x"}', b"\xff"]
)
def test_a_damaged_ledger_is_not_taken_for_an_empty_one(line: bytes) -> None:
    with pytest.raises(BackupFailed, match="the place is damaged"):
        Ledger.of_bytes(ledger(BAKERY).to_bytes() + line + b"\n", "the place")


def test_equal_ledgers_have_equal_digests() -> None:
    assert ledger(BAKERY, GARAGE).sha256 == ledger(GARAGE, BAKERY).sha256 != ledger(BAKERY).sha256
