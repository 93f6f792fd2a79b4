"""A disk that fills up hosts and saves nothing new, and is told from every other disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from runner import disk as disk_module
from runner.disk import ROOM_TO_HOST_BYTES, ROOM_TO_PACK_BYTES, ROOM_TO_SAVE_BYTES, ROOM_TO_WRITE_BYTES, Disk
from runner.log_events import LogEvent

PLENTY = 1 << 40


@pytest.mark.parametrize(
    ("free", "saves", "hosts"),
    [(ROOM_TO_HOST_BYTES, True, 8), (ROOM_TO_HOST_BYTES - 1, True, 0), (ROOM_TO_SAVE_BYTES - 1, False, 0)],
)
def test_a_disk_that_fills_up_saves_and_hosts_nothing_new_and_logs_it_once(
    free: int, saves: bool, hosts: int, tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    room = [free]
    disk = Disk(tmp_path, lambda _directory: room[0])  # type: ignore[arg-type]
    with caplog.at_level("INFO", logger="runner"):
        for _ in range(3):
            assert (disk.has_room_to_save(), disk.capacity(8)) == (saves, hosts)
        logged = [record.message for record in caplog.records]
        assert logged == [LogEvent.DISK_NEARLY_FULL] * ((not saves) + (hosts == 0))
        room[0] = 1 << 40
        assert (disk.has_room_to_save(), disk.capacity(8)) == (True, 8)
        assert [record.message for record in caplog.records[len(logged) :]] == [LogEvent.DISK_RECOVERED] * len(logged)


@pytest.mark.parametrize(
    ("free", "full"),
    [
        (PLENTY, False),
        (ROOM_TO_HOST_BYTES - 1, False),
        (ROOM_TO_SAVE_BYTES, False),
        (ROOM_TO_SAVE_BYTES - 1, True),
        (ROOM_TO_WRITE_BYTES - 1, True),
        (0, True),
    ],
)
def test_sessions_should_leave_a_disk_that_has_no_room_for_snapshots(free: int, full: bool, tmp_path: Path) -> None:
    assert Disk(tmp_path, lambda _: free).is_full() is full


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_writes_is_full_until_it_takes_one(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "no")

    disk = Disk(tmp_path, lambda _: PLENTY)
    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "write_bytes", refuse)
        assert not disk.is_full(), "nothing was refused yet"
        disk.refused_write()
        assert (disk.is_full(), disk.capacity(8)) == (True, 0)
        assert disk.is_full()
    assert (disk.is_full(), disk.capacity(8)) == (False, 8)
    assert list(tmp_path.iterdir()) == []


def test_runners_on_one_disk_name_it_alike_and_others_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slot-1").mkdir()
    (tmp_path / "slot-2").mkdir()
    first, second = Disk(tmp_path / "slot-1"), Disk(tmp_path / "slot-2")
    assert first.identity == second.identity != ""
    shared_memory = Path("/dev/shm")
    assert Disk(shared_memory).identity not in ("", first.identity)
    here = first.identity
    other = tmp_path / "boot_id"
    other.write_text("another machine")
    monkeypatch.setattr(disk_module, "BOOT_ID", other)
    assert Disk(tmp_path / "slot-1").identity not in ("", here), "another machine's disk has the same number"


def test_a_disk_that_cannot_be_identified_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Disk(tmp_path / "missing").identity == ""
    monkeypatch.setattr(disk_module, "BOOT_ID", tmp_path / "none")
    assert Disk(tmp_path).identity == ""


def test_a_snapshot_is_packed_and_restored_only_if_it_leaves_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path, lambda _directory: ROOM_TO_PACK_BYTES + 2_000)
    assert disk.has_room_to_pack()
    assert (disk.has_room_to_restore(1_000), disk.has_room_to_restore(1_001)) == (True, False)
    assert not Disk(tmp_path, lambda _directory: ROOM_TO_PACK_BYTES - 1).has_room_to_pack()
