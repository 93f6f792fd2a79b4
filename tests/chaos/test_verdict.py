"""The verdict of a chaos run finds lost, duplicated, unanswered and misordered messages."""

from dataclasses import replace

import pytest

from tests.chaos.verdict import Bubble, Stored, TurnRecord, Verdict, Written, evaluate

WRITTEN = Written("line", "49", "M1", "mark-1")
STORED = Stored("line", "49@lid", "M1", "49@lid#M1", None)
TURN = TurnRecord("line", "49@lid", "T1", "sent", ("49@lid#M1",), ("R1",), "0001")
BUBBLE = Bubble("line", "49", "R1", 'You said: "mark-1"')


def verdict(
    *, stored: Stored | None = STORED, turns: tuple[TurnRecord, ...] = (TURN,), bubbles: tuple[Bubble, ...] = (BUBBLE,)
) -> Verdict:
    return evaluate([WRITTEN], [stored] if stored else [], turns, bubbles)


def test_a_message_is_answered_when_its_turn_is_sent_and_the_phone_shows_it() -> None:
    found = verdict()
    assert (found.answered, found.unanswered, found.duplicated, found.lost) == (1, [], [], [])


def test_a_message_that_never_reached_the_table_is_lost_and_nothing_else() -> None:
    found = verdict(stored=None, turns=(), bubbles=())
    assert (found.lost, found.unanswered) == (["mark-1"], [])


def test_a_turn_that_says_sent_without_a_bubble_leaves_its_message_unanswered() -> None:
    assert verdict(bubbles=()).unanswered


@pytest.mark.parametrize("state", ["thinking", "ready", "sending", "waiting"])
def test_an_open_turn_leaves_its_message_unanswered(state: str) -> None:
    assert verdict(turns=(replace(TURN, state=state),), bubbles=()).unanswered


def test_a_message_without_a_turn_is_unanswered_unless_it_was_skipped() -> None:
    assert verdict(turns=(), bubbles=()).unanswered
    skipped = verdict(stored=replace(STORED, skipped="takeover"), turns=(), bubbles=())
    assert (skipped.unanswered, dict(skipped.skipped)) == ([], {"takeover": 1})


def test_a_discarded_turn_is_a_reason() -> None:
    found = verdict(turns=(replace(TURN, state="discarded", reason="refusal"),), bubbles=())
    assert (found.unanswered, dict(found.skipped)) == ([], {"refusal": 1})


def test_two_bubbles_of_one_message_are_a_duplicate_under_any_id() -> None:
    other = replace(TURN, id="T2", parts=("R2",))
    assert verdict(bubbles=(BUBBLE, BUBBLE)).duplicated
    assert verdict(turns=(TURN, other), bubbles=(BUBBLE, replace(BUBBLE, id="R2"))).duplicated
    assert verdict(bubbles=(BUBBLE, replace(BUBBLE, id="of-nobody", text="?"))).duplicated


def test_a_reply_that_speaks_of_something_else_answers_nothing() -> None:
    assert verdict(bubbles=(replace(BUBBLE, text="You said: nothing"),)).unanswered


def test_replies_stand_in_the_order_of_what_they_answer() -> None:
    later = replace(TURN, id="T2", messages=(), parts=("R2",), at="0002")
    bubbles = (BUBBLE, replace(BUBBLE, id="R2", text="more"))
    assert not verdict(turns=(TURN, later), bubbles=bubbles).out_of_order
    assert verdict(turns=(TURN, later), bubbles=bubbles[::-1]).out_of_order
