"""One backup from the data to its place: whole or not there, read back, one at a time, seven kept."""

import fcntl
import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyrage
import pytest

from infrastructure.local.backup import BackupFailed, job
from infrastructure.local.backup.archive import unseal
from infrastructure.local.backup.data_copy import copy_data
from infrastructure.local.backup.deletions import Deletion, Ledger
from infrastructure.local.backup.job import Backups, installation_of
from infrastructure.local.backup.key import make_key
from infrastructure.local.backup.manifest import Manifest, check
from infrastructure.local.backup.names import DIGEST, backup_name, ledger_name
from infrastructure.local.backup.places import Folder, Source
from infrastructure.local.backup.status import read_status
from tests.unit.infrastructure.local.backup.conftest import STACK, Data


class Flaky(Folder):
    """A folder of which some calls fail, or whose disk changes a byte."""

    failing: tuple[str, ...] = ()
    flipped = False

    def _fail(self, call: str) -> None:
        if call in self.failing:
            raise BackupFailed(f"{call} failed")

    def names(self) -> list[str]:
        self._fail("names")
        return super().names()

    def write(self, name: str, source: Source) -> None:
        super().write(name, source)
        self._fail("write")
        if self.flipped and name.endswith(".age.partial"):
            with (self.directory / name).open("r+b") as file:
                file.seek(1_000)
                file.write(b"\x00\x01\x02\x03")

    def rename(self, old: str, new: str) -> None:
        self._fail("rename")
        super().rename(old, new)

    def remove(self, name: str) -> None:
        self._fail("remove")
        super().remove(name)


@pytest.fixture
def place(tmp_path: Path) -> Flaky:
    (tmp_path / "place").mkdir()
    return Flaky(tmp_path / "place")


@pytest.fixture
def secret(data: Data) -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.from_str(make_key(data.directory))


@pytest.fixture
def backups(data: Data, secret: pyrage.x25519.Identity, clock: Callable[[], int]) -> Backups:
    return Backups(data.directory, STACK, "0123456789ab", clock)


def whole(place: Folder) -> list[str]:
    return [name for name in place.names() if name.endswith(".age")]


