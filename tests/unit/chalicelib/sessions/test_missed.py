"""What contacts wrote while the line was disconnected: who is listed, and who is answered once a person asks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Audience, SkipReason, TenantState, TurnState, reason_not_to_send
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.replies.unanswered import note_missed_turn
from chalicelib.sessions.missed import answer_missed, missed_chats
from chalicelib.store.conversation.changes import MessageChanges
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import (
    UNCAPPED,
    T,
    check,
    deliver,
    hand_in,
    jobs,
    llm,
    message,
    open_turn,
    relinked,
    with_policies,
)
from wire import MessageKind, Outcome, Phase

ANN, BOB, EVE = "4711@lid", "4712@lid", "491703333333@c.us"
HOUR = 3_600_000


def listed(line: Services, clock: Clock) -> list[tuple[str, bool]]:
    tenant, session = line.tenants.get(T), line.sessions.get(T)
    return [(each.name, each.answerable) for each in missed_chats(line, tenant, session, clock())]


def answered(line: Services, clock: Clock) -> int:
    jobs(line).sent.clear()
    return answer_missed(line, line.tenants.get(T), clock())


def away(line: Services, clock: Clock, hours: float, number: str = "491709999999") -> int:
    """The login ends, and this number is linked so long after; returns when the login ended."""
    clock.pass_seconds(60)
    ended_at = clock()
    relinked(line, clock, number, within_seconds=hours * 3600)
    clock.pass_seconds(10)
    return ended_at


def wrote(clock: Clock, id: str, at: int, chat: str = ANN, author: str = "Ann", **more: Any) -> Any:
    return message(clock, id, more.pop("text", f"Question {id}"), chat=chat, author=author, sent_at_ms=at, **more)


def answer_all(line: Services, clock: Clock, *chats: str) -> list[str]:
    """Checks these chats as the queue would, and delivers; returns the texts that were sent."""
    clock.pass_seconds(2)
    sent: list[str] = []
    for chat in chats:
        if check(line, chat) is ReplyOutcome.RANG:
            sent += deliver(line, clock, chat).parts
    return sent


def test_who_wrote_meanwhile_is_listed_and_answered_once_only_if_a_person_asks(line: Services, clock: Clock) -> None:
    ended_at = away(line, clock, hours=13)
    young, old = ended_at + 12 * HOUR, ended_at + HOUR // 2
    outcomes = hand_in(
        line,
        wrote(clock, "M1", old, BOB, "Bob"),
        wrote(clock, "M2", young),
        wrote(clock, "M3", young + 1000),
        wrote(clock, "M4", young + 2000, EVE, ""),
        wrote(clock, "M5", young + 3000, "4799@lid", "Voice", kind=MessageKind.VOICE, text=""),
    )
    assert [(each.outcome, each.reason) for each in outcomes] == [(Outcome.SKIPPED, "while disconnected")] * 5
    assert listed(line, clock) == [("Voice", False), ("+491703333333", True), ("Ann", True), ("Bob", False)]
    # nothing is answered by itself
    assert answer_all(line, clock, ANN, BOB, EVE) == [] and llm(line).asked == []

    assert answered(line, clock) == 3
    assert {chat for _, chat, _ in jobs(line).sent} == {ANN, EVE}
    assert listed(line, clock) == [("Voice", False), ("Bob", False)]
    assert answered(line, clock) == 0, "a second press finds nothing"
    assert answer_all(line, clock, ANN, BOB, EVE) == ["You said: Question M3", "You said: Question M4"]
    assert [[each.text for each in asked] for asked in llm(line).asked] == [
        ["Question M2", "Question M3"],
        ["Question M4"],
    ]
    assert answer_all(line, clock, ANN, BOB, EVE) == []
    # the same messages again, as after a restart of the runner
    again = hand_in(line, wrote(clock, "M2", young), wrote(clock, "M4", young + 2000, EVE, ""))
    assert [each.outcome for each in again] == [Outcome.DUPLICATE] * 2
    assert listed(line, clock) == [("Voice", False), ("Bob", False)]
    # a later question is answered as ever
    hand_in(line, message(clock, "M9", "And on Sunday?", chat=ANN))
    assert answer_all(line, clock, ANN) == ["You said: And on Sunday?"]


def test_what_waited_when_the_login_ended_is_listed_too_and_a_reply_that_was_taken_is_not(
    line: Services, clock: Clock
) -> None:
    at = clock() // 1000 * 1000
    for chat, name in ((ANN, "Ann"), (BOB, "Bob"), (EVE, "Eve")):
        hand_in(line, wrote(clock, f"W-{name}", at, chat, name))
    clock.pass_seconds(2)
    check(line, BOB)  # a text is ready
    check(line, EVE)  # … and this one a runner took: it may have been sent
    session = line.sessions.get(T)
    assert line.turns.take(open_turn(line, EVE), session.runner or "", session.epoch, clock()) is not None
    away(line, clock, hours=1)
    for _ in range(3):
        clock.pass_seconds(2)
        for chat in (ANN, BOB, EVE):
            check(line, chat)
    assert listed(line, clock) == [("Ann", True), ("Bob", True)]
    assert answered(line, clock) == 2
    assert answer_all(line, clock, ANN, BOB) == ["You said: Question W-Ann", "You said: Question W-Bob"]
    assert listed(line, clock) == []


@pytest.mark.parametrize("taken", [False, True])
def test_a_reply_that_the_runner_asks_for_after_the_logout_leaves_its_messages_in_the_list_unless_it_was_taken(
    line: Services, clock: Clock, taken: bool
) -> None:
    hand_in(line, wrote(clock, "M1", clock() // 1000 * 1000))
    clock.pass_seconds(2)
    check(line)
    turn, session = open_turn(line), line.sessions.get(T)
    if taken:
        turn = line.turns.take(turn, session.runner or "", session.epoch, clock()) or turn
    away(line, clock, hours=1)
    session = line.sessions.get(T)
    reason = reason_not_to_send(turn, session.replies_since, clock())
    assert reason is SkipReason.OTHER_LOGIN and line.turns.abandon(turn, reason)
    note_missed_turn(line, session, turn, reason)
    assert listed(line, clock) == ([] if taken else [("Ann", True)])


def test_what_was_noted_while_disconnected_is_nothing_to_the_next_account(line: Services, clock: Clock) -> None:
    hand_in(line, wrote(clock, "M1", clock() // 1000 * 1000))
    clock.pass_seconds(10)
    relinked(line, clock, "491709999999", until=Phase.LOGGED_OUT)
    check(line)
    assert listed(line, clock) == [("Ann", True)], "also before an account is linked again"
    assert answered(line, clock) == 0
    relinked(line, clock, "33123456789", within_seconds=600)
    assert listed(line, clock) == [] and answered(line, clock) == 0


@pytest.mark.parametrize("number", ["491709999999", "33123456789"])
def test_nothing_that_came_to_another_account_is_listed(line: Services, clock: Clock, number: str) -> None:
    hand_in(line, wrote(clock, "M1", clock() // 1000 * 1000))
    ended_at = away(line, clock, hours=1, number=number)
    hand_in(line, wrote(clock, "M2", ended_at + HOUR // 2, BOB, "Bob"))
    clock.pass_seconds(2)
    check(line)
    same = number == "491709999999"
    assert listed(line, clock) == ([("Bob", True), ("Ann", True)] if same else [])
    assert answered(line, clock) == (2 if same else 0)


def said(id: str, **more: Any) -> Callable[[Clock, int], Any]:
    return lambda clock, at: wrote(clock, id, at + HOUR // 2, **more)


@pytest.mark.parametrize(
    ("meanwhile", "later", "stays"),
    [
        ([said("M1")], None, True),
        # a person answered on the phone, before the linking or after it
        ([said("M1"), said("O1", from_me=True, text="We are open.")], None, False),
        ([said("M1")], "owner", False),
        # the line answered the chat's next message, and read this one with it
        ([said("M1")], "question", False),
        ([said("M1"), said("M2", text="STOP")], None, False),
        ([said("M1", deleted=True, text="")], None, False),
        ([said("M1")], "deletion", False),
        ([said("M1")], "edit", True),
    ],
)
def test_a_chat_that_was_dealt_with_is_listed_no_more(
    line: Services, clock: Clock, meanwhile: list[Callable[[Clock, int], Any]], later: str | None, stays: bool
) -> None:
    ended_at = away(line, clock, hours=1)
    hand_in(line, *(each(clock, ended_at) for each in meanwhile))
    first = wrote(clock, "M1", ended_at + HOUR // 2)
    match later:
        case "owner":
            hand_in(line, message(clock, "O2", "I am on it", from_me=True))
        case "question":
            hand_in(line, message(clock, "M3", "Hello?"))
            assert answer_all(line, clock, ANN) == ["You said: Hello?"]
            assert [each.text for each in llm(line).asked[-1]] == ["Question M1", "Hello?"]
        case "deletion":
            hand_in(line, first.model_copy(update={"deleted": True, "text": ""}))
        case "edit":
            hand_in(line, first.model_copy(update={"text": "Edited", "edited_at_ms": clock()}))
    assert listed(line, clock) == ([("Ann", True)] if stays else [])
    assert answered(line, clock) == int(stays)
    if later == "edit":
        assert answer_all(line, clock, ANN) == ["You said: Edited"]


@pytest.mark.parametrize(
    ("policies", "more", "listed_there"),
    [
        (replace(UNCAPPED, ignored_phones=("4711@lid",)), {}, False),
        (replace(UNCAPPED, audience=Audience.UNSAVED), {"saved_contact": True}, False),
        (replace(UNCAPPED, audience=Audience.UNSAVED), {"saved_contact": False}, True),
        # a new device gets each chat's last messages first: an old chat may seem to begin with these
        (replace(UNCAPPED, audience=Audience.NEW_CHATS), {"chat_since_ms": 0}, False),
        (replace(UNCAPPED, audience=Audience.NEW_CHATS), {"chat_since_ms": -5 * HOUR}, False),
    ],
)
def test_only_whom_the_line_answers_is_kept_and_listed(
    line: Services, clock: Clock, policies: Any, more: dict[str, Any], listed_there: bool
) -> None:
    with_policies(line, policies)
    ended_at = away(line, clock, hours=1)
    at = ended_at + HOUR // 2
    if "chat_since_ms" in more:
        more = {"chat_since_ms": at + more["chat_since_ms"]}
    hand_in(line, wrote(clock, "M1", at, **more))
    assert bool(listed(line, clock)) is listed_there
    chat = line.chats.get(T, ANN)
    texts = [each.text for each in line.chats.read_recent(chat, depth=9, now=clock()).messages] if chat else []
    assert any(texts) is listed_there


def test_a_new_chat_stays_a_new_one_over_a_logout(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, audience=Audience.NEW_CHATS))
    hand_in(line, wrote(clock, "M0", clock() // 1000 * 1000, chat_since_ms=clock() // 1000 * 1000))
    assert answer_all(line, clock, ANN) == ["You said: Question M0"]
    ended_at = away(line, clock, hours=1)
    hand_in(line, wrote(clock, "M1", ended_at + HOUR // 2, chat_since_ms=ended_at))
    assert listed(line, clock) == [("Ann", True)]


def test_two_presses_at_once_answer_each_message_once(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_at = away(line, clock, hours=1)
    hand_in(line, wrote(clock, "M1", ended_at + HOUR // 2))
    rewrite, counts = MessageChanges.rewrite, []

    def press_in_between(self: MessageChanges, *arguments: Any) -> bool:
        monkeypatch.setattr(MessageChanges, "rewrite", rewrite)
        counts.append(answered(line, clock))
        assert answer_all(line, clock, ANN) == ["You said: Question M1"]
        return rewrite(self, *arguments)

    monkeypatch.setattr(MessageChanges, "rewrite", press_in_between)
    counts.append(answered(line, clock))
    assert counts == [1, 0]
    assert answer_all(line, clock, ANN) == []


@pytest.mark.parametrize("dies_at", ["enqueue", "rewrite", "forget"])
def test_a_process_that_dies_in_between_leaves_nothing_unanswered_and_nothing_twice(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    ended_at = away(line, clock, hours=1)
    hand_in(line, wrote(clock, "M1", ended_at + HOUR // 2), wrote(clock, "M2", ended_at + HOUR // 2, BOB, "Bob"))

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if dies_at == "enqueue":
            patch.setattr(line.jobs, "enqueue_check", die)
        elif dies_at == "rewrite":
            patch.setattr(line.message_changes, "rewrite", die)
        else:
            patch.setattr(line.unanswered, "forget_missed", die)
        with pytest.raises(KeyboardInterrupt):
            answered(line, clock)
    sent = answer_all(line, clock, ANN, BOB)
    left = len(listed(line, clock))
    assert answered(line, clock) == left
    sent += answer_all(line, clock, ANN, BOB)
    assert sorted(sent) == ["You said: Question M1", "You said: Question M2"]
    assert listed(line, clock) == []


def test_a_paused_or_disconnected_line_answers_nobody(line: Services, clock: Clock) -> None:
    ended_at = away(line, clock, hours=1)
    hand_in(line, wrote(clock, "M1", ended_at + HOUR // 2))
    line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="olga")
    assert answered(line, clock) == 0
    line.tenants.set_state(T, TenantState.ACTIVE, now=clock(), by="olga")
    assert listed(line, clock) == [("Ann", True)]


def test_a_second_logout_takes_the_wish_back_and_the_messages_are_listed_again(line: Services, clock: Clock) -> None:
    ended_at = away(line, clock, hours=1)
    hand_in(line, wrote(clock, "M1", ended_at + HOUR // 2))
    assert answered(line, clock) == 1
    away(line, clock, hours=1)  # before the check came
    clock.pass_seconds(2)
    check(line)
    assert llm(line).asked == []
    assert listed(line, clock) == [("Ann", True)]
    assert answered(line, clock) == 1
    assert answer_all(line, clock, ANN) == ["You said: Question M1"]
    assert [turn.state for turn in line.chats.read_recent(line.chats.get(T, ANN), depth=9, now=clock()).turns] == [  # type: ignore[arg-type]
        TurnState.DISCARDED,
        TurnState.SENT,
    ]


def test_a_line_that_missed_nothing_costs_one_read_and_one_that_was_linked_long_ago_none(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    query = line.table.query

    def counted(pk: str, **more: Any) -> Any:
        reads.append(more["begins_with"])
        return query(pk, **more)

    monkeypatch.setattr(line.table, "query", counted)
    assert listed(line, clock) == [] and reads == []
    away(line, clock, hours=1)
    assert listed(line, clock) == [] and reads == ["MISSED#"]
    clock.pass_seconds(8 * 24 * 3600)
    assert listed(line, clock) == [] and reads == ["MISSED#"]
