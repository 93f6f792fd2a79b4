"""A restore before its stores start: which backup is meant, and everything that stops it and changes nothing.

That a restored backup works is tested in tests/contract/test_local_restore.py, on the real stores.
"""

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.archive import sealed
from infrastructure.local.backup.data_copy import copy_data
from infrastructure.local.backup.deletions import Deletion, Ledger
from infrastructure.local.backup.job import Backups
from infrastructure.local.backup.key import make_key
from infrastructure.local.backup.manifest import MANIFEST, describe
from infrastructure.local.backup.names import DIGEST, backup_name, ledger_name
from infrastructure.local.backup.places import Folder
from infrastructure.local.backup.restore import Request, find, known_deletions, restore
from infrastructure.local.preflight import lock_data_directory
from infrastructure.local.settings import CannotStart, Settings
from tests.unit.infrastructure.local.backup.conftest import STACK, Data

GONE = Ledger(frozenset({Deletion("garage", 3)}))


class Scene:
    """A backup at a place, and the key that opens it."""

    def __init__(self, data: Data, directory: Path, clock: Callable[[], int]) -> None:
        self.target = directory / "restored"
        self.key = directory / "key.txt"
        self.key.write_text(make_key(data.directory))
        (directory / "place").mkdir()
        self.place = Folder(directory / "place")
        self.name = Backups(data.directory, STACK, "0123456789ab", clock).keep(self.place).name
        self.file = self.place.directory / self.name

    def refused(self, match: str, source: str | None = None, **changes: object) -> None:
        """Expects that nothing is restored and nothing is left behind, for this reason."""
        before = sorted(self.target.rglob("*")) if self.target.exists() else None
        request = replace(Request(source or str(self.file), self.key), **changes)  # type: ignore[arg-type]
        with pytest.raises((BackupFailed, CannotStart), match=match):
            restore(Settings(data=self.target), request, {})
        assert (sorted(self.target.rglob("*")) if self.target.exists() else None) == before
        assert not [path for path in self.target.parent.iterdir() if path.name.startswith("restored.")]


@pytest.fixture
def scene(data: Data, tmp_path: Path, clock: Callable[[], int]) -> Scene:
    return Scene(data, tmp_path, clock)


def test_a_file_a_folder_and_an_address_name_a_backup(scene: Scene) -> None:
    newer = str(backup_name(scene.name.split("-")[1], datetime(2040, 1, 1, tzinfo=UTC)))
    (scene.place.directory / newer).touch()
    assert find(str(scene.file), {}).name == scene.name
    assert find(str(scene.place.directory), {}).name == newer
    source = find(f"sftp://me@b.example.com/x/{scene.name}", {})
    assert (source.name, source.place.label) == (scene.name, "sftp://b.example.com/x")


