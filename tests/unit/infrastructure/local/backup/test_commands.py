"""The commands of the backups: what the operator reads, also when something is missing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infrastructure.local.aws import Aws
from infrastructure.local.backup import commands, erasure
from infrastructure.local.backup.deletions import Ledger
from infrastructure.local.backup.key import make_key, read_identity, recipient_of
from infrastructure.local.backup.places import Folder
from infrastructure.local.settings import CannotStart, Settings
from tests.unit.infrastructure.local.backup.conftest import STACK, Data


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def run(data: Data, *arguments: str, place: Path | None = None) -> str:
    environment = {"DATA": str(data.directory), **({"BACKUP_TO": str(place)} if place else {})}
    return commands.run(arguments, environment)


def test_a_key_is_shown_once(data: Data) -> None:
    said = run(data, "backup-key")
    assert said.startswith("AGE-SECRET-KEY-1") and "It is shown this once" in said
    (data.directory / "key.txt").write_text(said)
    assert str(read_identity(data.directory / "key.txt").to_public()) == recipient_of(data.directory)
    before = recipient_of(data.directory)
    with pytest.raises(CannotStart, match=f"There is a key already: {before}"):
        run(data, "backup-key")
    with pytest.raises(CannotStart):
        run(data, "backup-key", "")
    assert run(data, "backup-key", "1").startswith("AGE-SECRET-KEY-1")


def test_a_key_may_be_made_before_the_first_start(tmp_path: Path) -> None:
    data = Data(tmp_path / "new")
    assert run(data, "backup-key").startswith("AGE-SECRET-KEY-1")
    assert data.directory.stat().st_mode & 0o077 == 0


def test_a_backup_goes_to_its_place_or_into_a_file(data: Data, place: Path) -> None:
    make_key(data.directory)
    assert re.fullmatch(
        rf"{place}/answerline-\S+\.age: \d+\.\d kB, read back and whole\.", run(data, "backup", place=place)
    )
    assert run(data, "backup-now", place=place) and run(data, "backup", "", place=place)
    file = place / "mine.age"
    assert f"make restore FROM={file} KEY=…" in run(data, "backup", str(file))
    assert file.stat().st_mode & 0o077 == 0


def test_what_is_missing_is_a_sentence(data: Data, place: Path, tmp_path: Path) -> None:
    for arguments, environment, match in [
        (["backup"], {"BACKUP_TO": str(place)}, "make backup-key"),
        (["backup"], {}, r"There is no place for backups.* Or name a file"),
        (["backup"], {"BACKUP_TO": "ftp://x"}, "means nothing here"),
        (["backup"], {"BACKUP_TO": "sftp://me:hunter2@h/x"}, "has a password in it"),
        (["backup"], {"BACKUP_AT": "late"}, "no time of the day"),
        (["backup"], {"DATA": str(tmp_path / "missing"), "BACKUP_TO": str(place)}, "holds no state"),
        (["restore"], {}, "Say which backup"),
        (["restore", str(tmp_path / "missing"), "key"], {}, "There is no file"),
        (["forget"], {}, "Say which tenant"),
        (["forget", "../x"], {}, "Say which tenant"),
        (["forget", "bakery"], {"DATA": str(tmp_path / "missing")}, "holds no state"),
        (["remember"], {}, "There is no command remember: backup"),
    ]:
        with pytest.raises(CannotStart, match=match) as refused:
            commands.run(arguments, {"DATA": str(data.directory), **environment})
        assert "hunter2" not in str(refused.value)


# -- a client that leaves -------------------------------------------------------------------------------------------


@pytest.fixture
def stores(moto_url: str, data: Data, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The stores of the data, played by moto, with one tenant; a deletion's object is on the disk, too."""
    aws = Aws.with_new_key(moto_url, moto_url)
    dynamodb = aws.client("dynamodb")
    for name in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=name)
    dynamodb.create_table(
        TableName=STACK,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=STACK, Item={"pk": {"S": "TENANT#garage"}, "sk": {"S": "TENANT"}})

    @contextmanager
    def running_stores(_settings: Settings) -> Iterator[Aws]:
        yield aws

    def record(_aws: Aws, ledger: Ledger) -> None:
        data.file("ministack/s3/000000000000/bucket/deletions/garage", ledger.to_bytes())

    monkeypatch.setattr(commands, "running_stores", running_stores)
    monkeypatch.setattr(erasure, "record", record)
    return aws


def test_a_client_that_leaves_is_in_the_ledger_beside_the_backups(data: Data, stores: Aws, place: Path) -> None:
    said = run(data, "forget", "garage", place=place)
    assert "Tenant garage is deleted. The ledger beside the backups says so." in said
    (name,) = Folder(place).names()
    assert Ledger.of_place(Folder(place), name).tenants == {"garage"}
    assert stores.client("dynamodb").scan(TableName=STACK)["Items"] == []
    assert "is deleted" in run(data, "forget", "garage", place=place), "again, after a kill in between"


def test_a_ledger_that_cannot_be_copied_stops_no_deletion(data: Data, stores: Aws, tmp_path: Path) -> None:
    said = run(data, "forget", "garage", place=tmp_path / "unmounted")
    assert "The ledger could not be copied" in said and "mount its disk" in said
    assert stores.client("dynamodb").scan(TableName=STACK)["Items"] == []


@pytest.mark.usefixtures("stores")
def test_without_a_place_the_ledger_is_here_alone(data: Data) -> None:
    assert "the ledger of deletions is here alone" in run(data, "forget", "garage")


@pytest.mark.usefixtures("stores")
def test_an_unknown_tenant_is_named(data: Data, place: Path) -> None:
    with pytest.raises(CannotStart, match="There is no tenant florist"):
        run(data, "forget", "florist", place=place)
    assert Folder(place).names() == []
