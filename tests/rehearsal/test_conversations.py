"""The outcome of conversations, counted from what the phones show."""

import pytest

from tests.rehearsal.conversations import Chat, Outcome, count_outcome

OURS = "[Assistant AAAA]"


def reply(question: str, persona: str = OURS) -> str:
    return f'{persona} You wrote "{question}".'


def test_each_question_with_one_reply_of_its_own_assistant_is_good() -> None:
    outcome = count_outcome([Chat(OURS, ("one?", "two?"), (reply("one?"), reply("two?"))), Chat(OURS, (), ())])
    assert outcome == Outcome(asked=2, answered=2, mixed=0, duplicated=0)
    assert outcome.ended_well


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ((), Outcome(1, 0, 0, 0)),
        ((reply("one?"), reply("one?")), Outcome(1, 1, 0, 1)),
        ((reply("one?", "[Assistant BBBB]"),), Outcome(1, 0, 1, 0)),
        ((reply("another?"), reply("one?")), Outcome(1, 1, 1, 0)),
    ],
    ids=["no reply", "two replies", "another tenant's reply", "a reply to another question"],
)
def test_anything_else_is_bad(replies: tuple[str, ...], outcome: Outcome) -> None:
    assert count_outcome([Chat(OURS, ("one?",), replies)]) == outcome
    assert not outcome.ended_well
