"""Edits and deletions: before a reply is sent it is for the newest wording; after that only the history changes."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import MAX_CALLS, SkipReason, StoredMessage, TenantState, TurnState
from chalicelib.model.turn_decisions import ReplyOutcome
from chalicelib.reconcilers import reconcile
from chalicelib.store.conversation.items import turn_from
from chalicelib.store.table import Attr
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
    with_policies,
)
from wire import Media, MessageKind, Outcome, Quote

PICTURE: dict[str, Any] = {"kind": MessageKind.IMAGE, "media": Media(mime="image/png")}
FRIDAY, SATURDAY = "Table for 2 on Friday", "Table for 12 on Saturday"


def edit(services: Services, clock: Clock, text: str = SATURDAY, id: str = "M1", **more: Any) -> Outcome:
    more = {"edited_at_ms": clock(), "sent_at_ms": Clock().now, **more}
    return hand_in(services, message(clock, id, text, **more))[0].outcome


def delete(services: Services, clock: Clock, id: str = "M1", **more: Any) -> Outcome:
    return hand_in(services, message(clock, id, "", deleted=True, **more))[0].outcome


def stored(services: Services, id: str = "M1", sender: str = "contact") -> StoredMessage:
    chat = services.chats.get(T, CHAT)
    assert chat is not None
    messages = services.chats.read_recent(chat, depth=99, now=services.clock()).messages
    (found,) = (each for each in messages if each.key == f"{sender}#{id}")
    return found


def asked(services: Services) -> list[str]:
    """What the contact says in the model's latest call."""
    return [line.text for line in llm(services).asked[-1] if line.role == "user"]


def everything(services: Services) -> str:
    """All that the table holds."""
    return "\n".join(map(repr, services.table.items()))  # type: ignore[attr-defined]


def taken(services: Services, clock: Clock) -> bool:
    turn = open_turn(services)
    return services.turns.take(turn, "runneraaaa", services.sessions.get(T).epoch, clock()) is not None


# -- edits -----------------------------------------------------------------------------------------------------------