def test_a_backup_is_whole_at_its_place_and_opens(
    backups: Backups, place: Flaky, data: Data, secret: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    status = backups.keep(place)
    assert place.names() == sorted([status.name, status.name + DIGEST, ledger_name(installation_of(data.directory))])
    assert status == read_status(data.directory)
    assert (status.place, status.problem, status.failures) == (str(place.directory), "", 0)
    assert status.size_bytes == (place.directory / status.name).stat().st_size
    (tmp_path / "opened").mkdir()
    unseal(place.directory / status.name, secret, tmp_path / "opened")
    assert "runners/slot-1/bakery/journal.jsonl" in check(tmp_path / "opened").files
    assert {path.name for path in (data.directory / "backup").iterdir()} == {
        "lock",
        "installation",
        "recipient",
        "status.json",
    }


def test_the_digest_is_checked_by_a_standard_tool(backups: Backups, place: Flaky) -> None:
    status = backups.keep(place)
    assert os.system(f"cd {place.directory} && sha256sum --check --quiet {status.name}{DIGEST}") == 0


def test_seven_nights_are_kept(backups: Backups, place: Flaky) -> None:
    for day in range(9):
        now = datetime(2026, 11, 1, 3, 15, tzinfo=UTC) + timedelta(days=day)
        replace(backups, now_ms=partial(round, now.timestamp() * 1000)).keep(place)
    names = whole(place)
    assert len(names) == 7 and "20261103" in names[0] and "20261109" in names[-1]
    assert len([name for name in place.names() if name.endswith(DIGEST)]) == 7


@pytest.mark.parametrize("call", ["names", "write", "rename"])
def test_a_failure_leaves_no_whole_name_and_costs_no_older_one(
    backups: Backups, place: Flaky, data: Data, call: str
) -> None:
    first = backups.keep(place)
    place.failing = (call,)
    for failures in (1, 2):
        with pytest.raises(BackupFailed, match=f"{call} failed"):
            backups.keep(place)
        status = read_status(data.directory)
        assert (status.failures, status.problem) == (failures, f"{call} failed")
        assert (status.at_ms, status.name) == (first.at_ms, first.name)
    place.failing = ()
    assert whole(place) == [first.name]
    assert not list((data.directory / "backup").glob("copy-*"))
    assert backups.keep(place).failures == 0
    assert not [name for name in place.names() if name.endswith(".partial")]


def test_a_place_that_changes_a_byte_is_found_out(backups: Backups, place: Flaky) -> None:
    place.flipped = True
    with pytest.raises(BackupFailed, match="gave back other bytes"):
        backups.keep(place)
    assert place.names() == []


def test_an_old_one_that_cannot_be_removed_is_a_problem_and_no_failure(backups: Backups, place: Flaky) -> None:
    old = [str(backup_name(installation_of(backups.data), datetime(2020, 1, day, tzinfo=UTC))) for day in range(1, 9)]
    for name in old:
        place.write(name, io.BytesIO(b"x"))
    place.failing = ("remove",)
    status = backups.keep(place)
    assert status.failures == 0 and "could not be removed" in status.problem and status.name in place.names()


def test_a_ledger_that_cannot_be_copied_is_a_problem_and_no_failure(
    backups: Backups, place: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [str(backup_name(installation_of(backups.data), datetime(2020, 1, day, tzinfo=UTC))) for day in range(1, 9)]
    for name in old:
        place.write(name, io.BytesIO(b"x"))
    with monkeypatch.context() as closed:
        closed.setattr(Ledger, "of_place", lambda *_: (_ for _ in ()).throw(BackupFailed("It belongs to root.")))
        place.write(ledger_name(installation_of(backups.data)), io.BytesIO(b""))
        status = backups.keep(place)
    assert (status.failures, status.at_ms > 0) == (0, True)
    assert status.problem.endswith("ledger of deletions could not be copied: It belongs to root.")
    assert status == read_status(backups.data)
    assert len(set(old) & set(place.names())) == 6, "older ones go all the same"
    assert backups.keep_ledger(place).problem == "" == read_status(backups.data).problem


def test_one_at_a_time(backups: Backups, place: Flaky, data: Data) -> None:
    held = os.open(data.directory / "backup" / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(BackupFailed, match="Another backup"):
            backups.keep(place)
        with pytest.raises(BackupFailed, match="Another backup"):
            backups.write(place, "x")
        assert read_status(data.directory).failures == 0, "the other one says how it went"
    finally:
        os.close(held)
    backups.write(place, "x")


def test_without_a_key_nothing_leaves_the_machine(data: Data, place: Flaky, clock: Callable[[], int]) -> None:
    with pytest.raises(BackupFailed, match="make backup-key"):
        Backups(data.directory, STACK, "x", clock).keep(place)
    assert place.names() == []


def test_without_room_nothing_is_copied(backups: Backups, place: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "ROOM_BYTES", 1 << 60)
    with pytest.raises(BackupFailed, match=r"too full to copy the table: make \d+ MiB of room"):
        backups.keep(place)


@pytest.mark.parametrize("exists", [True, False])
def test_a_directory_without_state_is_none(
    tmp_path: Path, place: Flaky, clock: Callable[[], int], exists: bool
) -> None:
    if exists:
        (tmp_path / "empty").mkdir()
        make_key(tmp_path / "empty")
    with pytest.raises(BackupFailed, match="holds no state"):
        Backups(tmp_path / "empty", STACK, "x", clock).keep(place)
    assert (tmp_path / "empty").exists() == exists


def test_the_copy_that_a_killed_backup_left_is_removed(backups: Backups, place: Flaky, data: Data) -> None:
    data.file("backup/copy-12345/operator.json", "{}")
    backups.keep(place)
    assert not list((data.directory / "backup").glob("copy-*"))


def test_a_copy_that_lacks_something_is_made_once_more(
    backups: Backups, place: Flaky, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []

    def copy_second(*args: Any, **kwargs: Any) -> Manifest:
        copies.append(1)
        if len(copies) == 1:
            raise BackupFailed("The copy lacks a snapshot")
        return copy_data(*args, **kwargs)

    monkeypatch.setattr(job, "copy_data", copy_second)
    backups.keep(place)
    assert len(copies) == 2
    monkeypatch.setattr(job, "copy_data", lambda *a, **k: (_ for _ in ()).throw(BackupFailed("lacks it again")))
    with pytest.raises(BackupFailed, match="lacks it again"):
        backups.keep(place)


def test_the_ledger_goes_along_and_keeps_what_only_the_place_knows(backups: Backups, place: Flaky, data: Data) -> None:
    name = ledger_name(installation_of(data.directory))
    there = Ledger(frozenset({Deletion("garage", 3)}))
    here = Ledger(frozenset({Deletion("bakery", 5)}))
    place.write(name, io.BytesIO(there.to_bytes()))
    data.file("ministack/s3/000000000000/answerline-local-data/deletions/bakery", here.to_bytes())
    status = backups.keep(place)
    assert Ledger.of_place(place, name) == there | here
    assert status.ledger_sha256 == here.sha256


def test_a_status_of_another_place_is_not_of_this_one(backups: Backups, place: Flaky, tmp_path: Path) -> None:
    backups.keep(place)
    (tmp_path / "new").mkdir()
    elsewhere = Flaky(tmp_path / "new")
    elsewhere.failing = ("write",)
    with suppress(BackupFailed):
        backups.keep(elsewhere)
    status = read_status(backups.data)
    assert (status.place, status.at_ms, status.failures) == (str(tmp_path / "new"), 0, 1)


def test_an_installation_keeps_its_name(data: Data) -> None:
    known = installation_of(data.directory)
    assert installation_of(data.directory) == known and len(known) == 8
    data.file("backup/installation", "damaged!")
    assert installation_of(data.directory) not in (known, "damaged!")
