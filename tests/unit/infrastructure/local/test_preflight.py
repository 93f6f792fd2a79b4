"""The data directory is closed to other users of the machine."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.preflight import lock_data_directory


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_what_an_earlier_release_left_open_is_closed(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    outside.write_text("theirs")
    (data / "ministack" / "s3").mkdir(parents=True)
    for name, given in (("object", 0o644), ("program", 0o755), ("sealed", 0o400)):
        path = data / "ministack" / "s3" / name
        path.touch()
        path.chmod(given)
    (data / "link").symlink_to(outside)
    (data / "nowhere").symlink_to(tmp_path / "missing")
    os.close(lock_data_directory(data))
    modes = {path.name: mode(path) for path in data.rglob("*") if not path.is_symlink()}
    assert modes == {
        "ministack": "0o700", "s3": "0o700", "object": "0o600", "program": "0o700", "sealed": "0o400", "lock": "0o600"
    }  # fmt: skip
    assert (mode(data), mode(outside)) == ("0o700", "0o644")


def test_what_is_written_from_then_on_is_closed_too(tmp_path: Path) -> None:
    os.close(lock_data_directory(tmp_path / "data"))
    (tmp_path / "data" / "runners").mkdir()
    (tmp_path / "data" / "stack.json").write_text("{}")
    assert mode(tmp_path / "data" / "runners") == "0o700"
    assert mode(tmp_path / "data" / "stack.json") == "0o600"
