"""The room on the disk: the start refuses without it, and a running stack tells when it gets scarce."""

from pathlib import Path

import pytest

from infrastructure.local.settings import CannotStart
from infrastructure.local.table import room
from infrastructure.local.table.room import ROOM_TO_START_BYTES, ROOM_TO_STORE_BYTES, RoomWatch, check_room, free_bytes


def test_a_start_needs_room_and_says_how_much(tmp_path: Path) -> None:
    check_room(tmp_path, free=lambda directory: ROOM_TO_START_BYTES)
    with pytest.raises(CannotStart, match=r"Only 255 MiB are free .* 256 are needed: make room") as stopped:
        check_room(tmp_path, free=lambda directory: ROOM_TO_START_BYTES - 1)
    assert str(tmp_path) in str(stopped.value)


def test_the_room_of_a_directory_that_is_not_there_is_that_of_its_disk(tmp_path: Path) -> None:
    assert abs(free_bytes(tmp_path / "not" / "there") - free_bytes(tmp_path)) < 1 << 30


def test_a_change_is_told_once_with_what_it_means(tmp_path: Path) -> None:
    said, free = list[str](), [0]
    watch = RoomWatch(tmp_path, said.append, free=lambda directory: free[0])
    for free[0] in (
        *(ROOM_TO_START_BYTES, ROOM_TO_STORE_BYTES, ROOM_TO_STORE_BYTES - 1, 0, ROOM_TO_STORE_BYTES + 1),
        *(2 * ROOM_TO_STORE_BYTES - 1, 2 * ROOM_TO_STORE_BYTES, ROOM_TO_STORE_BYTES, 5),
    ):
        watch.look()
    assert [sentence.partition(" for ")[0] for sentence in said] == [
        "only 127 MiB are free",
        "256 MiB are free",
        "only 0 MiB are free",
    ]
    assert "make room" in said[0]
    assert "nothing stored is lost" in said[0]


def test_the_thread_looks_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOOK_EVERY_SECONDS", 0.0)
    looks = list[Path]()
    watch = RoomWatch(tmp_path, free=lambda directory: looks.append(directory) or ROOM_TO_START_BYTES)  # type: ignore[func-returns-value]
    watch.start()
    while len(looks) < 3:
        pass
    watch.stop()
    seen = len(looks)
    assert not watch._thread.is_alive()
    assert len(looks) == seen