def test_a_source_that_is_none_is_a_sentence(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="Say which backup"):
        find("", {})
    with pytest.raises(BackupFailed, match="There is no file"):
        find(str(tmp_path / "missing"), {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackupFailed, match="There is no backup at"):
        find(str(tmp_path / "empty"), {})
    (scene.place.directory / str(backup_name("00000001", datetime(2026, 1, 1, tzinfo=UTC)))).touch()
    with pytest.raises(BackupFailed, match="several machines: name one, such as answerline-00000001-2026"):
        find(str(scene.place.directory), {})


def test_it_needs_the_key_of_its_time(scene: Scene, tmp_path: Path) -> None:
    scene.refused("Say which key", key=None)
    scene.refused("cannot be read", key=tmp_path / "missing")
    other = tmp_path / "other"
    other.write_text(str(pyrage.x25519.Identity.generate()))
    scene.refused("sealed for another key", key=other)


def test_a_damaged_file_is_found_by_the_digest_beside_it(scene: Scene) -> None:
    content = bytearray(scene.file.read_bytes())
    content[-30] ^= 1
    scene.file.write_bytes(content)
    scene.refused("its digest is another one")


def test_a_damaged_file_that_came_alone_is_found_by_its_seal(scene: Scene) -> None:
    content = bytearray(scene.file.read_bytes())
    content[-30] ^= 1
    scene.file.write_bytes(content)
    (scene.place.directory / (scene.name + DIGEST)).unlink()
    scene.refused("damaged")


def resealed(scene: Scene, data: Data, tmp_path: Path, change: Callable[[Path], None], *, describe_again: bool) -> None:
    """Replaces the backup by one whose content was changed."""
    copy = tmp_path / "changed"
    copy.mkdir()
    copy_data(data.directory, copy, stack=STACK, commit="x", now_ms=lambda: 5)
    change(copy)
    if describe_again:
        (copy / MANIFEST).unlink()
        describe(copy, commit="x", taken_at=5).write(copy)
    recipient = str(pyrage.x25519.Identity.from_str(scene.key.read_text()).to_public())
    with sealed(copy, recipient) as stream, scene.file.open("wb") as file:
        while chunk := stream.read(1 << 16):
            file.write(chunk)
    (scene.place.directory / (scene.name + DIGEST)).unlink()


def test_every_file_must_be_as_the_manifest_says(scene: Scene, data: Data, tmp_path: Path) -> None:
    def change(copy: Path) -> None:
        (copy / "operator.json").write_text("[]")

    resealed(scene, data, tmp_path, change, describe_again=False)
    scene.refused("the digest of operator.json differs")


def test_the_table_must_be_in_order(scene: Scene, data: Data, tmp_path: Path) -> None:
    def damage(copy: Path) -> None:
        with (copy / "table" / "answerline.db").open("r+b") as file:
            file.seek(4_096)
            file.write(b"\xff" * 512)

    resealed(scene, data, tmp_path, damage, describe_again=True)
    scene.refused("The copy of the table is damaged")


def test_the_snapshots_of_the_table_must_be_there(scene: Scene, data: Data, tmp_path: Path) -> None:
    def lose(copy: Path) -> None:
        for path in copy.rglob("*.tar.zst"):
            path.unlink()

    resealed(scene, data, tmp_path, lose, describe_again=True)
    scene.refused("lacks a snapshot that the table names")


def test_a_later_format_is_refused_with_the_release_that_reads_it(scene: Scene, data: Data, tmp_path: Path) -> None:
    def later(copy: Path) -> None:
        manifest = json.loads((copy / MANIFEST).read_text())
        (copy / MANIFEST).write_text(json.dumps({**manifest, "format": 99, "commit": "abcdef"}))

    resealed(scene, data, tmp_path, later, describe_again=False)
    scene.refused(r"format 99, and this release reads 2: check out the release that made it \(abcdef\)")


def test_a_running_stack_is_not_restored_over(scene: Scene) -> None:
    held = lock_data_directory(scene.target)
    try:
        scene.refused("Another Answerline already runs")
    finally:
        os.close(held)


@pytest.mark.parametrize("content", [b"hello", b"\x1f\x8b\x08\x00"])
def test_a_file_that_is_no_backup_is_refused(scene: Scene, content: bytes) -> None:
    for name in ("b.tar.gz", "b.age"):
        (scene.place.directory / name).write_bytes(content)
        scene.refused("cannot be unpacked|no sealed backup", source=str(scene.place.directory / name))


# -- the ledger -----------------------------------------------------------------------------------------------------


def test_without_a_ledger_from_outside_nothing_is_restored(scene: Scene, tmp_path: Path) -> None:
    """The backup's own one does not know of what came after it."""
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / scene.name).write_bytes(scene.file.read_bytes())
    scene.refused("No ledger of deletions was found", source=str(alone / scene.name))


def test_a_damaged_ledger_stops_a_restore(scene: Scene) -> None:
    damaged = scene.place.directory / ledger_name("00000001")
    damaged.write_text("half a li")
    scene.refused("ledger of deletions .* is damaged")
    damaged.unlink()
    scene.refused("cannot be read", ledger=str(scene.place.directory / "missing"))
    scene.refused("mount its disk", backup_to=str(scene.place.directory / "unmounted"))


def test_deletions_are_known_from_every_place(scene: Scene, data: Data, tmp_path: Path) -> None:
    def known(**changes: object) -> set[str]:
        request = replace(Request(str(scene.file), scene.key), **changes)  # type: ignore[arg-type]
        return set(known_deletions(scene.place, request, data.directory, {}).tenants)

    assert known() == set()
    (tmp_path / "backups").mkdir()
    for number, place in enumerate([scene.place, Folder(tmp_path / "backups")]):
        ledger = Ledger(frozenset({Deletion(f"place{number}", 1)}))
        place.write(ledger_name(f"0000000{number}"), io.BytesIO(ledger.to_bytes()))
    data.file("ministack/s3/000000000000/b/deletions/here", Ledger(frozenset({Deletion("here", 1)})).to_bytes())
    (tmp_path / "ledger").write_bytes(GONE.to_bytes())
    assert known() == {"place0", "here"}
    assert known(backup_to=str(tmp_path / "backups")) == {"place0", "place1", "here"}
    assert known(ledger=str(tmp_path / "ledger")) == {"place0", "here", "garage"}
    assert known(ledger="none") == set()
