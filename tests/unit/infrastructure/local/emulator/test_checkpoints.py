"""Checkpoints: whole or absent, three of them, and never a silent step back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.local.emulator.checkpoints import CHECKPOINTS_KEPT, Checkpoints, CheckpointUnreadable


def holding(value: int) -> Callable[[Path], None]:
    def fill(directory: Path) -> None:
        (directory / "state.json").write_text(json.dumps({"value": value}))

    return fill


def value_of(checkpoints: Checkpoints) -> int:
    newest = checkpoints.newest()
    assert newest is not None
    return int(json.loads((newest.directory / "state.json").read_text())["value"])


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def test_there_is_no_checkpoint_at_first(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    assert checkpoints.stopped_cleanly()


def test_the_newest_is_read_and_the_oldest_forgotten(checkpoints: Checkpoints) -> None:
    for value in range(5):
        checkpoints.write(holding(value))
    assert value_of(checkpoints) == 4
    assert [each.number for each in checkpoints.all()] == [5, 4, 3][:CHECKPOINTS_KEPT]


def test_a_write_that_fails_leaves_the_one_before(checkpoints: Checkpoints) -> None:
    checkpoints.write(holding(1))

    def fail(directory: Path) -> None:
        holding(2)(directory)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoints.write(fail)
    assert value_of(checkpoints) == 1
    checkpoints.write(holding(3))
    assert value_of(checkpoints) == 3
    assert not list(checkpoints.directory.glob("unfinished-*"))


@pytest.mark.parametrize("damage", ["{", '{"value": 8}', ""])
def test_a_newest_that_is_not_as_written_is_refused_with_recovery_advice(checkpoints: Checkpoints, damage: str) -> None:
    checkpoints.write(holding(1))
    newest = checkpoints.write(holding(2))
    (newest.directory / "state.json").write_text(damage)
    with pytest.raises(CheckpointUnreadable, match=r"checkpoint 2 does not parse \(state\.json.*make up GENERATION=1"):
        checkpoints.newest()


def test_a_missing_file_is_noticed(checkpoints: Checkpoints) -> None:
    newest = checkpoints.write(holding(1))
    (newest.directory / "state.json").unlink()
    with pytest.raises(CheckpointUnreadable, match="make restore"):
        checkpoints.newest()


def test_rolling_back_keeps_the_newer_one_aside_and_counts_as_unclean(checkpoints: Checkpoints) -> None:
    checkpoints.write(holding(1))
    checkpoints.write(holding(2))
    checkpoints.mark_clean_stop()
    checkpoints.roll_back_to(1)
    assert value_of(checkpoints) == 1
    assert not checkpoints.stopped_cleanly()
    assert (checkpoints.directory / "aside-2" / "state.json").exists()
    assert checkpoints.write(holding(3)).number == 3


def test_rolling_back_to_an_unknown_checkpoint_lists_the_known_ones(checkpoints: Checkpoints) -> None:
    checkpoints.write(holding(1))
    with pytest.raises(CheckpointUnreadable, match="there is no checkpoint 7; there are: 1"):
        checkpoints.roll_back_to(7)


def test_a_stop_is_clean_only_if_it_was_marked(checkpoints: Checkpoints) -> None:
    checkpoints.write(holding(1))
    assert not checkpoints.stopped_cleanly()
    checkpoints.mark_clean_stop()
    assert checkpoints.stopped_cleanly()
    checkpoints.clear_clean_stop()
    assert not checkpoints.stopped_cleanly()
