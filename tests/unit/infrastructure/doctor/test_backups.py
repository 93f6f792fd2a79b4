"""The doctor on backups: red without a place, without a key, without one, and after 26 hours."""

from pathlib import Path

import pytest

from infrastructure.checks import State
from infrastructure.doctor.backups import SAME_DISK, check_backups
from infrastructure.local.backup.key import RECIPIENT, make_key
from infrastructure.local.backup.status import Status, write_status

NOW = 1_796_000_000_000
HOUR = 3_600_000


def found(data: Path) -> list[tuple[State, str, str]]:
    results = check_backups(data, NOW)
    assert not [result for result in results if result.state is State.BAD and result.blocks]
    return [(result.state, result.subject, result.fix) for result in results]


def status(data: Path, hours: float, problem: str = "") -> None:
    made = Status(place="sftp://b.example.com/x", problem=problem).succeeded("x", 12_300_000, NOW - round(hours * HOUR))
    write_status(data, made if not problem else made.failed(problem, NOW))


def test_no_place_and_no_key_are_red(tmp_path: Path) -> None:
    (place, key) = found(tmp_path)
    assert place[:2] == (State.BAD, "no place for backups") and "BACKUP_TO=" in place[2]
    assert key[:2] == (State.BAD, "no key for backups") and "make backup-key" in key[2]
    status(tmp_path, 1)
    assert [each[1] for each in found(tmp_path)] == ["no key for backups"]


@pytest.mark.parametrize(
    ("problem", "fix"), [("", "`make backup` takes one now"), ("the disk is full", "the disk is full")]
)
def test_no_backup_is_red(tmp_path: Path, problem: str, fix: str) -> None:
    make_key(tmp_path)
    write_status(tmp_path, Status(place="/b", problem=problem))
    ((state, subject, said),) = found(tmp_path)
    assert (state, subject) == (State.BAD, "no backup yet at /b") and said.endswith(fix)


def test_only_a_log_that_is_there_is_named(tmp_path: Path) -> None:
    make_key(tmp_path)
    write_status(tmp_path, Status(place="/b"))
    assert "backup.log" not in found(tmp_path)[0][2]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "backup.log").write_text("x")
    assert found(tmp_path)[0][2] == f"see {tmp_path / 'logs/backup.log'}"


def test_a_key_that_cannot_be_used_is_not_a_missing_one(tmp_path: Path) -> None:
    make_key(tmp_path)
    status(tmp_path, 1)
    (tmp_path / RECIPIENT).write_text("damaged")
    ((state, subject, fix),) = found(tmp_path)
    assert (state, subject) == (State.BAD, "the key for backups cannot be used") and "is damaged" in fix


def test_the_place_of_the_settings_counts(tmp_path: Path) -> None:
    make_key(tmp_path)
    (result,) = check_backups(tmp_path, NOW, "/new")
    assert result.subject == "no backup yet at /new", "of a place that nothing was tried at"
    status(tmp_path, 1)
    assert check_backups(tmp_path, NOW, "/new")[0].state is State.BAD
    assert check_backups(tmp_path, NOW, "sftp://b.example.com/x")[0].state is State.OK


@pytest.mark.parametrize(
    ("hours", "problem", "state"),
    [
        (3, "", State.OK),
        (26, "", State.OK),
        (26.1, "", State.BAD),
        (240, "", State.BAD),
        (3, "away", State.UNKNOWN),
        (27, "away", State.BAD),
    ],
)
def test_the_age_the_size_the_place_and_that_it_restores(
    tmp_path: Path, hours: float, problem: str, state: State
) -> None:
    make_key(tmp_path)
    status(tmp_path, hours, problem)
    ((seen, subject, fix),) = found(tmp_path)
    assert seen is state
    assert f"backup of {int(hours)} h ago, 12.3 MB at sftp://b.example.com/x" in subject
    assert ("it restores" in subject) == (state is not State.BAD)
    assert problem in fix


def test_a_place_on_the_same_disk_is_named(tmp_path: Path) -> None:
    make_key(tmp_path)
    write_status(tmp_path, Status(place=str(tmp_path)).succeeded("x", 1, NOW - 60_000))
    ((seen, subject, _),) = found(tmp_path)
    assert seen is State.OK and SAME_DISK in subject and "1 min ago" in subject
