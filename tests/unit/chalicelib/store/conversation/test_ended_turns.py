"""The counts of turns that ended, in windows, on every engine of the table."""

import pytest

from chalicelib.model import milliseconds
from chalicelib.model.turn_rules.outcomes import WINDOW, TurnOutcomes
from chalicelib.store.conversation.ended_turns import SHARDS, EndedTurns
from chalicelib.store.table import Table, Update

BEGIN = 1_790_000_000_000 // milliseconds(WINDOW) * milliseconds(WINDOW)


def test_turns_of_all_tenants_are_counted_together(table: Table) -> None:
    turns = EndedTurns(table)
    assert turns.lately(BEGIN) == TurnOutcomes(0, 0)
    for number in range(30):
        turns.count(f"tenant{number:04}", BEGIN, ended=True, given_up=number % 3 == 0)
    turns.count("tenant0000", BEGIN, given_up=True)
    assert turns.lately(BEGIN) == TurnOutcomes(30, 11)


@pytest.mark.parametrize(
    ("later", "counted"), [(0, 1), (1, 1), (2 * milliseconds(WINDOW) - 1, 1), (2 * milliseconds(WINDOW), 0)]
)
def test_lately_is_this_window_and_the_one_before(table: Table, later: int, counted: int) -> None:
    turns = EndedTurns(table)
    turns.count("hotel000", BEGIN, ended=True)
    assert turns.lately(BEGIN + later).ended == counted


def test_no_key_gets_every_write_and_a_count_outlives_its_use(table: Table) -> None:
    turns = EndedTurns(table)
    for number in range(100):
        turns.count(f"tenant{number:04}", BEGIN, ended=True)
    items = [item for shard in range(SHARDS) for item in table.query(f"TURNS#{shard}")]
    assert len(items) == SHARDS and max(item["ended"] for item in items) < 30
    assert {item["expires_at"] for item in items} == {(BEGIN + 3 * milliseconds(WINDOW)) // 1000}


def test_a_count_that_cannot_be_read_is_left_out(table: Table) -> None:
    turns = EndedTurns(table)
    for number in range(30):
        turns.count(f"tenant{number:04}", BEGIN, ended=True)
    (item, *_) = table.query("TURNS#0")
    table.update(Update(item["pk"], item["sk"], set={"ended": "many"}))
    assert turns.lately(BEGIN).ended == 30 - item["ended"]
