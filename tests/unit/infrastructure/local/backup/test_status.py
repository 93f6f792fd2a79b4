"""The status of the backups on disk, and what the admin reads of it."""

import json
from pathlib import Path

import pytest

from infrastructure.local.backup.status import STATUS, Status, read_status, write_status


def test_a_status_is_read_back_by_this_user_alone(tmp_path: Path) -> None:
    status = Status("/backups", "x.age", 5, 7, 6, "ä problem", 2, 9, True, "ab")
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status
    assert (tmp_path / STATUS).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"at_ms": "soon"}', '{"mailed": 1}', '"x"'])
def test_a_status_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / STATUS).parent.mkdir()
    (tmp_path / STATUS).write_text(content)
    assert read_status(tmp_path) == Status()
    assert read_status(tmp_path / "missing") == Status()


def test_a_status_of_a_later_release_is_read(tmp_path: Path) -> None:
    (tmp_path / STATUS).parent.mkdir()
    (tmp_path / STATUS).write_text('{"place": "/b", "at_ms": 3, "colour": "red"}')
    assert read_status(tmp_path) == Status(place="/b", at_ms=3)


def test_of_another_place_nothing_is_known() -> None:
    status = Status(place="/old", at_ms=5, name="x")
    assert status.at("/new") == Status(place="/new")
    assert status.at("/old") is status


def test_the_admin_reads_five_things_in_one_parameter() -> None:
    status = Status("/b", "x.age", 5, 7, 6, "é" * 5_000, 1, 8)
    text = status.for_admin()
    assert len(text.encode()) <= 4_000
    assert json.loads(text) == {"place": "/b", "at_ms": 5, "bytes": 7, "verified_at_ms": 6, "problem": "é" * 500}
    assert json.loads(Status().for_admin("no key"))["problem"] == "no key"
