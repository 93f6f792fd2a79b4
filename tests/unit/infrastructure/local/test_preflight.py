"""The data directory is closed to other users of the machine, and to git."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.checkout import REPOSITORY, checkout
from infrastructure.local import preflight
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


def test_git_never_sees_data_in_a_checkout_nor_what_a_restore_moves_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    git("init", "--quiet")
    monkeypatch.setattr(preflight, "REPOSITORY", tmp_path)
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    git("add", ".gitignore")
    git("-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "--message", "x")
    clean = checkout(tmp_path).commit
    for name in ("data", "data.before-20261128T031507Z", "data.restoring"):
        (tmp_path / name / "backup").mkdir(parents=True)
        (tmp_path / name / "backup" / "recipient").write_text("x")
    os.close(lock_data_directory(tmp_path / "elsewhere" / "data"))
    (tmp_path / "elsewhere" / "data").rename(tmp_path / "elsewhere" / "data.before-20261128T031507Z")
    assert git("status", "--porcelain") == "" and checkout(tmp_path).commit == clean


def test_a_data_directory_elsewhere_has_no_file_for_git(tmp_path: Path) -> None:
    os.close(lock_data_directory(tmp_path / "data"))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lock"]
