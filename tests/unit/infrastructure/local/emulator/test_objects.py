"""The files of the emulated S3: each change is synced before it is acknowledged, and none that the disk refused is."""

import os
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from infrastructure.local.emulator.objects import ObjectFiles


class Disk:
    """Notes what was synced."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.fails = False

    def sync(self, path: Path) -> None:
        if self.fails:
            raise OSError(5, "Input/output error")
        self.synced.append(path.name)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def files(disk: Disk) -> ObjectFiles:
    return ObjectFiles(disk.sync)


@pytest.fixture
def s3(files: ObjectFiles) -> Any:
    """A module that changes files as MiniStack's does."""
    module = ModuleType("s3")
    module.__dict__["os"] = os
    files.install(module)
    return module


def test_a_new_object_is_synced_with_every_directory_that_it_needs(
    s3: Any, files: ObjectFiles, disk: Disk, tmp_path: Path
) -> None:
    folder = tmp_path / "account" / "bucket"
    s3.os.makedirs(str(folder), exist_ok=True)
    s3._atomic_write(str(folder / "key"), b"body")
    s3._atomic_write(str(folder / "key.meta.json"), "{}", text=True)
    assert files.is_behind()
    files.flush()
    assert sorted(disk.synced) == sorted(["key", "key.meta.json", "bucket", "account", tmp_path.name])
    assert disk.synced.index("key") < disk.synced.index("bucket"), "a name must not lead to what is not there"
    assert not files.is_behind()
    assert (folder / "key").read_bytes() == b"body"
    assert (folder / "key").stat().st_mode & 0o077 == folder.stat().st_mode & 0o077 == 0


def test_a_replaced_file_is_synced_before_its_former_content_goes(s3: Any, disk: Disk, tmp_path: Path) -> None:
    s3._atomic_write(str(tmp_path / "key"), b"one")
    assert disk.synced == []
    s3._atomic_write(str(tmp_path / "key"), b"two")
    assert disk.synced == ["key.tmp"]


def test_a_deletion_is_synced(s3: Any, files: ObjectFiles, disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    s3.os.remove(str(tmp_path / "key"))
    files.flush()
    assert disk.synced == [tmp_path.name]


def test_an_object_that_the_disk_refuses_is_written_once_it_can_be(s3: Any, files: ObjectFiles, tmp_path: Path) -> None:
    missing = tmp_path / "full"
    s3._atomic_write(str(missing / "key"), b"one")
    s3._atomic_write(str(tmp_path / "later"), b"two")
    assert not (tmp_path / "later").exists(), "in their order: a record must not come before its body"
    for _ in range(2):
        assert files.is_behind()
        with pytest.raises(OSError, match="full"):
            files.flush()
    missing.mkdir()
    files.flush()
    assert ((missing / "key").read_bytes(), (tmp_path / "later").read_bytes()) == (b"one", b"two")
    assert not files.is_behind()


def test_the_newest_of_two_refused_contents_counts(s3: Any, files: ObjectFiles, tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        s3._atomic_write(str(tmp_path / "full" / "key"), content)
    (tmp_path / "full").mkdir()
    files.flush()
    assert (tmp_path / "full" / "key").read_bytes() == b"two"


def test_a_sync_that_fails_stays_due(s3: Any, files: ObjectFiles, disk: Disk, tmp_path: Path) -> None:
    s3._atomic_write(str(tmp_path / "key"), b"body")
    disk.fails = True
    with pytest.raises(OSError, match="Input/output"):
        files.flush()
    assert files.is_behind()
    disk.fails = False
    files.flush()
    assert disk.synced == ["key", tmp_path.name]


def test_a_flush_waits_for_the_one_under_way(tmp_path: Path) -> None:
    """Else it would find nothing to do, and acknowledge what the other one has not synced yet."""
    reached, go_on, order = threading.Event(), threading.Event(), list[str]()

    def sync(path: Path) -> None:
        reached.set()
        assert go_on.wait(10)
        order.append(path.name)

    files = ObjectFiles(sync)
    files.write(str(tmp_path / "key"), b"body")
    first = threading.Thread(target=files.flush)
    first.start()
    assert reached.wait(10)
    assert files.is_behind()

    def acknowledge() -> None:
        files.flush()
        order.append("acknowledged")

    second = threading.Thread(target=acknowledge)
    second.start()
    go_on.set()
    for thread in (first, second):
        thread.join(10)
    assert order == ["key", tmp_path.name, "acknowledged"]
