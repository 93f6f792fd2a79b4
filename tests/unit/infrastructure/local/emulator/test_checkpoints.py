"""Generations: whole or absent, three of them, and never a silent step back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.local.emulator.checkpoints import KEPT, Generations, Unreadable


def holding(value: int) -> Callable[[Path], None]:
    def fill(directory: Path) -> None:
        (directory / "state.json").write_text(json.dumps({"value": value}))

    return fill


def value_of(generations: Generations) -> int:
    newest = generations.newest()
    assert newest is not None
    return int(json.loads((newest.directory / "state.json").read_text())["value"])


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    return Generations(tmp_path)


def test_there_is_no_generation_at_first(generations: Generations) -> None:
    assert generations.newest() is None
    assert generations.stopped_cleanly()


def test_the_newest_is_read_and_the_oldest_forgotten(generations: Generations) -> None:
    for value in range(5):
        generations.write(holding(value))
    assert value_of(generations) == 4
    assert [each.number for each in generations.all()] == [5, 4, 3][:KEPT]


def test_a_write_that_fails_leaves_the_one_before(generations: Generations) -> None:
    generations.write(holding(1))

    def fail(directory: Path) -> None:
        holding(2)(directory)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        generations.write(fail)
    assert value_of(generations) == 1
    generations.write(holding(3))
    assert value_of(generations) == 3
    assert not list(generations.directory.glob("unfinished-*"))


@pytest.mark.parametrize("damage", ["{", '{"value": 8}', ""])
def test_a_newest_that_is_not_as_written_is_refused_with_the_way_out(generations: Generations, damage: str) -> None:
    generations.write(holding(1))
    newest = generations.write(holding(2))
    (newest.directory / "state.json").write_text(damage)
    with pytest.raises(Unreadable, match=r"generation 2 does not parse \(state\.json.*make up GENERATION=1"):
        generations.newest()


def test_a_missing_file_is_noticed(generations: Generations) -> None:
    newest = generations.write(holding(1))
    (newest.directory / "state.json").unlink()
    with pytest.raises(Unreadable, match="make restore"):
        generations.newest()


def test_going_back_keeps_the_newer_one_aside_and_counts_as_unclean(generations: Generations) -> None:
    generations.write(holding(1))
    generations.write(holding(2))
    generations.mark_clean_stop()
    generations.go_back_to(1)
    assert value_of(generations) == 1
    assert not generations.stopped_cleanly()
    assert (generations.directory / "aside-2" / "state.json").exists()
    assert generations.write(holding(3)).number == 3


def test_going_back_to_what_is_not_there_names_what_is(generations: Generations) -> None:
    generations.write(holding(1))
    with pytest.raises(Unreadable, match="there is no generation 7; there are: 1"):
        generations.go_back_to(7)


def test_a_stop_is_clean_only_if_it_was_marked(generations: Generations) -> None:
    generations.write(holding(1))
    assert not generations.stopped_cleanly()
    generations.mark_clean_stop()
    assert generations.stopped_cleanly()
    generations.forget_clean_stop()
    assert not generations.stopped_cleanly()