def test_an_edit_before_the_first_check_is_answered_in_its_new_wording(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(1)
    assert edit(line, clock) is Outcome.QUEUED
    clock.pass_seconds(1)
    assert check(line) is ReplyOutcome.RANG
    assert asked(line) == [SATURDAY] and open_turn(line).revision == 1
    assert stored(line).version == 1


def test_an_edit_of_a_ready_turn_withdraws_its_text_at_once_and_is_answered(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    jobs(line).sent.clear()
    assert edit(line, clock) is Outcome.QUEUED
    assert not taken(line, clock) and open_turn(line).state is TurnState.THINKING
    assert (T, CHAT, 0) in jobs(line).sent
    assert check(line) is ReplyOutcome.RANG
    assert asked(line) == [SATURDAY]
    turn = open_turn(line)
    assert turn.parts == (f"You said: {SATURDAY}",) and turn.versions == (1,) and turn.calls == 2 and turn.discards == 0
    assert check(line) is ReplyOutcome.RANG
    assert len(llm(line).asked) == 2
    assert deliver(line, clock).state is TurnState.SENT


def test_a_text_for_the_former_wording_is_not_stored(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)

    def write_again() -> None:
        llm(line).meanwhile = lambda: None
        edit(line, clock)

    llm(line).meanwhile = write_again
    assert check(line) is ReplyOutcome.SUPERSEDED
    assert open_turn(line).parts == ()
    assert check(line) is ReplyOutcome.RANG
    assert open_turn(line).parts == (f"You said: {SATURDAY}",)


def test_an_edit_is_answered_even_if_its_check_is_lost(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    edit(line, clock)
    jobs(line).sent.clear()
    clock.pass_seconds(1)
    reconcile.reconcile(line)
    assert jobs(line).sent == [(T, CHAT, 0)]
    assert check(line) is ReplyOutcome.RANG


def test_an_edit_of_a_turn_that_waits_for_a_person_and_of_one_of_two_messages(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY), message(clock, "M2", "Thanks"))
    clock.pass_seconds(2)
    check(line)
    turn = open_turn(line)
    line.turns._change(turn, {"state": TurnState.WAITING}, Attr("pk").exists())
    edit(line, clock)
    assert check(line) is ReplyOutcome.RANG
    assert asked(line) == [SATURDAY, "Thanks"]


def test_an_edit_during_sending_and_after_it_only_changes_the_history(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    assert taken(line, clock)
    before = open_turn(line)
    edit(line, clock)
    assert open_turn(line) == replace(before, markdown="", parts_once_sent=("You said: [deleted]",)), (
        "it stands once it is sent"
    )
    assert check(line) is ReplyOutcome.BUSY
    deliver(line, clock)
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    clock.pass_seconds(60)
    assert edit(line, clock, "Table for 3 on Sunday") is Outcome.DUPLICATE
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    assert len(llm(line).asked) == 1
    hand_in(line, message(clock, "M2", "Is that right?"))
    clock.pass_seconds(2)
    check(line)
    assert asked(line) == ["Table for 3 on Sunday", "Is that right?"]


def test_no_turn_is_opened_over_a_batch_that_was_read_before_an_edit(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    stale = line.chats.get(T, CHAT)
    assert stale is not None
    batch = line.chats.read_recent(stale, depth=9, now=clock()).messages
    edit(line, clock)
    assert line.turns.freeze(stale, batch, retention_days=1, now=clock()) is None
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert asked(line) == [SATURDAY]


def test_only_the_newest_edit_counts_in_whatever_order_edits_come(line: Services, clock: Clock) -> None:
    edit(line, clock, "second", edited_at_ms=20)
    hand_in(line, message(clock, "M1", "original"))
    edit(line, clock, "first", edited_at_ms=10)
    assert stored(line).text == "second" and stored(line).version == 0
    edit(line, clock, "third", edited_at_ms=30)
    edit(line, clock, "third", edited_at_ms=30)
    assert stored(line).text == "third" and stored(line).version == 1
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert edit(line, clock, "third", edited_at_ms=30) is Outcome.QUEUED
    assert open_turn(line).state is TurnState.READY, "a duplicate withdraws nothing"


def test_a_contact_who_goes_on_editing_costs_a_few_calls_and_is_told_apart(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    for number in range(20):
        clock.pass_seconds(3)
        edit(line, clock, f"Table for {number}")
        check(line)
    assert len(llm(line).asked) == MAX_CALLS
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is None
    (turn,) = line.chats.read_recent(chat, depth=9, now=clock()).turns
    assert (turn.state, turn.reason) == (TurnState.DISCARDED, "changed too often")


def test_edits_give_words_and_take_them(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", "", **PICTURE))
    assert stored(line).skipped is SkipReason.NO_TEXT_IMAGE
    clock.pass_seconds(30)
    assert edit(line, clock, "", caption="Is this the right part?", **PICTURE) is Outcome.QUEUED
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert "Is this the right part?" in asked(line)[0]
    edit(line, clock, "", **PICTURE)
    assert check(line) is ReplyOutcome.NOT_YET
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.open_turn is None
    assert edit(line, clock, "", caption="This one?", edited_at_ms=clock() + 1, **PICTURE) is Outcome.QUEUED
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG, "a second turn begins with the same message"
    assert "This one?" in asked(line)[0]


def test_a_picture_that_got_the_sentence_is_answered_once_an_edit_gives_it_words(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", "", **PICTURE))
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    edit(line, clock, "", caption="Is this the right part?", **PICTURE)
    assert open_turn(line).state is TurnState.READY, "a fixed sentence stays as it is"
    assert check(line) is ReplyOutcome.NOT_YET
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    jobs(line).sent.clear()
    deliver(line, clock)
    assert jobs(line).sent == [(T, CHAT, 0)]
    assert check(line) is ReplyOutcome.RANG
    assert len(llm(line).asked) == 1


def test_an_edit_of_a_message_that_policy_leaves_unanswered_keeps_no_text(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, ignored_phones=("491700000001",)))
    hand_in(line, message(clock, "M1", FRIDAY, phone="491700000001"))
    assert edit(line, clock, phone="491700000001") is Outcome.DUPLICATE
    assert "Table" not in everything(line)


# -- deletions -------------------------------------------------------------------------------------------------------


def test_a_message_that_is_deleted_before_its_check_is_not_answered(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(1)
    assert delete(line, clock) is Outcome.SKIPPED
    assert stored(line).skipped is SkipReason.DELETED and "Table" not in everything(line)
    clock.pass_seconds(1)
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    assert llm(line).asked == []


def test_a_turn_without_messages_is_discarded(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    delete(line, clock)
    assert not taken(line, clock)
    assert check(line) is ReplyOutcome.NOT_YET
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    (turn,) = (turn_from(item) for item in line.table.items() if item["sk"].startswith("TURN#"))  # type: ignore[attr-defined]
    assert (turn.state, turn.reason) == (TurnState.DISCARDED, "deleted")
    assert "Table" not in everything(line)


def test_a_deleted_message_leaves_its_turn(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY), message(clock, "M2", "Are you open?"))
    clock.pass_seconds(2)

    def think_again() -> None:
        llm(line).meanwhile = lambda: None
        delete(line, clock)

    llm(line).meanwhile = think_again
    assert check(line) is ReplyOutcome.SUPERSEDED
    assert check(line) is ReplyOutcome.RANG
    assert asked(line) == ["Are you open?"] and open_turn(line).messages == ("contact#M2",)
    assert deliver(line, clock).state is TurnState.SENT


def test_a_message_that_is_deleted_after_its_answer_leaves_no_copy(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    deliver(line, clock)
    hand_in(line, message(clock, "M2", "This one.", quote=Quote(id="M1", text=FRIDAY)))
    clock.pass_seconds(2)
    check(line)
    deliver(line, clock)
    assert FRIDAY in everything(line)
    assert delete(line, clock) is Outcome.DUPLICATE
    assert FRIDAY not in everything(line)
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    hand_in(line, message(clock, "M3", "And this?", quote=Quote(id="M1", text=FRIDAY)))
    clock.pass_seconds(2)
    check(line)
    assert FRIDAY not in everything(line) and FRIDAY not in str(llm(line).asked[-1])
    reply = llm(line).asked[-1][0]
    assert (reply.role, reply.text) == ("assistant", "You said: [deleted]")


def test_a_deletion_of_a_message_that_was_never_handed_in_erases_the_quotes_of_it(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M2", "This one.", quote=Quote(id="M1", text=FRIDAY)))
    assert FRIDAY in everything(line)
    assert delete(line, clock) is Outcome.SKIPPED
    assert FRIDAY not in everything(line)


def test_a_deleted_message_from_before_the_linking_leaves_no_quote(line: Services, clock: Clock) -> None:
    since = line.sessions.get(T).answers_since or clock()
    quoting = {"quote": Quote(id="M1", text=FRIDAY)}
    hand_in(line, message(clock, "M2", "This one.", **quoting))
    assert FRIDAY in everything(line)
    [answer] = hand_in(line, message(clock, "M1", "", deleted=True, sent_at_ms=since - 60_000))
    assert (answer.outcome, answer.reason) == (Outcome.SKIPPED, SkipReason.HISTORY)
    hand_in(line, message(clock, "M3", "And this?", **quoting))
    assert FRIDAY not in everything(line)
    assert line.unanswered.latest(T) == []


def test_a_message_that_is_deleted_while_its_answer_is_sent_leaves_no_copy_once_it_is(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    assert taken(line, clock)
    before = open_turn(line)
    assert FRIDAY in before.parts[0]
    delete(line, clock)
    assert open_turn(line).parts == before.parts, "a text must not change under its id"
    deliver(line, clock)
    assert FRIDAY not in everything(line)


def test_a_process_that_dies_in_a_deletion_leaves_nothing_that_the_next_one_cannot_erase(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)
    check(line)
    deliver(line, clock)
    changes = line.message_changes
    with monkeypatch.context() as dying:
        dying.setattr(changes, "erase_copies", lambda *of: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            delete(line, clock)
    delete(line, clock)
    assert FRIDAY not in everything(line)


def test_a_text_that_was_made_while_a_deletion_died_half_way_leaves_no_copy_either(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(line, message(clock, "M1", FRIDAY))
    clock.pass_seconds(2)

    def die_half_way() -> None:
        llm(line).meanwhile = lambda: None
        with monkeypatch.context() as dying:
            dying.setattr(line.message_changes, "count", lambda chat: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                delete(line, clock)

    llm(line).meanwhile = die_half_way
    assert check(line) is ReplyOutcome.RANG
    deliver(line, clock)
    assert FRIDAY in everything(line)
    delete(line, clock)
    assert FRIDAY not in everything(line)
    assert "copies" not in everything(line)


def test_a_deletion_that_comes_before_its_original_is_kept(line: Services, clock: Clock) -> None:
    assert delete(line, clock) is Outcome.SKIPPED
    assert hand_in(line, message(clock, "M1", FRIDAY))[0].outcome is Outcome.DUPLICATE
    edit(line, clock)
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.NOTHING_WAITS
    assert "Table" not in everything(line)


@pytest.mark.parametrize("paused", [False, True])
def test_a_deletion_counts_whatever_policy_says_by_then(line: Services, clock: Clock, paused: bool) -> None:
    hand_in(line, message(clock, "M1", FRIDAY, phone="491700000001"))
    if paused:
        line.tenants.set_state(T, TenantState.PAUSED, now=clock(), by="o")
    else:
        with_policies(line, replace(UNCAPPED, ignored_phones=("491700000001",)))
    delete(line, clock, phone="491700000001")
    assert "Table" not in everything(line)


# -- the account's own messages --------------------------------------------------------------------------------------


def test_a_reply_that_the_owner_deletes_is_no_takeover_and_leaves_the_history(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", "Secret?"))
    clock.pass_seconds(2)
    llm(line).next = ["The answer is **forty-two**."]
    check(line)
    sent = deliver(line, clock)
    own = {"from_me": True, "sent_at_ms": clock()}
    assert hand_in(line, message(clock, sent.part_ids[0], sent.parts[0], **own))[0].outcome is Outcome.DELIVERY
    hand_in(line, message(clock, "M2", "Why?", quote=Quote(id=sent.part_ids[0], from_me=True, text=sent.parts[0])))
    assert delete(line, clock, sent.part_ids[0], **own) is Outcome.DELIVERY
    assert "forty-two" not in everything(line)
    clock.pass_seconds(2)
    assert check(line) is ReplyOutcome.RANG
    assert "forty-two" not in str(llm(line).asked[-1])
    chat = line.chats.get(T, CHAT)
    assert chat is not None and chat.takeover_until == 0


def test_a_reply_that_the_owner_edits_is_in_the_history_as_the_contact_reads_it(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", "When?"))
    clock.pass_seconds(2)
    llm(line).next = ["At **eight**."]
    check(line)
    sent = deliver(line, clock)
    edit(line, clock, "At nine.", sent.part_ids[0], from_me=True)
    hand_in(line, message(clock, "M2", "Thanks"))
    clock.pass_seconds(2)
    check(line)
    assert [line.text for line in llm(line).asked[-1] if line.role == "assistant"] == ["At nine."]


def test_what_the_owner_typed_and_edits_or_deletes_changes_in_the_history(line: Services, clock: Clock) -> None:
    own = {"from_me": True, "sent_at_ms": clock()}
    hand_in(line, message(clock, "OWN1", "We open at eight.", **own), message(clock, "OWN2", "Call me.", **own))
    edit(line, clock, "We open at nine.", "OWN1", from_me=True)
    delete(line, clock, "OWN2", **own)
    assert stored(line, "OWN1", "me").text == "We open at nine."
    assert "Call me" not in everything(line)
    clock.pass_seconds(3_601)
    hand_in(line, message(clock, "M1", "When do you open?"))
    clock.pass_seconds(2)
    check(line)
    assert [said.text for said in llm(line).asked[-1]][:2] == ["We open at nine.", "When do you open?"]
