"""The copy of the data: what is in it and what is not, in which order, and that what it names is there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.local.backup import BackupFailed, data_copy
from infrastructure.local.backup.data_copy import OBJECTS, OUTBOX, RUNNERS, TABLE, copy_data
from infrastructure.local.backup.manifest import FORMAT, Manifest, check
from infrastructure.local.backup.table_copy import copy_table
from tests.unit.infrastructure.local.backup.conftest import STACK, Data

BUCKET = OBJECTS / "000000000000" / "answerline-local-data"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "copy").mkdir()
    return tmp_path / "copy"


def take(data: Data, copy: Path) -> Manifest:
    return copy_data(data.directory, copy, stack=STACK, commit="0123456789ab", now_ms=lambda: 5)


def test_a_copy_has_what_a_restore_needs_and_nothing_of_a_process(data: Data, copy: Path) -> None:
    data.file(BUCKET / "x.tmp", "half")
    data.file(OUTBOX / "000000000000002-b.json.unfinished", "half")
    data.file("ministack/state/sqs.json", "{}")
    (data.directory / "link").symlink_to("/etc/passwd")
    (data.directory / OBJECTS / "link").symlink_to("/etc/passwd")
    manifest = take(data, copy)
    assert (manifest.format, manifest.commit, manifest.taken_at) == (FORMAT, "0123456789ab", 5)
    assert check(copy) == manifest
    snapshot = next(path for path in manifest.files if "profiles/bakery" in path)
    assert set(manifest.files) == {
        "table/answerline.db",
        "ministack/state/kms.json",
        "ministack/outbox/000000000000001-a.json",
        "ministack/outbox/relayed/a",
        "runners/slot-1/bakery/journal.jsonl",
        "runners/slot-1/bakery/keeper.json",
        "operator.json",
        snapshot,
    }


def test_the_profile_of_a_line_without_a_snapshot_is_copied_from_where_it_was_used_last(data: Data, copy: Path) -> None:
    data.session("florist")
    data.session("garage", linked=False)
    for slot, epoch in (("slot-1", 9), ("slot-2", 10)):
        for tenant in ("florist", "garage"):
            home = RUNNERS / slot / tenant
            data.file(home / "marker.json", f'{{"tenant": "{tenant}", "epoch": {epoch}, "linked": true}}')
            data.file(home / "current" / "Default" / "IndexedDB" / "000003.log", slot)
            data.file(home / "current" / "Default" / "GPUCache" / "data_0", slot)
            data.file(home / "current" / "SingletonCookie", slot)
            data.file(home / "set-aside-epoch-2" / "x", slot)
    manifest = take(data, copy)
    profiles = {path for path in manifest.files if "current" in path or "marker" in path or "set-aside" in path}
    newest = "runners/slot-2/florist"
    assert profiles == {f"{newest}/marker.json", f"{newest}/current/Default/IndexedDB/000003.log"}


def test_objects_and_mails_take_no_room_and_stay_when_the_original_goes(data: Data, copy: Path) -> None:
    (original,) = (data.directory / BUCKET / "profiles" / "bakery").iterdir()
    take(data, copy)
    copied = copy / original.relative_to(data.directory)
    assert copied.stat().st_ino == original.stat().st_ino
    original.unlink()
    assert copied.read_bytes() == b"login of the bakery"


def test_a_disk_without_links_copies(data: Data, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert [path for path in take(data, copy).files if "profiles/bakery" in path]


def test_a_snapshot_that_the_table_names_must_be_there(data: Data, copy: Path) -> None:
    shutil.rmtree(data.directory / BUCKET / "profiles")
    with pytest.raises(BackupFailed, match="lacks a snapshot that the table names: profiles/bakery"):
        take(data, copy)


def test_a_stored_snapshot_must_be_what_was_uploaded(data: Data, copy: Path) -> None:
    (stored,) = (data.directory / BUCKET / "profiles" / "bakery").iterdir()
    stored.write_bytes(b"login of the Bakery")
    with pytest.raises(BackupFailed, match="A stored snapshot is damaged"):
        take(data, copy)


# -- the order: a running stack changes each part right after the part before it was copied --------------------------


def then(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Makes a change the moment after the table was copied."""
    original = copy_table

    def copy_and_change(source: Path, target: Path) -> None:
        original(source, target)
        change()

    monkeypatch.setattr("infrastructure.local.backup.data_copy.copy_table", copy_and_change)


def test_a_message_that_moves_from_its_journal_to_the_table_is_in_one_of_them(
    data: Data, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hand_in() -> None:
        data.put("CHAT#bakery#x", "MESSAGE#3EB0", {"pk": {"S": "CHAT#bakery#x"}})
        data.file(RUNNERS / "slot-1" / "bakery" / "journal.jsonl", "")

    then(monkeypatch, hand_in)
    take(data, copy)
    assert (copy / RUNNERS / "slot-1" / "bakery" / "journal.jsonl").read_text() == '{"id": "3EB0"}\n'


def test_a_snapshot_that_is_committed_meanwhile_is_whole_or_not_named(
    data: Data, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object comes first: with objects copied before the table this table would name one that is not there."""

    def commit() -> None:
        data.session("bakery", snapshots=(data.snapshot("bakery", b"a newer login"),))

    then(monkeypatch, commit)
    take(data, copy)
    original = copy_table

    def commit_before(source: Path, target: Path) -> None:
        data.session("bakery", snapshots=(data.snapshot("bakery", b"the newest login"),))
        original(source, target)

    monkeypatch.setattr("infrastructure.local.backup.data_copy.copy_table", commit_before)
    shutil.rmtree(copy)
    copy.mkdir()
    take(data, copy)


def test_a_mail_that_is_delivered_meanwhile_is_marked(data: Data, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = data_copy._Copy.immutable

    def link_and_deliver(self: data_copy._Copy, sources: object) -> None:
        original(self, sources)  # type: ignore[arg-type]
        data.file(OUTBOX / "relayed" / "b", "")

    data.file(OUTBOX / "000000000000002-b.json", "{}")
    monkeypatch.setattr(data_copy._Copy, "immutable", link_and_deliver)
    manifest = take(data, copy)
    assert {"ministack/outbox/000000000000002-b.json", "ministack/outbox/relayed/b"} <= set(manifest.files)


def test_a_file_that_disappears_meanwhile_is_left_out(data: Data, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = shutil.copyfile

    def vanish(source: Path, target: Path) -> None:
        if source.name == "keeper.json":
            raise FileNotFoundError(2, "gone", str(source))
        original(source, target)

    monkeypatch.setattr(shutil, "copyfile", vanish)
    assert "runners/slot-1/bakery/keeper.json" not in take(data, copy).files


def test_data_without_a_table_is_none(tmp_path: Path, copy: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(BackupFailed, match="There is no table"):
        copy_data(tmp_path / "data", copy, stack=STACK, commit="x", now_ms=lambda: 0)
    assert not (tmp_path / "data" / TABLE).exists()
