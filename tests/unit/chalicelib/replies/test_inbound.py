"""Inbound messages are stored once; each is queued, skipped with a reason, or a takeover."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import ActionRequired, TransientError
from chalicelib.model import GroupAnswers, apply_report
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.support.online_line import (
    CHAT,
    PHONE,
    UNCAPPED,
    T,
    check,
    deliver,
    hand_in,
    jobs,
    llm,
    message,
    with_policies,
)
from wire import MessageKind, Outcome, Phase, ProblemCode, SessionReport


def test_a_batch_handed_in_twice_is_answered_once(line: Services, clock: Clock) -> None:
    first = hand_in(line, message(clock, "M1"), message(clock, "M2"))
    again = hand_in(line, message(clock, "M1"), message(clock, "M2"))
    assert {each.outcome for each in first + again} == {Outcome.QUEUED}
    clock.pass_seconds(2)
    check(line)
    deliver(line, clock)
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    assert len(llm(line).asked) == 1


def test_what_was_answered_is_a_duplicate_for_a_runner_without_a_journal(line: Services, clock: Clock) -> None:
    """The runner would show "typing…" for a queued one, and the tenant's page a new message."""
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    deliver(line, clock)
    seen = line.sessions.get(T).last_message_at
    clock.pass_seconds(60)
    assert [each.outcome for each in hand_in(line, message(clock, "M1"))] == [Outcome.DUPLICATE]
    assert line.sessions.get(T).last_message_at == seen


