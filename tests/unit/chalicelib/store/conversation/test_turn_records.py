"""Turns: one is open in a chat; what each write leaves, and the parts that are on WhatsApp's server."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Chat, SkipReason, Turn, TurnState
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.store.conversation.turns import READY_OVERDUE_AFTER, Turns
from chalicelib.store.table import Put, Update
from tests.unit.support.racing_table import RacingTable
from tests.unit.support.stored_turn import CHAT, KEY, NOW, TURN, a_message, item, stored, table, turns

__all__ = ["table", "turns"]


# -- a chat has one open turn ----------------------------------------------------------------------------------------


def opened(turns: Turns, chat: Chat = CHAT) -> Turn | None:
    return turns.freeze(chat, (a_message(),), retention_days=30, now=NOW)


def free_chat(table: RacingTable, **more: Any) -> None:
    table.put(Put({"pk": KEY, "sk": "CHAT", "id": CHAT.id, **more}, when=None))


@pytest.mark.parametrize(
    ("chat", "seen_changes", "opens"),
    [
        ({}, 0, True),
        ({"open_turn": "another"}, 0, False),
        ({"takeover_until": NOW}, 0, True),
        ({"takeover_until": NOW + 1}, 0, False),
        ({"changes": 2}, 2, True),
        ({"changes": 2}, 1, False),
        ({"changes": 1}, 0, False),
    ],
)
def test_a_turn_is_opened_over_the_chat_as_it_was_read(
    table: RacingTable, turns: Turns, chat: dict[str, Any], seen_changes: int, opens: bool
) -> None:
    free_chat(table, **chat)
    turn = opened(turns, replace(CHAT, changes=seen_changes))
    assert (turn is not None) is opens
    assert ((table.get(KEY, "CHAT") or {}).get("open_turn") == (turn.id if turn else chat.get("open_turn"))) is True


@pytest.mark.parametrize(
    ("stored_changes", "seen_changes", "folds"), [(0, 0, True), (2, 2, True), (2, 1, False), (1, 0, False)]
)
def test_a_batch_is_frozen_again_over_the_chat_as_it_was_read(
    table: RacingTable, turns: Turns, stored_changes: int, seen_changes: int, folds: bool
) -> None:
    """Whoever changes a message finds it in the frozen batch, or the batch is not frozen."""
    turn = stored(table, TurnState.READY, parts=("Yes.",))
    table.update(Update(KEY, "CHAT", set={"changes": stored_changes or None}))
    before = item(table)
    folded = turns.fold_in(replace(CHAT, changes=seen_changes), turn, (a_message(), a_message(2)), NOW)
    assert (folded is not None) is folds is (item(table) != before)
    assert folded is None or folded == turns.get(CHAT.tenant, CHAT.id, TURN.id)


def test_no_batch_is_frozen_again_in_a_chat_that_expired(table: RacingTable, turns: Turns) -> None:
    turn = stored(table, TurnState.READY, parts=("Yes.",))
    table.delete(KEY, "CHAT")
    assert turns.fold_in(CHAT, turn, (a_message(), a_message(2)), NOW) is None


def test_a_turn_is_opened_once_for_a_batch_even_after_its_end(table: RacingTable, turns: Turns) -> None:
    free_chat(table)
    turn = opened(turns)
    assert turn is not None and opened(turns) is None
    turns.close(turn)
    assert opened(turns, replace(CHAT, answered_to=turn.at)) is None
    assert item(table) == {}


@pytest.mark.parametrize(
    ("stored_as", "read_as", "unchanged"),
    [("", "", True), ("", "0002", False), ("0002", "0002", True), ("0002", "", False), ("0002", "0001", False)],
)
def test_what_waited_when_a_chat_was_read_may_have_its_answer_once_another_turn_ended(
    table: RacingTable, turns: Turns, stored_as: str, read_as: str, unchanged: bool
) -> None:
    """A message that came late belongs to another batch, so the id of its turn keeps no second one from opening."""
    free_chat(table, **({"answered_to": stored_as} if stored_as else {}))
    chat = replace(CHAT, answered_to=read_as)
    assert (opened(turns, chat) is not None) is unchanged
    free_chat(table, **({"answered_to": stored_as} if stored_as else {}))
    assert turns.skip(chat, (a_message(2),), SkipReason.PAUSED, retention_days=30, now=NOW) is unchanged


def test_a_chat_names_each_of_its_last_turns_once(table: RacingTable, turns: Turns) -> None:
    """A turn that expired may be opened again; AWS refuses a batch of keys that holds one twice."""
    free_chat(table)
    first = opened(turns)
    assert first is not None
    free_chat(table, last_turns=["former", first.id, "latter"])
    table.delete(KEY, f"TURN#{first.id}")
    assert opened(turns, replace(CHAT, last_turns=("former", first.id, "latter")))
    assert (table.get(KEY, "CHAT") or {})["last_turns"] == ["former", "latter", first.id]


def test_no_turn_opens_and_no_skip_closes_a_chat_that_expired(turns: Turns, table: RacingTable) -> None:
    table.delete(KEY, "CHAT")
    assert opened(turns) is None
    assert not turns.skip(CHAT, (a_message(),), SkipReason.PAUSED, retention_days=30, now=NOW)
    assert table.get(KEY, "CHAT") is None


def test_a_skip_needs_a_chat_without_an_open_turn_and_a_batch_without_one(turns: Turns, table: RacingTable) -> None:
    assert not turns.skip(CHAT, (a_message(),), SkipReason.PAUSED, retention_days=30, now=NOW)
    free_chat(table)
    assert turns.skip(CHAT, (a_message(),), SkipReason.PAUSED, retention_days=30, now=NOW, mute_until=NOW + 5)
    skipped = replace(CHAT, answered_to=a_message().at)
    assert not turns.skip(skipped, (a_message(),), SkipReason.PAUSED, retention_days=30, now=NOW)
    chat = table.get(KEY, "CHAT") or {}
    assert (chat["answered_to"], chat["muted_until"]) == (a_message().at, NOW + 5)


def test_a_skip_that_mutes_nothing_leaves_an_earlier_mute(turns: Turns, table: RacingTable) -> None:
    free_chat(table, muted_until=NOW + 7)
    assert turns.skip(CHAT, (a_message(),), SkipReason.PAUSED, retention_days=30, now=NOW)
    assert (table.get(KEY, "CHAT") or {})["muted_until"] == NOW + 7


@pytest.mark.parametrize(
    ("sentence", "attribute", "value"),
    [
        (FixedSentence.STOPPED, "stop_confirmed_at", NOW - 3),
        (FixedSentence.NO_PICTURES, "wordless_notice_at", NOW),
    ],
)
def test_a_fixed_sentence_is_ready_at_once_and_said_once(
    turns: Turns, table: RacingTable, sentence: FixedSentence, attribute: str, value: int
) -> None:
    free_chat(table)
    chat = replace(CHAT, stopped_at=NOW - 3)
    turn = turns.say(chat, (a_message(),), sentence, "Bye.", reason=None, retention_days=30, now=NOW)
    assert turn is not None and (turn.state, turn.parts) == (TurnState.READY, ("Bye.",))
    stored_chat = table.get(KEY, "CHAT") or {}
    said = {name for name in ("stop_confirmed_at", "wordless_notice_at") if name in stored_chat}
    assert (said, stored_chat[attribute]) == ({attribute}, value)


@pytest.mark.parametrize("requested", [False, True])
def test_a_check_that_was_requested_meanwhile_is_due_when_the_turn_closes(
    turns: Turns, table: RacingTable, requested: bool
) -> None:
    if requested:
        assert turns.request_check(TURN, 1)
    assert turns.close(TURN) is requested
    assert not turns.close(TURN)
    assert not turns.request_check(TURN, 1)
    assert (table.get(KEY, "CHAT") or {})["answered_to"] == TURN.at


def test_a_turn_that_is_over_does_not_close_its_successor(turns: Turns, table: RacingTable) -> None:
    assert not turns.close(replace(TURN, id="former"))
    turns.clear_expired(replace(CHAT, open_turn="former"))
    assert (table.get(KEY, "CHAT") or {})["open_turn"] == TURN.id
    turns.clear_expired(replace(CHAT, open_turn=TURN.id))
    assert "open_turn" not in (table.get(KEY, "CHAT") or {})


# -- what a write leaves -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("markdown", "kept"), [("*Yes.*", "*Yes.*"), ("Yes.", None), ("x" * 20_001, "x" * 20_000)])
def test_the_models_own_text_is_kept_where_it_differs_from_what_is_sent(
    table: RacingTable, turns: Turns, markdown: str, kept: str | None
) -> None:
    assert turns.store_text(stored(table, TurnState.THINKING), ("Yes.",), NOW, markdown=markdown)
    assert item(table).get("markdown") == kept
    assert item(table)["due_at"] == NOW + READY_OVERDUE_AFTER.seconds * 1000


@pytest.mark.parametrize("call", [True, False])
def test_a_batch_that_is_frozen_again_claims_a_call_or_is_due_at_once(
    table: RacingTable, turns: Turns, call: bool
) -> None:
    turn = stored(table, TurnState.READY, parts=("Yes.",))
    edited = replace(a_message(2), version=2)
    assert turns.fold_in(CHAT, turn, (a_message(), edited), NOW, call=call)
    after = item(table)
    assert after["calls"] == TURN.calls + call
    assert ("called_at" in after, after["due_at"] == NOW) == (call, not call)
    assert after["versions"] == [0, 2] and "parts" not in after
    again = turns.get(CHAT.tenant, CHAT.id, TURN.id)
    assert again is not None and turns.fold_in(CHAT, again, (a_message(),), NOW)
    assert "versions" not in item(table)


def test_a_call_that_is_given_back_is_counted_no_more_and_never_below_none(table: RacingTable, turns: Turns) -> None:
    turn = stored(table, TurnState.THINKING)
    turns.give_back_call(turn)
    turns.give_back_call(turn)
    assert item(table)["calls"] == 0


def test_what_was_counted_on_a_postponed_turn_is_stored_where_it_is_something(table: RacingTable, turns: Turns) -> None:
    turn = stored(table, TurnState.THINKING)
    turns.postpone(replace(turn, timeouts=2, failures=1), TurnState.THINKING, due_at=NOW, attempts=1, reason="timeout")
    assert (item(table)["timeouts"], item(table)["failures"]) == (2, 1)
    turns.postpone(turn, TurnState.THINKING, due_at=NOW, attempts=2, reason="timeout")
    assert not {"timeouts", "failures"} & set(item(table))


def test_open_turns_are_listed_when_they_are_due(table: RacingTable, turns: Turns) -> None:
    turn = stored(table, TurnState.THINKING)
    assert turns.open_turns(due_before=turn.due_at - 1) == []
    assert [each.id for each in turns.open_turns(due_before=turn.due_at)] == [TURN.id]


def test_open_turns_are_listed_by_tenant_until_they_are_done(table: RacingTable, turns: Turns) -> None:
    free_chat(table)
    turn = opened(turns)
    assert turn is not None
    assert [each.id for each in turns.open_turns_of(CHAT.tenant)] == [turn.id]
    assert turns.open_turns_of("tenantbbbb") == []
    ready = turns.store_text(turn, ("Yes.",), NOW)
    assert turns.open_turns_of(CHAT.tenant) == [ready]
    assert ready is not None and turns.abandon(ready, SkipReason.TOO_OLD)
    assert turns.open_turns_of(CHAT.tenant) == []


def test_a_turn_that_an_earlier_release_opened_is_listed_by_tenant_once_it_was_due(
    table: RacingTable, turns: Turns
) -> None:
    turn = stored(table, TurnState.READY)
    assert turns.open_turns_of(CHAT.tenant) == []
    turns.postpone_check(turn, NOW + 1)
    assert [each.id for each in turns.open_turns_of(CHAT.tenant)] == [turn.id]


# -- parts that are on WhatsApp's server -----------------------------------------------------------------------------


def test_parts_are_recorded_in_any_order_and_the_last_one_ends_the_turn(table: RacingTable, turns: Turns) -> None:
    turn = stored(table, TurnState.SENDING, parts=("One.", "Two.", "Three."))
    table.operations.clear()
    after, again = turns.record_part_sent(turn, 1, NOW)
    assert (after.cursor, after.state, again) == (2, TurnState.SENDING, False)
    assert table.operations == {"update": 1}
    assert turns.record_part_sent(turn, 0, NOW)[0].cursor == 2
    assert turns.record_part_sent(after, 0, NOW)[0].cursor == 2
    turns.request_check(turn, 1)
    table.operations.clear()
    after, again = turns.record_part_sent(after, 2, NOW + 5)
    assert table.operations == {"update": 2}, "of the turn and its chat"
    assert (after.cursor, after.state, after.sent_at, again) == (3, TurnState.SENT, NOW + 5, True)
    assert "open_turns" not in item(table) and "open_turn" not in (table.get(KEY, "CHAT") or {})
    assert turns.record_part_sent(turn, 2, NOW + 9)[0].sent_at == NOW + 5


def test_a_turn_whose_end_was_recorded_and_not_closed_is_closed_by_the_repetition(
    table: RacingTable, turns: Turns
) -> None:
    turn = stored(table, TurnState.SENT, parts=("One.",))
    table.update(Update(KEY, f"TURN#{TURN.id}", set={"cursor": 1}))
    assert turns.record_part_sent(turn, 0, NOW)[0].state is TurnState.SENT
    assert "open_turn" not in (table.get(KEY, "CHAT") or {})


def test_a_part_of_a_discarded_turn_is_not_recorded(table: RacingTable, turns: Turns) -> None:
    turn = stored(table, TurnState.DISCARDED, parts=("One.",))
    after, again = turns.record_part_sent(turn, 0, NOW)
    assert (after.state, again, item(table)["state"]) == (TurnState.DISCARDED, False, TurnState.DISCARDED)
    assert (table.get(KEY, "CHAT") or {})["open_turn"] == TURN.id


def test_what_a_reply_repeats_of_a_deleted_message_is_erased_once_it_is_sent(table: RacingTable, turns: Turns) -> None:
    stored(table, TurnState.SENDING, parts=("You said: secret.",))
    table.update(Update(KEY, f"TURN#{TURN.id}", set={"parts_once_sent": ("You said: …",)}))
    turn = turns.get(CHAT.tenant, CHAT.id, TURN.id)
    assert turn is not None
    after, _ = turns.record_part_sent(turn, 0, NOW)
    assert (after.parts, after.parts_once_sent) == (("You said: …",), ())
    assert item(table)["parts"] == ["You said: …"]


def test_a_reply_that_another_process_erased_meanwhile_keeps_what_is_left(table: RacingTable, turns: Turns) -> None:
    stored(table, TurnState.SENDING, parts=("You said: secret.",))
    table.update(Update(KEY, f"TURN#{TURN.id}", set={"parts_once_sent": ("You said: …",)}))
    turn = turns.get(CHAT.tenant, CHAT.id, TURN.id)
    assert turn is not None
    erased = Update(KEY, f"TURN#{TURN.id}", set={"parts": ("…",), "parts_once_sent": None})
    # between the two writes: that the part is sent, and that its text is erased
    table.before_next("update", lambda: table.before_next("update", lambda: table.update(erased)))
    after, _ = turns.record_part_sent(turn, 0, NOW)
    assert after.state is TurnState.SENT
    assert item(table)["parts"] == ["…"]
