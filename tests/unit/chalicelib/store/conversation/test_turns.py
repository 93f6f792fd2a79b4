"""Turns: which write is accepted in which state; each is fenced against another process."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chalicelib.model import SkipReason, Turn, TurnState
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.table import Update
from tests.unit.support.racing_table import RacingTable
from tests.unit.support.stored_turn import CHAT, EPOCH, KEY, NOW, RUNNER, TURN, a_message, item, stored, table, turns

__all__ = ["table", "turns"]

#: The last one is what a later release may write: no write of ours touches it.
STATES = tuple(TurnState)
UNSENT = {TurnState.THINKING, TurnState.READY, TurnState.WAITING}
#: Each write of an open turn: what it does, the states in which it may, and whether a changed batch fences it.
WRITES: dict[str, tuple[Callable[[Turns, Turn], object], set[TurnState]]] = {
    "store a text": (lambda turns, turn: turns.store_text(turn, ("Yes.",), NOW), {TurnState.THINKING}),
    "postpone": (
        lambda turns, turn: turns.postpone(turn, TurnState.WAITING, due_at=NOW, attempts=1, reason="key_revoked"),
        {TurnState.THINKING},
    ),
    "withdraw": (lambda turns, turn: turns.withdraw(turn, NOW), UNSENT),
    "fold in": (lambda turns, turn: turns.fold_in(CHAT, turn, (a_message(), a_message(2)), NOW), UNSENT),
    "take": (lambda turns, turn: turns.take(turn, RUNNER, EPOCH, NOW), {TurnState.READY, TurnState.SENDING}),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("state", STATES)
def test_a_write_is_accepted_in_its_states_only(table: RacingTable, turns: Turns, write: str, state: TurnState) -> None:
    act, accepted = WRITES[write]
    turn = stored(table, state)
    before = item(table)
    assert bool(act(turns, turn)) is (state in accepted)
    assert (item(table) != before) is (state in accepted)


@pytest.mark.parametrize("write", WRITES)
def test_a_write_for_another_batch_than_the_stored_one_changes_nothing(
    table: RacingTable, turns: Turns, write: str
) -> None:
    act, accepted = WRITES[write]
    for state in accepted:
        turn = stored(table, state)
        before = item(table)
        assert not act(turns, replace(turn, revision=turn.revision - 1))
        assert item(table) == before


#: Writes of a process that decided by the state that it read.
AS_READ: dict[str, Callable[[Turns, Turn], object]] = {
    "reclaim": lambda turns, turn: turns.reclaim(turn, NOW),
    "abandon": lambda turns, turn: turns.abandon(turn, SkipReason.TOO_OLD),
    "try again": lambda turns, turn: turns.try_again(turn, NOW),
    "postpone the check": lambda turns, turn: turns.postpone_check(turn, NOW + 9),
}


@pytest.mark.parametrize("write", AS_READ)
def test_a_decision_by_what_was_read_needs_the_turn_as_it_was_read(
    table: RacingTable, turns: Turns, write: str
) -> None:
    turn = stored(table, TurnState.WAITING, timeouts=2)
    table.update(Update(KEY, f"TURN#{TURN.id}", set={"timeouts": 2}))
    before = item(table)
    for other in (replace(turn, revision=turn.revision - 1), replace(turn, state=TurnState.THINKING)):
        AS_READ[write](turns, other)
        assert item(table) == before
    AS_READ[write](turns, turn)
    assert item(table) != before


@pytest.mark.parametrize("state", STATES)
def test_a_turn_is_discarded_unless_a_part_may_be_sent_already(
    table: RacingTable, turns: Turns, state: TurnState
) -> None:
    turn = stored(table, state, parts=("Yes.",))
    allowed = state in UNSENT | {TurnState.DISCARDED}
    assert turns.discard(replace(turn, revision=1), SkipReason.TAKEOVER, NOW) is allowed
    assert ("parts" in item(table)) is not allowed
    chat = table.get(KEY, "CHAT") or {}
    assert ("open_turn" in chat) is not allowed


@pytest.mark.parametrize(("runner", "epoch"), [("runnerbbbb", EPOCH), (RUNNER, EPOCH - 1), (RUNNER, EPOCH + 1)])
@pytest.mark.parametrize("state", [TurnState.READY, TurnState.SENDING])
def test_a_turn_is_taken_by_the_runner_that_holds_the_session_only(
    table: RacingTable, turns: Turns, state: TurnState, runner: str, epoch: int
) -> None:
    turn = stored(table, state)
    assert turns.take(turn, runner, epoch, NOW) is None
    assert item(table)["state"] == state
    taken = turns.take(turn, RUNNER, EPOCH, NOW)
    assert taken is not None and (taken.state, taken.epoch) == (TurnState.SENDING, EPOCH)


@pytest.mark.parametrize("write", [*WRITES, *AS_READ, "discard", "give back a call", "record a part"])
def test_nothing_makes_a_turn_of_one_that_expired(table: RacingTable, turns: Turns, write: str) -> None:
    acts: dict[str, Callable[[Turns, Turn], object]] = {
        **{name: act for name, (act, _) in WRITES.items()},
        **AS_READ,
        "discard": lambda turns, turn: turns.discard(turn, SkipReason.TAKEOVER, NOW),
        "give back a call": lambda turns, turn: turns.give_back_call(turn),
        "record a part": lambda turns, turn: turns.record_part_sent(turn, 0, NOW),
    }
    acts[write](turns, replace(TURN, parts=("Yes.",)))
    assert item(table) == {}
    assert (table.get(KEY, "CHAT") or {})["open_turn"] == TURN.id
