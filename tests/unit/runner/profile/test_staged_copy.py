"""A staged copy is of one instant: what its database never changes is linked, everything else is copied."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from runner.profile.manifest import MAX_FILES, SnapshotTooLarge
from runner.profile.staged_copy import CopyStopped, StagedCopy, copy_profile
from tests.unit.support.profile_files import CHROMIUM_DATABASE as DATABASE
from tests.unit.support.profile_files import make_profile

NOW_MS = 1_800_000_000_000
TABLE = f"{DATABASE}/000005.ldb"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return make_profile(tmp_path / "profile")


def add(profile: Path, name: str, age_seconds: float, content: bytes = b"table") -> Path:
    """Writes a file whose last change was so long before the freeze."""
    path = profile / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    ns = NOW_MS * 1_000_000 - int(age_seconds * 1e9)
    os.utime(path, ns=(ns, ns))
    return path


def staged(profile: Path, **more: Any) -> StagedCopy:
    return copy_profile(profile, profile.parent / "staging", lambda: True, frozen_at_ms=NOW_MS, **more)


def shares_content(profile: Path, name: str) -> bool:
    return (profile / name).stat().st_ino == (profile.parent / "staging" / name).stat().st_ino


def test_only_the_login_is_copied_without_locks_logs_links_or_caches(profile: Path) -> None:
    names = {each.path for each in staged(profile).files}
    assert names == {
        f"{DATABASE}/000003.log",
        f"{DATABASE}/CURRENT",
        "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob/1/00/2",
        "Default/Local Storage/leveldb/000004.ldb",
        "Default/Local Storage/leveldb/empty",
    }
    staging = profile.parent / "staging"
    assert all((staging / name).read_bytes() == (profile / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("name", "age_seconds", "linked"),
    [
        ("000005.ldb", 5.0, True),
        ("000005.ldb", 86_400.0, True),
        ("000005.ldb", 4.999, False),
        ("000005.ldb", 0.0, False),
        ("000005.ldb", -60.0, False),  # the clock was set back
        (".ldb", 60.0, True),
        ("000005.sst", 60.0, False),
        ("000005.ldb.tmp", 60.0, False),
        ("000005.LDB", 60.0, False),
        ("000005ldb", 60.0, False),
        ("000006.log", 60.0, False),
        ("MANIFEST-000001", 60.0, False),
        ("CURRENT", 60.0, False),
        ("unknown", 60.0, False),
    ],
)
def test_only_complete_tables_are_linked_and_everything_else_is_copied(
    profile: Path, name: str, age_seconds: float, linked: bool
) -> None:
    path = f"{DATABASE}/{name}"
    add(profile, path, age_seconds)
    copy = staged(profile)
    assert shares_content(profile, path) is linked
    assert (path in copy.linked) is linked


def test_what_is_linked_is_not_written_again(profile: Path) -> None:
    before = staged(profile)
    add(profile, TABLE, 60.0, b"t" * 1_000_000)
    after = copy_profile(profile, profile.parent / "again", lambda: True, frozen_at_ms=NOW_MS)
    assert after.copied_bytes == before.copied_bytes
    assert sum(each.size for each in after.files) == sum(each.size for each in before.files) + 1_000_000


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_no_link_can_be_made_the_file_is_copied(
    profile: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no link")

    add(profile, TABLE, 60.0)
    monkeypatch.setattr(os, "link", refuse)
    copy = staged(profile)
    assert copy.linked == {}
    assert not shares_content(profile, TABLE)
    assert (profile.parent / "staging" / TABLE).read_bytes() == b"table"


def test_a_file_that_changed_under_its_link_once_is_copied_from_then_on(profile: Path) -> None:
    add(profile, TABLE, 60.0)
    copy = staged(profile, never_link=frozenset({TABLE}))
    assert not shares_content(profile, TABLE) and TABLE not in copy.linked


def test_a_file_system_that_cannot_copy_within_itself_is_copied_by_hand(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    staged(profile)
    assert (profile.parent / "staging" / DATABASE / "000003.log").read_bytes() == b"keys " * 1000


def test_a_copy_that_takes_too_long_ends_at_the_next_step(profile: Path) -> None:
    steps = iter([True, True, False])
    with pytest.raises(CopyStopped):
        copy_profile(profile, profile.parent / "staging", lambda: next(steps), frozen_at_ms=NOW_MS)


def test_links_take_time_too(profile: Path) -> None:
    for number in range(10, 20):
        add(profile, f"{DATABASE}/0000{number}.ldb", 60.0)
    steps = iter([True] * 5)
    with pytest.raises(CopyStopped):
        copy_profile(profile, profile.parent / "staging", lambda: next(steps, False), frozen_at_ms=NOW_MS)


def test_a_profile_of_too_many_or_too_large_files_is_not_staged(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as smaller, pytest.raises(SnapshotTooLarge):
        smaller.setattr("runner.profile.staged_copy.MAX_UNPACKED_BYTES", 1_000_000)
        staged(profile)
    monkeypatch.setattr("runner.profile.staged_copy.MAX_FILES", 2)
    with pytest.raises(SnapshotTooLarge):
        copy_profile(profile, profile.parent / "again", lambda: True, frozen_at_ms=NOW_MS)
    assert MAX_FILES > 2
