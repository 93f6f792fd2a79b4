"""Turn-taking on stored chats: debounce, folding in, rate limits, takeover, pause and another login."""

from dataclasses import replace
from unittest.mock import Mock

import pytest

from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import TransientError
from chalicelib.model import SkipReason, TenantState, TurnState, reason_not_to_send
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.reconcilers import reconcile
from chalicelib.replies.turn_taking import take_turn
from chalicelib.store.table import Attr, Update
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import (
    CHAT,
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
from wire import Outcome


def test_a_message_is_queued_answered_with_the_tenants_key_and_rung_at_the_holder(line: Services, clock: Clock) -> None:
    assert [each.outcome for each in hand_in(line, message(clock, "M1"))] == [Outcome.QUEUED]
    assert jobs(line).sent == [(T, CHAT, 2.0)]
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert llm(line).keys == ["sk-test-bakery"]
    turn = open_turn(line)
    assert turn.state is TurnState.READY and turn.parts == ("You said: Hello",)
    assert [rung.turn for rung in line.runners.bell("runneraaaa").turns] == [turn.id]
    assert deliver(line, clock).state is TurnState.SENT
    assert check(line) is ReplyOutcome.NOTHING_WAITS


def test_a_reply_has_the_same_id_however_often_it_is_made(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn = open_turn(line)
    assert turn.part_ids == open_turn(line).part_ids
    assert turn.part_ids[0].startswith("3EB0") and len(turn.part_ids[0]) == 22


def test_a_chat_and_a_turn_that_the_former_release_stored_go_on_and_the_reply_keeps_its_id(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn = open_turn(line)
    line.table.update(Update(f"CHAT#{T}#{CHAT}", f"TURN#{turn.id}", set={"assistant_version": 3}))
    line.table.update(Update(f"CHAT#{T}#{CHAT}", "CHAT", set={"met_at": 1}))
    assert open_turn(line) == replace(turn, assistant_version=3)
    assert turn.part_ids == ("3EB0833734797F935B8934",)
    assert deliver(line, clock).state is TurnState.SENT


def test_the_line_waits_until_the_contact_has_finished_writing_but_not_forever(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    for number in range(2, 6):
        clock.pass_seconds(1.2)
        assert check(line) is ReplyOutcome.NOT_YET
        hand_in(line, message(clock, f"M{number}"))
    clock.pass_seconds(1.3)
    assert check(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 5


def test_a_message_before_sending_folds_in_and_after_two_discards_waits_for_the_next_turn(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    for number, revision in ((2, 2), (3, 3)):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(2)
        assert check(line) is ReplyOutcome.RANG
        assert open_turn(line).revision == revision
    hand_in(line, message(clock, "M4"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 3
    jobs(line).sent.clear()
    deliver(line, clock)
    assert jobs(line).sent == [(T, CHAT, 0)]
    assert check(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 1


def test_a_call_for_a_batch_does_not_read_what_waits_for_the_next_turn(line: Services, clock: Clock) -> None:
    """It would answer that, and the next turn again."""
    for id, text in (("M1", "one"), ("M2", "two"), ("M3", "three")):
        if id == "M3":
            llm(line).next.append(TransientError("The model is busy."))
        hand_in(line, message(clock, id, text))
        clock.pass_seconds(2)
        check(line)
    assert (open_turn(line).state, open_turn(line).discards) == (TurnState.THINKING, 2)
    hand_in(line, message(clock, "M4", "four"))
    clock.pass_seconds(10)
    assert check(line) is ReplyOutcome.RANG
    assert [said.text for said in llm(line).asked[-1]] == ["one", "two", "three"]
    deliver(line, clock)
    assert check(line) is ReplyOutcome.RANG
    assert [said.text for said in llm(line).asked[-1]] == ["one", "two", "three", "You said: three", "four"]


@pytest.mark.parametrize("every_seconds", [1, 2, 5, 10])
def test_a_contact_who_writes_steadily_costs_three_calls_a_reply_at_most(
    line: Services, clock: Clock, every_seconds: int
) -> None:
    """The model needs ten seconds: a message that comes meanwhile folds in, twice at most."""
    hand_in(line, message(clock, "M0"))
    clock.pass_seconds(2)
    calls_during_thinking = iter(range(1, 9))

    def writes_on() -> None:
        for number in calls_during_thinking:
            clock.pass_seconds(every_seconds)
            hand_in(line, message(clock, f"M{number}"))
            check(line)

    llm(line).meanwhile = writes_on
    check(line)
    assert len(llm(line).asked) == 3
    assert open_turn(line).discards == 2


def test_hundreds_of_messages_are_one_batch_of_which_the_model_reads_the_end(line: Services, clock: Clock) -> None:
    for start in range(0, 400, 50):
        hand_in(line, *(message(clock, f"M{start + number}", "x" * 1_000) for number in range(50)))
        clock.pass_seconds(0.001)
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 400
    assert sum(len(said.text) for said in llm(line).asked[0]) <= 60_000
    deliver(line, clock)
    assert check(line) is ReplyOutcome.NOTHING_WAITS


def test_nothing_folds_into_a_turn_that_is_being_sent(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn = open_turn(line)
    session = line.sessions.get(T)
    taken = line.turns.take(turn, "runneraaaa", session.epoch, clock())
    assert taken is not None
    hand_in(line, message(clock, "M2", "more"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.BUSY
    _, again = line.turns.record_part_sent(taken, 0, clock())
    assert again
    assert check(line) is ReplyOutcome.RANG
    assert [said.text for said in llm(line).asked[-1]] == ["Hello", "You said: Hello", "more"]


def test_messages_that_waited_too_long_behind_a_turn_get_their_reason(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    assert line.turns.take(open_turn(line), "runneraaaa", line.sessions.get(T).epoch, clock()) is not None
    hand_in(line, *(message(clock, f"M{number}", "more") for number in range(2, 42)))
    clock.pass_seconds(13 * 3600)  # nobody sends for a night
    assert line.turns.abandon(open_turn(line), SkipReason.TOO_OLD)
    while check(line) is ReplyOutcome.NOT_YET:
        pass
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is None
    reasons = {
        key: turn.reason for turn in line.chats.read_recent(chat, depth=99, now=clock()).turns for key in turn.answers
    }
    assert [reasons[f"contact#M{number}"] for number in range(2, 42)] == [SkipReason.TOO_OLD] * 40
    assert len(llm(line).asked) == 1


def test_only_the_holder_of_the_epoch_takes_a_turn(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn = open_turn(line)
    epoch = line.sessions.get(T).epoch
    assert line.turns.take(turn, "runneraaaa", epoch - 1, clock()) is None
    assert line.turns.take(turn, "runnerbbbb", epoch, clock()) is None
    assert line.turns.take(turn, "runneraaaa", epoch, clock()) is not None
    assert line.turns.take(turn, "runneraaaa", epoch, clock()) is not None


def test_messages_that_the_owner_answered_while_the_line_was_offline_are_skipped(line: Services, clock: Clock) -> None:
    clock.pass_seconds(3 * 3600)
    asked = message(clock, "M1", sent_at_ms=clock() - 2 * 3_600_000)
    answered = message(clock, "OWN1", "Done.", from_me=True, sent_at_ms=clock() - 2 * 3_600_000 + 60_000)
    later = message(clock, "M2", "Thanks! And tomorrow?", sent_at_ms=clock() - 60_000)
    outcomes = [each.outcome for each in hand_in(line, asked, answered, later)]
    assert outcomes == [Outcome.QUEUED, Outcome.TAKEOVER, Outcome.QUEUED]
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.NOT_YET
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).messages == ("contact#M2",)


def test_a_chat_whose_open_turn_expired_is_answered_again(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    line.table.delete(f"CHAT#{T}#{CHAT}", f"TURN#{open_turn(line).id}")
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.NOT_YET
    assert check(line) is ReplyOutcome.RANG


@pytest.mark.parametrize(("number", "read"), [("33123456789", 1), ("own", 3)])
def test_the_model_reads_of_a_former_login_only_if_it_was_of_the_same_number(
    line: Services, clock: Clock, number: str, read: int
) -> None:
    own = line.sessions.get(T).number
    hand_in(line, message(clock, "M1", "What did my test show?"))
    clock.pass_seconds(2)
    check(line)
    deliver(line, clock)
    clock.pass_seconds(60)
    for linked in ("own", number):  # a second linking of the same number goes on too
        relinked(line, clock, str(own if linked == "own" else linked))
        clock.pass_seconds(10)
    hand_in(line, message(clock, "M2", "Do you have tyres?"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert len(llm(line).asked[-1]) == read


def test_another_account_never_answers_messages_to_the_former_one(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    ready = open_turn(line)
    hand_in(line, message(clock, "M2", chat="4712@lid"))
    clock.pass_seconds(30)
    relinked(line, clock, "33123456789")
    assert reason_not_to_send(ready, line.sessions.get(T).answers_since, clock()) == "another login"
    assert check(line) is ReplyOutcome.NOT_YET
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is None
    assert check(line, "4712@lid") is ReplyOutcome.NOT_YET
    assert check(line, "4712@lid") is ReplyOutcome.NOTHING_WAITS
    assert len(llm(line).asked) == 1


@pytest.mark.parametrize(("number", "is_former"), [("33123456789", True), ("own", False)])
def test_what_came_a_moment_before_another_account_was_linked_is_not_told_to_its_model(
    line: Services, clock: Clock, number: str, is_former: bool
) -> None:
    hand_in(line, message(clock, "M1", "Old?"))
    clock.pass_seconds(1)
    relinked(line, clock, number if is_former else str(line.sessions.get(T).number), within_seconds=2)
    late = message(clock, "M2", "Late?", sent_at_ms=clock() - 2_500)
    assert [each.outcome for each in hand_in(line, late)] == [Outcome.SKIPPED if is_former else Outcome.QUEUED]
    hand_in(line, message(clock, "M3", "New?"))
    outcomes = [check(line) for _ in range(3) if clock.pass_seconds(2)]
    assert ReplyOutcome.RANG in outcomes
    told = [text.text for text in llm(line).asked[-1]]
    assert told == (["New?"] if is_former else ["Old?", "Late?", "New?"])


def test_a_message_to_the_next_login_is_answered_although_a_reply_of_the_former_was_being_sent(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    sending = line.turns.take(open_turn(line), "runneraaaa", line.sessions.get(T).epoch, clock())
    assert sending is not None
    clock.pass_seconds(30)
    relinked(line, clock, "491709999999")
    hand_in(line, message(clock, "M2", "And now?"))
    clock.pass_seconds(2)
    jobs(line).sent.clear()
    assert check(line) is ReplyOutcome.BUSY
    assert len(jobs(line).sent) == 1  # no other check of this chat is enqueued
    line.turns.abandon(sending, SkipReason.OTHER_LOGIN)
    clock.pass_seconds(30)
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).messages == ("contact#M2",)


def test_a_reply_that_waited_for_days_is_not_sent_any_more(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    clock.pass_seconds(13 * 3600)
    assert reason_not_to_send(open_turn(line), line.sessions.get(T).answers_since, clock()) == "too old"
    assert check(line) is ReplyOutcome.SKIPPED


def test_no_turn_is_opened_in_a_chat_that_a_person_took_over_a_moment_ago(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    stale = line.chats.get(T, CHAT)
    assert stale is not None
    waiting = line.chats.read_recent(stale, depth=5, now=clock()).messages
    line.chats.record_takeover(stale, clock() + 60_000)
    assert line.turns.freeze(stale, waiting, retention_days=1, now=clock()) is None


def test_replies_beyond_the_limit_of_a_minute_wait_and_beyond_that_of_a_day_are_skipped(
    line: Services, clock: Clock
) -> None:
    with_policies(line, replace(UNCAPPED, replies_per_minute=2, replies_per_contact_per_day=3))
    outcomes = []
    for number in range(1, 6):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(2)
        outcome = check(line)
        while outcome is ReplyOutcome.NOT_YET:
            clock.pass_seconds(jobs(line).sent[-1][2])
            outcome = check(line)
        outcomes.append(outcome)
        if outcome is ReplyOutcome.RANG:
            deliver(line, clock)
    assert outcomes == [ReplyOutcome.RANG] * 3 + [ReplyOutcome.SKIPPED] * 2


def test_a_turn_whose_model_call_died_is_retried(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)

    def die() -> None:
        raise KeyboardInterrupt

    llm(line).meanwhile = die
    with pytest.raises(KeyboardInterrupt):
        check(line)
    llm(line).meanwhile = lambda: None
    assert check(line) is ReplyOutcome.BUSY
    clock.pass_seconds(151)
    reconcile.reconcile(line)
    assert check(line) is ReplyOutcome.RANG


def test_a_chat_from_which_a_finished_turn_was_not_removed_goes_on(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn = open_turn(line)
    line.turns.take(turn, "runneraaaa", line.sessions.get(T).epoch, clock())
    line.turns._change(turn, {"state": TurnState.SENT, "sent_at": clock()}, Attr("pk").exists())
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.NOT_YET
    assert check(line) is ReplyOutcome.RANG


def test_messages_during_sending_are_checked_even_if_the_end_of_sending_enqueues_no_check(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    turn = line.turns.take(open_turn(line), "runneraaaa", line.sessions.get(T).epoch, clock())
    assert turn is not None
    for id in ("M2", "M3"):
        hand_in(line, message(clock, id))
        clock.pass_seconds(2)
        jobs(line).sent.clear()
        assert check(line) is ReplyOutcome.BUSY
        assert len(jobs(line).sent) == (1 if id == "M2" else 0)  # one backstop is enough
    line.turns.record_part_sent(turn, 0, clock())  # and the function that wrote this ended before it enqueued the check
    clock.pass_seconds(30)
    assert check(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 2


def test_a_backstop_that_comes_twice_is_followed_by_one_and_one_whose_check_died_is_enqueued_again(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    assert line.turns.take(open_turn(line), "runneraaaa", line.sessions.get(T).epoch, clock()) is not None
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    jobs(line).sent.clear()
    with monkeypatch.context() as patch, pytest.raises(TransientError):
        patch.setattr(line.jobs, "enqueue_check", Mock(side_effect=TransientError("The queue is busy.")))
        check(line)
    enqueued = []
    for attempt in (0, 0, 1, 1, 0, 2, 1, 2, 3):
        take_turn(line, TurnCheck(tenant=T, chat=CHAT, attempt=attempt))
        enqueued.append(len(jobs(line).sent))
        clock.pass_seconds(1)
    assert enqueued == [1, 1, 2, 2, 2, 3, 3, 3, 4]


def test_messages_that_wait_when_the_tenant_is_paused_are_skipped_and_stay_skipped(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    hand_in(line, message(clock, "M2"))
    line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="o")
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.NOT_YET  # the reply that was ready is not sent
    assert check(line) is ReplyOutcome.PAUSED
    line.tenants.set_state(T, TenantState.ACTIVE, now=clock(), by="o")
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    chat = line.chats.get(T, CHAT)
    assert chat is not None
    turns = line.chats.read_recent(chat, depth=9, now=clock()).turns
    assert [(turn.state, turn.reason) for turn in turns] == [(TurnState.DISCARDED, "paused")] * 2
