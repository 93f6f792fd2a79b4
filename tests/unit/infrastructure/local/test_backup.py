"""Backup and restore: the newest whole checkpoint and the profiles, into an empty place, and never by halves."""

import json
from pathlib import Path

import pytest

from infrastructure.local import backup
from infrastructure.local.emulator.checkpoints import Checkpoints
from infrastructure.local.settings import CannotStart


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    checkpoints = Checkpoints(data / "ministack" / "generations")
    for value in (1, 2):

        def fill(directory: Path, value: int = value) -> None:
            (directory / "state.json").write_text(json.dumps(value))

        checkpoints.write(fill)
    checkpoints.mark_clean_stop()
    for name, text in {
        "runners/slot-1/tenant/current/Default/IndexedDB/000003.log": "profile",
        "runners/slot-1/tenant/current/Default/Cache/data_0": "cache",
        "runners/slot-1/process.json": "{}",
        "ministack/s3/000000000000/bucket/key": "object",
        "logs/functions.log": "log",
        "lock": "",
    }.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return data


def test_a_backup_comes_back_whole_without_what_belongs_to_a_process(data: Path, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "b.tar.gz", tmp_path / "elsewhere"
    assert "checkpoint 2" in backup.back_up(data, file)
    assert file.stat().st_mode & 0o077 == 0
    backup.restore(elsewhere, file)
    assert (elsewhere / "runners/slot-1/tenant/current/Default/IndexedDB/000003.log").read_text() == "profile"
    assert (elsewhere / "ministack/s3/000000000000/bucket/key").read_text() == "object"
    for gone in ("logs", "runners/slot-1/process.json", "runners/slot-1/tenant/current/Default/Cache"):
        assert not (elsewhere / gone).exists()
    state = Checkpoints(elsewhere / "ministack" / "generations")
    newest = state.newest()
    assert newest is not None
    assert newest.number == 2
    assert not state.stopped_cleanly(), "others may have worked since: epochs must leap"


def test_nothing_is_restored_over_something(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    backup.back_up(data, file)
    with pytest.raises(CannotStart, match="is not empty"):
        backup.restore(data, file)


def test_a_directory_without_state_cannot_be_backed_up(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="holds no state"):
        backup.back_up(tmp_path, tmp_path / "b.tar.gz")


def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").write_text("hello")
    with pytest.raises(CannotStart, match="cannot be unpacked"):
        backup.restore(tmp_path / "data", tmp_path / "b.tar.gz")
    with pytest.raises(CannotStart, match="There is no file"):
        backup.restore(tmp_path / "data", tmp_path / "missing")