def test_a_hand_in_that_dies_after_storing_leaves_no_message_unanswered(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(line.sessions, "record_activity", die)
        with pytest.raises(KeyboardInterrupt):
            hand_in(line, message(clock, "M1"))
    assert jobs(line).sent == [(T, CHAT, 2.0)]


def store_slowly(line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets each message take 3 s to be stored."""
    stored = line.chats.store_message

    def slowly(*args: Any, **named: Any) -> Any:
        clock.pass_seconds(3)
        return stored(*args, **named)

    monkeypatch.setattr(line.chats, "store_message", slowly)


def test_a_check_is_enqueued_again_when_storing_took_longer_than_its_delay(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_slowly(line, clock, monkeypatch)
    hand_in(line, message(clock, "M1"))
    assert jobs(line).sent == [(T, CHAT, 2.0)] * 2


def test_a_slow_table_lets_each_call_take_in_some_messages_and_leaves_the_rest_to_the_next(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner waits 10 s for an answer: a call that took longer would be repeated from its beginning."""
    store_slowly(line, clock, monkeypatch)
    left = [message(clock, f"M{index}", chat=f"47{index}@lid") for index in range(5)]
    calls, asked_at = 0, clock()
    while left:
        answered = [each.id for each in hand_in(line, *left)]
        assert answered == [each.id for each in left[: len(answered)]] and answered
        left = left[len(answered) :]
        calls += 1
        assert clock() - asked_at < 10_000
        asked_at = clock()
    assert calls == 3
    assert {chat for _, chat, _ in jobs(line).sent} == {f"47{index}@lid" for index in range(5)}


def test_the_same_id_in_another_chat_is_another_message(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"), message(clock, "M1", chat="4712@lid"))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert check(line, "4712@lid") is ReplyOutcome.RANG


def test_one_contact_under_lid_and_phone_is_one_chat(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", chat_alias=PHONE))
    hand_in(line, message(clock, "M2", "again", chat=PHONE, chat_alias=CHAT))
    clock.pass_seconds(2)
    check(line)
    assert [said.text for said in llm(line).asked[0]] == ["Hello", "again"]
    chat = line.chats.get(T, PHONE)
    assert chat is not None and chat.id == CHAT and chat.whatsapp_id == PHONE


def test_a_person_on_the_phone_takes_over_and_the_line_is_silent(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    own = hand_in(line, message(clock, "OWN1", "I do it myself", from_me=True))
    assert own[0].outcome is Outcome.TAKEOVER
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is None
    clock.pass_seconds(1)
    assert hand_in(line, message(clock, "M2"))[0].reason == "takeover"
    clock.pass_seconds(61 * 60)
    assert hand_in(line, message(clock, "M3", "and now?"))[0].outcome is Outcome.QUEUED
    clock.pass_seconds(2)
    check(line)
    assert [said.text for said in llm(line).asked[-1]] == ["Hello", "I do it myself", "Hello", "and now?"]


def test_our_own_reply_is_a_delivery_and_no_takeover(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    sent = deliver(line, clock)
    echo = message(clock, sent.part_ids[0], sent.parts[0], from_me=True)
    assert hand_in(line, echo)[0].outcome is Outcome.DELIVERY
    assert hand_in(line, message(clock, "M2"))[0].outcome is Outcome.QUEUED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chat": "123-456@g.us", "sender": CHAT}, "group"),
        ({"chat": "status@broadcast"}, "broadcast"),
        ({"kind": MessageKind.STICKER, "text": ""}, "no text (sticker)"),
        ({"kind": MessageKind.CIPHERTEXT, "text": ""}, "not decrypted yet"),
        ({"text": "   \n"}, "no text (text)"),
        ({"sent_at_ms": 1_600_000_000_000}, "history"),
    ],
)
def test_a_message_without_an_answer_is_skipped_with_a_reason(
    line: Services, clock: Clock, changes: dict[str, Any], reason: str
) -> None:
    answer = hand_in(line, message(clock, "M1", **changes))[0]
    assert (answer.outcome, answer.reason) == (Outcome.SKIPPED, reason)


def test_a_message_that_arrives_late_is_answered_although_the_runner_had_caught_up(
    line: Services, clock: Clock
) -> None:
    runner = line.runners.get("runneraaaa")
    before = line.sessions.get(T)
    assert runner is not None
    caught_up = SessionReport(
        tenant=T, epoch=before.epoch, sequence=2, phase=Phase.ONLINE, number=before.number, caught_up_to_ms=clock()
    )
    assert line.sessions.record_report(runner, before, apply_report(before, caught_up, clock()))
    late = message(clock, "M1", sent_at_ms=clock() - 20_000)
    assert hand_in(line, late)[0].outcome is Outcome.QUEUED


@pytest.mark.parametrize(("seconds", "reason"), [(600, "not decrypted yet"), (601, "not decrypted")])
def test_a_ciphertext_has_ten_minutes_to_be_decrypted(line: Services, clock: Clock, seconds: int, reason: str) -> None:
    unreadable = message(clock, "M1", "", kind=MessageKind.CIPHERTEXT, sent_at_ms=clock())
    clock.pass_seconds(seconds)
    assert hand_in(line, unreadable)[0].reason == reason


def test_a_ciphertext_is_answered_once_it_is_decrypted(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", "", kind=MessageKind.CIPHERTEXT))
    assert hand_in(line, message(clock, "M1", "Hello"))[0].outcome is Outcome.QUEUED


def test_ignored_and_not_allowed_contacts_get_no_answer(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, ignored_phones=("491700000001",)))
    assert hand_in(line, message(clock, "M1", phone="491700000001"))[0].reason == "ignored contact"
    with_policies(line, replace(UNCAPPED, allowed_phones=("491700000002",)))
    assert hand_in(line, message(clock, "M2", phone="491700000001"))[0].reason == "not an allowed contact"


def test_a_takeover_that_failed_half_way_is_completed_when_it_is_handed_in_again(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    check(line)
    own = message(clock, "OWN1", "I do it", from_me=True)
    with monkeypatch.context() as broken:
        broken.setattr(line.chats, "record_takeover", lambda *_: (_ for _ in ()).throw(TransientError("busy")))
        with pytest.raises(TransientError):
            hand_in(line, own)
    hand_in(line, own)
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is None and chat.takeover_until > clock()


def test_an_old_reply_is_recognised_in_a_lively_group(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, groups=GroupAnswers.ALWAYS))
    group = "123-456@g.us"
    hand_in(line, message(clock, "M1", chat=group, sender=CHAT))
    clock.pass_seconds(2)
    check(line, group)
    chat = line.chats.get(T, group)
    assert chat is not None and chat.open_turn is not None
    turn = line.turns.get(T, group, chat.open_turn)
    assert turn is not None
    line.turns.take(turn, "runneraaaa", line.sessions.get(T).epoch, clock())
    line.turns.record_part_sent(turn, 0, clock())
    echo = message(clock, turn.part_ids[0], turn.parts[0], chat=group, from_me=True)
    for number in range(10):
        clock.pass_seconds(60)
        hand_in(line, *(message(clock, f"G{number}-{each}", chat=group, sender=CHAT) for each in range(20)))
        check(line, group)
    assert hand_in(line, echo)[0].outcome is Outcome.DELIVERY


def test_a_reply_that_waited_for_hours_is_recognised_when_the_tail_is_handed_in_again(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    llm(line).next = [ActionRequired(ProblemCode.KEY_REVOKED, "The key was revoked.")]
    assert check(line) is ReplyOutcome.ACTION_REQUIRED
    clock.pass_seconds(11 * 3600)
    line.tenants.clear_assistant_problem(T, now=clock(), by="operator@example.com")
    assert check(line) is ReplyOutcome.RANG
    sent = deliver(line, clock)
    echo = message(clock, sent.part_ids[0], sent.parts[0], from_me=True)
    hand_in(line, message(clock, "M2", "Thanks!"))
    clock.pass_seconds(2)
    check(line)
    deliver(line, clock)
    assert hand_in(line, echo)[0].outcome is Outcome.DELIVERY
    clock.pass_seconds(60)
    assert hand_in(line, message(clock, "M3"))[0].outcome is Outcome.QUEUED
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.takeover_until < clock()


def test_an_ignored_contact_stays_ignored_when_the_page_does_not_know_the_phone(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, ignored_phones=("491700000001",)))
    hand_in(line, message(clock, "M1", phone="491700000001"))
    assert hand_in(line, message(clock, "M2"))[0].reason == "ignored contact"
