"""From a message handed in to a turn that is sent: each is answered once, or skipped with a reason."""

from dataclasses import replace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import ActionRequired, NotFound, PermanentError, TransientError
from chalicelib.model import Active, Assistant, Invite, Policies, Problem, Turn, TurnState, out_of_date, seen
from chalicelib.reconcilers import reconcile
from chalicelib.replies import inbound
from chalicelib.replies.model_call import ReplyOutcome
from chalicelib.replies.turn_taking import take_turn
from chalicelib.sessions import events, lifecycle
from chalicelib.store.table import Attr, Update
from chalicelib.web.browser_auth import sha256
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, FakeJobs, FakeLlmClient, FakeMailer, a_tenant
from wire import Acknowledgement, Message, MessageKind, Outcome, Phase, ProblemCode, SessionReport

T = "tenantaaaa"
CHAT = "4711@lid"
PHONE = "491700000001@c.us"
UNCAPPED = Policies(replies_per_minute=0, replies_per_contact_per_day=0)


@pytest.fixture
def line(services: Services, clock: Clock) -> Services:
    """A tenant whose line is online at a runner."""
    tenant = a_tenant(T, key_ciphertext=services.key_encryption.encrypt(T, "sk-test-bakery"), policies=UNCAPPED)
    services.tenants.create(tenant, ASSISTANT, by="operator@example.com")
    runner = services.runners.register("runneraaaa", "0" * 64, 5, clock(), task="task-a")
    session = services.placement.watch(T, clock())
    online = SessionReport(tenant=T, epoch=session.epoch, sequence=1, phase=Phase.ONLINE, number="491709999999")
    services.placement.reported(runner, session, seen(session, online, clock()))
    clock.pass_seconds(30)
    return services


def with_policies(services: Services, policies: Policies) -> None:
    tenant = services.tenants.get(T)
    services.tenants.edit(
        T, {"policies": policies}, expected_revision=tenant.revision, now=0, by="operator@example.com"
    )


def message(clock: Clock, id: str, text: str = "Hello", **more: Any) -> Message:
    fields = {
        "id": id,
        "chat": CHAT,
        "from_me": False,
        "sent_at_ms": clock() // 1000 * 1000,
        "kind": MessageKind.TEXT,
        "text": text,
        **more,
    }
    return Message.model_validate(fields)


def hand_in(services: Services, *messages: Message) -> list[Acknowledgement]:
    return list(inbound.hand_in(services, T, messages))


def look(services: Services, chat: str = CHAT) -> ReplyOutcome:
    return take_turn(services, TurnCheck(tenant=T, chat=chat))


def jobs(services: Services) -> FakeJobs:
    return cast(FakeJobs, services.jobs)


def llm(services: Services) -> FakeLlmClient:
    return cast(FakeLlmClient, services.llm)


def mailed(services: Services) -> list[tuple[str, str]]:
    return [(kind, to) for kind, to, _ in cast(FakeMailer, services.mailer).sent]


def open_turn(services: Services) -> Turn:
    chat = services.chats.chat(T, CHAT)
    assert chat is not None and chat.open_turn is not None
    turn = services.turns.get(T, CHAT, chat.open_turn)
    assert turn is not None
    return turn


def deliver(services: Services, clock: Clock) -> Turn:
    """What the runner does: take, send every part, mark each sent."""
    turn = open_turn(services)
    session = services.placement.session(T)
    assert session.runner is not None
    taken = services.turns.take(turn, session.runner, session.epoch, clock())
    assert taken is not None
    for part in range(len(taken.parts)):
        taken, again = services.turns.sent(taken, part, clock())
        if again:
            services.jobs.enqueue_check(T, CHAT, delay_seconds=0)
    return taken


def test_a_message_is_queued_answered_with_the_tenants_key_and_rung_at_the_holder(line: Services, clock: Clock) -> None:
    assert [each.outcome for each in hand_in(line, message(clock, "M1"))] == [Outcome.QUEUED]
    assert jobs(line).sent == [(T, CHAT, 2.0)]
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.RANG
    assert llm(line).keys == ["sk-test-bakery"]
    turn = open_turn(line)
    assert turn.state is TurnState.READY and turn.parts == ("You said: Hello",)
    assert [rung.turn for rung in line.runners.bell("runneraaaa").rung] == [turn.id]
    assert deliver(line, clock).state is TurnState.SENT
    assert look(line) is ReplyOutcome.NOTHING_WAITS


def test_a_reply_has_the_same_id_however_often_it_is_made(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    turn = open_turn(line)
    assert turn.part_ids == open_turn(line).part_ids
    assert turn.part_ids[0].startswith("3EB0") and len(turn.part_ids[0]) == 22


def test_a_chat_and_a_turn_that_the_former_release_stored_go_on_and_the_reply_keeps_its_id(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    turn = open_turn(line)
    line.table.update(Update(f"CHAT#{T}#{CHAT}", f"TURN#{turn.id}", set={"assistant_version": 3}))
    line.table.update(Update(f"CHAT#{T}#{CHAT}", "CHAT", set={"met_at": 1}))
    assert open_turn(line) == turn
    assert turn.part_ids == ("3EB0833734797F935B8934",)
    assert deliver(line, clock).state is TurnState.SENT


def test_a_batch_handed_in_twice_is_answered_once(line: Services, clock: Clock) -> None:
    first = hand_in(line, message(clock, "M1"), message(clock, "M2"))
    again = hand_in(line, message(clock, "M1"), message(clock, "M2"))
    assert {each.outcome for each in first + again} == {Outcome.QUEUED}
    clock.pass_seconds(2)
    look(line)
    deliver(line, clock)
    assert look(line) is ReplyOutcome.NOTHING_WAITS
    assert len(llm(line).asked) == 1


def test_a_hand_in_that_dies_after_storing_leaves_nobody_unanswered(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(line.placement, "heard", die)
        with pytest.raises(KeyboardInterrupt):
            hand_in(line, message(clock, "M1"))
    assert jobs(line).sent == [(T, CHAT, 2.0)]


def test_a_look_is_enqueued_again_when_storing_took_longer_than_it_waits(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = line.chats.hand_in

    def slowly(*args: Any, **named: Any) -> Any:
        clock.pass_seconds(3)
        return stored(*args, **named)

    monkeypatch.setattr(line.chats, "hand_in", slowly)
    hand_in(line, message(clock, "M1"))
    assert jobs(line).sent == [(T, CHAT, 2.0)] * 2


def test_the_same_id_in_another_chat_is_another_message(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"), message(clock, "M1", chat="4712@lid"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.RANG
    assert look(line, "4712@lid") is ReplyOutcome.RANG


def test_one_contact_under_lid_and_phone_is_one_chat(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", chat_alias=PHONE))
    hand_in(line, message(clock, "M2", "again", chat=PHONE, chat_alias=CHAT))
    clock.pass_seconds(2)
    look(line)
    assert [said.text for said in llm(line).asked[0]] == ["Hello", "again"]
    chat = line.chats.chat(T, PHONE)
    assert chat is not None and chat.id == CHAT and chat.whatsapp_id == PHONE


def test_the_line_waits_until_the_contact_has_finished_writing_but_not_for_ever(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    for number in range(2, 6):
        clock.pass_seconds(1.2)
        assert look(line) is ReplyOutcome.NOT_YET
        hand_in(line, message(clock, f"M{number}"))
    clock.pass_seconds(1.3)
    assert look(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 5


def test_a_message_before_sending_folds_in_and_after_two_discards_waits_for_the_next_turn(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    for number, revision in ((2, 2), (3, 3)):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(2)
        assert look(line) is ReplyOutcome.RANG
        assert open_turn(line).revision == revision
    hand_in(line, message(clock, "M4"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 3
    jobs(line).sent.clear()
    deliver(line, clock)
    assert jobs(line).sent == [(T, CHAT, 0)]
    assert look(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 1


def test_a_text_made_for_a_batch_that_changed_is_thrown_away(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)

    def write_on() -> None:
        llm(line).meanwhile = lambda: None
        hand_in(line, message(clock, "M2", "wait"))
        clock.pass_seconds(2)
        assert look(line) is ReplyOutcome.RANG

    llm(line).meanwhile = write_on
    assert look(line) is ReplyOutcome.SUPERSEDED
    assert open_turn(line).parts == ("You said: wait",)


def test_hundreds_of_messages_are_one_batch_of_which_the_model_reads_the_end(line: Services, clock: Clock) -> None:
    for start in range(0, 400, 50):
        hand_in(line, *(message(clock, f"M{start + number}", "x" * 1_000) for number in range(50)))
        clock.pass_seconds(0.001)
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 400
    assert sum(len(said.text) for said in llm(line).asked[0]) <= 60_000
    deliver(line, clock)
    assert look(line) is ReplyOutcome.NOTHING_WAITS


def test_nothing_folds_into_a_turn_that_is_being_sent(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    turn = open_turn(line)
    session = line.placement.session(T)
    taken = line.turns.take(turn, "runneraaaa", session.epoch, clock())
    assert taken is not None
    hand_in(line, message(clock, "M2", "more"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.BUSY
    _, again = line.turns.sent(taken, 0, clock())
    assert again
    assert look(line) is ReplyOutcome.RANG
    assert [said.text for said in llm(line).asked[-1]] == ["Hello", "You said: Hello", "more"]


def test_only_the_holder_of_the_epoch_takes_a_turn(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    turn = open_turn(line)
    epoch = line.placement.session(T).epoch
    assert line.turns.take(turn, "runneraaaa", epoch - 1, clock()) is None
    assert line.turns.take(turn, "runnerbbbb", epoch, clock()) is None
    assert line.turns.take(turn, "runneraaaa", epoch, clock()) is not None
    assert line.turns.take(turn, "runneraaaa", epoch, clock()) is not None


def test_a_turn_being_sent_is_taken_up_by_the_next_holder_under_the_same_id(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    before = open_turn(line)
    line.turns.take(before, "runneraaaa", line.placement.session(T).epoch, clock())
    line.runners.register("runnerbbbb", "0" * 64, 5, clock(), task="task-b")
    lifecycle.handle_stopped_task(line, "task-a")
    session = line.placement.session(T)
    assert session.runner == "runnerbbbb"
    assert [rung.turn for rung in line.runners.bell("runnerbbbb").rung] == [before.id]
    assert deliver(line, clock).part_ids == before.part_ids


def test_a_person_on_the_phone_takes_over_and_the_line_keeps_quiet(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    own = hand_in(line, message(clock, "OWN1", "I do it myself", from_me=True))
    assert own[0].outcome is Outcome.TAKEOVER
    chat = line.chats.chat(T, CHAT)
    assert chat is not None and chat.open_turn is None
    clock.pass_seconds(1)
    assert hand_in(line, message(clock, "M2"))[0].reason == "takeover"
    clock.pass_seconds(61 * 60)
    assert hand_in(line, message(clock, "M3", "and now?"))[0].outcome is Outcome.QUEUED
    clock.pass_seconds(2)
    look(line)
    assert [said.text for said in llm(line).asked[-1]] == ["Hello", "I do it myself", "Hello", "and now?"]


def test_what_the_owner_answered_while_the_line_was_away_is_theirs(line: Services, clock: Clock) -> None:
    clock.pass_seconds(3 * 3600)
    asked = message(clock, "M1", sent_at_ms=clock() - 2 * 3_600_000)
    answered = message(clock, "OWN1", "Done.", from_me=True, sent_at_ms=clock() - 2 * 3_600_000 + 60_000)
    later = message(clock, "M2", "Thanks! And tomorrow?", sent_at_ms=clock() - 60_000)
    outcomes = [each.outcome for each in hand_in(line, asked, answered, later)]
    assert outcomes == [Outcome.QUEUED, Outcome.TAKEOVER, Outcome.QUEUED]
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.NOT_YET
    assert look(line) is ReplyOutcome.RANG
    assert open_turn(line).messages == ("contact#M2",)


def test_our_own_reply_is_a_delivery_and_no_takeover(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
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
def test_what_is_not_answered_is_skipped_with_a_reason(
    line: Services, clock: Clock, changes: dict[str, Any], reason: str
) -> None:
    answer = hand_in(line, message(clock, "M1", **changes))[0]
    assert (answer.outcome, answer.reason) == (Outcome.SKIPPED, reason)


def test_a_message_that_arrives_late_is_answered_although_the_runner_had_caught_up(
    line: Services, clock: Clock
) -> None:
    runner = line.runners.get("runneraaaa")
    before = line.placement.session(T)
    assert runner is not None
    caught_up = SessionReport(
        tenant=T, epoch=before.epoch, sequence=2, phase=Phase.ONLINE, number=before.number, caught_up_to_ms=clock()
    )
    assert line.placement.reported(runner, before, seen(before, caught_up, clock()))
    late = message(clock, "M1", sent_at_ms=clock() - 20_000)
    assert hand_in(line, late)[0].outcome is Outcome.QUEUED


def test_a_ciphertext_is_answered_once_it_is_decrypted(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1", "", kind=MessageKind.CIPHERTEXT))
    assert hand_in(line, message(clock, "M1", "Hello"))[0].outcome is Outcome.QUEUED


def test_ignored_and_not_allowed_contacts_get_no_answer(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, ignored_phones=("491700000001",)))
    assert hand_in(line, message(clock, "M1", phone="491700000001"))[0].reason == "ignored contact"
    with_policies(line, replace(UNCAPPED, allowed_phones=("491700000002",)))
    assert hand_in(line, message(clock, "M2", phone="491700000001"))[0].reason == "not an allowed contact"


def test_a_revoked_key_is_a_problem_and_the_message_is_answered_once_it_is_mended(line: Services, clock: Clock) -> None:
    llm(line).next = [ActionRequired(ProblemCode.KEY_REVOKED, "The key was revoked.")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.WAITS_FOR_SOMEONE
    problem = line.tenants.get(T).assistant_problem
    assert problem is not None and problem.code is ProblemCode.KEY_REVOKED
    assert look(line) is ReplyOutcome.BUSY
    clock.pass_seconds(15 * 60)
    reconcile.reconcile(line)
    assert jobs(line).sent[-1] == (T, CHAT, 0)
    assert look(line) is ReplyOutcome.RANG
    assert line.tenants.get(T).assistant_problem is None


def test_what_waits_is_answered_as_soon_as_an_operator_has_mended_the_problem(line: Services, clock: Clock) -> None:
    llm(line).next = [ActionRequired(ProblemCode.KEY_REVOKED, "The key was revoked.")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.WAITS_FOR_SOMEONE
    line.tenants.clear_assistant_problem(T, now=clock(), by="operator")
    assert look(line) is ReplyOutcome.RANG


def test_a_rate_limit_that_asks_for_short_pauses_is_outlasted(line: Services, clock: Clock) -> None:
    llm(line).next = [TransientError("busy", retry_after_seconds=0.3) for _ in range(20)]
    hand_in(line, message(clock, "M1"))
    began = clock()
    clock.pass_seconds(2)
    while look(line) is ReplyOutcome.PUT_OFF:
        clock.pass_seconds(jobs(line).sent[-1][2])
    assert open_turn(line).state is TurnState.READY
    assert clock() - began > 30 * 60_000


def test_a_chat_whose_open_turn_expired_is_answered_again(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    line.table.delete(f"CHAT#{T}#{CHAT}", f"TURN#{open_turn(line).id}")
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.NOT_YET
    assert look(line) is ReplyOutcome.RANG


def relinked(services: Services, clock: Clock, number: str) -> None:
    """The phone ended the login, and a (perhaps other) phone scanned anew."""
    runner = services.runners.get("runneraaaa")
    assert runner is not None
    for sequence, phase, linked in ((2, Phase.LOGGED_OUT, None), (3, Phase.ONLINE, number)):
        before = services.placement.session(T)
        report = SessionReport(tenant=T, epoch=before.epoch, sequence=sequence, phase=phase, number=linked)
        assert services.placement.reported(runner, before, seen(before, report, clock()))


def test_another_account_never_sends_what_the_former_was_asked(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    ready = open_turn(line)
    hand_in(line, message(clock, "M2", chat="4712@lid"))
    clock.pass_seconds(30)
    relinked(line, clock, "33123456789")
    assert out_of_date(ready, line.placement.session(T).answers_since, clock()) == "another login"
    assert look(line) is ReplyOutcome.NOT_YET
    chat = line.chats.chat(T, CHAT)
    assert chat is not None and chat.open_turn is None
    assert look(line, "4712@lid") is ReplyOutcome.NOT_YET
    assert look(line, "4712@lid") is ReplyOutcome.NOTHING_WAITS
    assert len(llm(line).asked) == 1


def test_who_writes_to_the_next_login_is_answered_although_a_reply_of_the_former_was_being_sent(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    sending = line.turns.take(open_turn(line), "runneraaaa", line.placement.session(T).epoch, clock())
    assert sending is not None
    clock.pass_seconds(30)
    relinked(line, clock, "491709999999")
    hand_in(line, message(clock, "M2", "And now?"))
    clock.pass_seconds(2)
    jobs(line).sent.clear()
    assert look(line) is ReplyOutcome.BUSY
    assert len(jobs(line).sent) == 1  # nobody else looks at this chat again
    line.turns.abandon(sending, "another login")
    clock.pass_seconds(30)
    assert look(line) is ReplyOutcome.RANG
    assert open_turn(line).messages == ("contact#M2",)


def test_a_reply_that_waited_for_days_is_not_sent_any_more(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    clock.pass_seconds(13 * 3600)
    assert out_of_date(open_turn(line), line.placement.session(T).answers_since, clock()) == "too old"
    assert look(line) is ReplyOutcome.SKIPPED


def test_a_takeover_that_failed_half_way_is_completed_when_it_is_handed_in_again(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    own = message(clock, "OWN1", "I do it", from_me=True)
    with monkeypatch.context() as broken:
        broken.setattr(line.chats, "take_over", lambda *_: (_ for _ in ()).throw(TransientError("busy")))
        with pytest.raises(TransientError):
            hand_in(line, own)
    hand_in(line, own)
    chat = line.chats.chat(T, CHAT)
    assert chat is not None and chat.open_turn is None and chat.takeover_until > clock()


def test_no_turn_is_opened_in_a_chat_that_a_person_took_over_a_moment_ago(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    stale = line.chats.chat(T, CHAT)
    assert stale is not None
    waiting = line.chats.recent(stale, depth=5, now=clock()).messages
    line.chats.take_over(stale, clock() + 60_000)
    assert line.turns.freeze(stale, waiting, retention_days=1, now=clock()) is None


def test_an_old_reply_is_recognised_in_a_lively_group(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, answer_groups=True))
    group = "123-456@g.us"
    hand_in(line, message(clock, "M1", chat=group, sender=CHAT))
    clock.pass_seconds(2)
    look(line, group)
    chat = line.chats.chat(T, group)
    assert chat is not None and chat.open_turn is not None
    turn = line.turns.get(T, group, chat.open_turn)
    assert turn is not None
    line.turns.take(turn, "runneraaaa", line.placement.session(T).epoch, clock())
    line.turns.sent(turn, 0, clock())
    echo = message(clock, turn.part_ids[0], turn.parts[0], chat=group, from_me=True)
    for number in range(10):
        clock.pass_seconds(60)
        hand_in(line, *(message(clock, f"G{number}-{each}", chat=group, sender=CHAT) for each in range(20)))
        look(line, group)
    assert hand_in(line, echo)[0].outcome is Outcome.DELIVERY


def test_a_reply_that_waited_for_hours_is_recognised_when_the_tail_is_handed_in_again(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    llm(line).next = [ActionRequired(ProblemCode.KEY_REVOKED, "The key was revoked.")]
    assert look(line) is ReplyOutcome.WAITS_FOR_SOMEONE
    clock.pass_seconds(11 * 3600)
    line.tenants.clear_assistant_problem(T, now=clock(), by="operator@example.com")
    assert look(line) is ReplyOutcome.RANG
    sent = deliver(line, clock)
    echo = message(clock, sent.part_ids[0], sent.parts[0], from_me=True)
    hand_in(line, message(clock, "M2", "Thanks!"))
    clock.pass_seconds(2)
    look(line)
    deliver(line, clock)
    assert hand_in(line, echo)[0].outcome is Outcome.DELIVERY
    clock.pass_seconds(60)
    assert hand_in(line, message(clock, "M3"))[0].outcome is Outcome.QUEUED
    chat = line.chats.chat(T, CHAT)
    assert chat is not None and chat.takeover_until < clock()


def test_an_ignored_contact_stays_ignored_when_the_page_does_not_know_the_phone(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, ignored_phones=("491700000001",)))
    hand_in(line, message(clock, "M1", phone="491700000001"))
    assert hand_in(line, message(clock, "M2"))[0].reason == "ignored contact"


def test_a_problem_is_told_once_to_operators_and_owner_and_a_fresh_link_works(line: Services, clock: Clock) -> None:
    for number in (1, 2):
        llm(line).next = [ActionRequired(ProblemCode.OUT_OF_CREDIT, "No credit.")]
        hand_in(line, message(clock, f"M{number}", chat=f"471{number}@lid"))
        clock.pass_seconds(2)
        assert look(line, f"471{number}@lid") is ReplyOutcome.WAITS_FOR_SOMEONE
    assert mailed(line) == [("attention", "operators@example.com"), ("problem", "owner@example.com")]
    link = cast(FakeMailer, line.mailer).sent[1][2]
    invite = line.tenants.invites.find(sha256(link.rsplit("/", 1)[1]), now=clock())
    assert invite.tenant == T


def test_a_mail_that_cannot_leave_is_told_in_the_timeline_and_stops_nothing(line: Services, clock: Clock) -> None:
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    llm(line).next = [ActionRequired(ProblemCode.OUT_OF_CREDIT, "No credit.")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.WAITS_FOR_SOMEONE
    assert "SES is busy." in [event.detail for event in line.tenants.timeline(T)]


def test_a_logout_on_the_phone_mails_the_owner_a_fresh_link_at_most_once_in_six_hours(
    line: Services, clock: Clock
) -> None:
    online = line.placement.session(T)
    ended = replace(online, phase=Phase.LOGGED_OUT, number=None, untold=Phase.LOGGED_OUT)
    clock.pass_seconds(15 * 60)
    for _ in range(2):
        events.record_changes(line, online, ended, clock())
    assert mailed(line) == [("logged_out", "owner@example.com")]
    events.record_changes(line, online, ended, clock.pass_seconds(6 * 3600))
    assert len(mailed(line)) == 2


def reports(services: Services, clock: Clock, phase: Phase, **seen_there: Any) -> None:
    """The session's runner says what it sees, and the control plane tells of it."""
    runner = services.runners.get("runneraaaa")
    before = services.placement.session(T)
    assert runner is not None
    said = SessionReport(tenant=T, epoch=before.epoch, sequence=before.sequence + 1, phase=phase, **seen_there)
    after = seen(before, said, clock())
    assert services.placement.reported(runner, before, after)
    events.record_changes(services, before, after, clock())


def minutes_pass(services: Services, clock: Clock, minutes: int) -> list[tuple[str, str]]:
    """What the every-minute loop mails meanwhile; the runner is heard all the while."""
    before = len(mailed(services))
    for _ in range(minutes):
        clock.pass_seconds(60)
        runner = services.runners.get("runneraaaa")
        assert runner is not None
        services.runners.renew(runner, clock(), capacity=5, draining=False, probes={T: clock()})
        reconcile.reconcile(services)
    return mailed(services)[before:]


def test_an_owner_who_closed_the_page_is_mailed_of_a_logout_once_nobody_looks_any_more(
    line: Services, clock: Clock
) -> None:
    line.placement.watch(T, clock())
    reports(line, clock, Phase.LOGGED_OUT)
    reports(line, clock, Phase.STARTING)
    assert minutes_pass(line, clock, 14) == []
    assert minutes_pass(line, clock, 60) == [("logged_out", "owner@example.com")]
    assert line.placement.session(T).untold is None


def test_an_owner_who_linked_again_is_mailed_of_no_logout(line: Services, clock: Clock) -> None:
    line.placement.watch(T, clock())
    reports(line, clock, Phase.LOGGED_OUT)
    reports(line, clock, Phase.ONLINE, number="491709999999")
    assert minutes_pass(line, clock, 20) == []


def test_a_mail_of_a_logout_that_could_not_leave_follows_and_never_within_six_hours_of_the_last(
    line: Services, clock: Clock
) -> None:
    assert minutes_pass(line, clock, 15) == []
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    reports(line, clock, Phase.LOGGED_OUT)
    assert minutes_pass(line, clock, 3) == []
    assert [event.detail for event in line.tenants.timeline(T)].count("SES is busy.") == 1
    cast(FakeMailer, line.mailer).trouble = None
    assert minutes_pass(line, clock, 10) == [("logged_out", "owner@example.com")]
    told_at = clock() - 9 * 60_000
    line.placement.watch(T, clock())
    reports(line, clock, Phase.ONLINE, number="491709999999")
    reports(line, clock, Phase.LOGGED_OUT)
    assert minutes_pass(line, clock, (told_at - clock()) // 60_000 + 6 * 60 - 1) == []
    assert minutes_pass(line, clock, 60) == [("logged_out", "owner@example.com")]


def test_a_problem_that_the_page_told_of_is_mailed_only_if_it_is_there_still_when_nobody_looks(
    line: Services, clock: Clock
) -> None:
    for mended in (True, False):
        line.placement.watch(T, clock())
        reports(line, clock, Phase.CONFLICT, problem=ProblemCode.CONFLICT)
        if mended:
            reports(line, clock, Phase.ONLINE)
        owners = [each for each in minutes_pass(line, clock, 30) if each[1] == "owner@example.com"]
        assert owners == ([] if mended else [("problem", "owner@example.com")])


def told_of(services: Services, code: ProblemCode, now: int) -> None:
    """The session's runner reports this problem."""
    before = services.placement.session(T)
    events.record_changes(services, before, replace(before, problem=Problem(code, now), untold=code), now)


def a_link(services: Services, now: int) -> Invite:
    """The owner's link, as it was mailed once."""
    invite = services.tenants.invites.prepare(T, "0" * 64, now=now)
    services.tenants.invites.settle(invite, now=now)
    return invite


def test_the_page_that_is_open_keeps_its_link_while_it_tells_of_a_passkey_or_a_logout(
    line: Services, clock: Clock
) -> None:
    link = a_link(line, clock())
    session = line.placement.session(T)
    assert session.watched(clock())
    told_of(line, ProblemCode.PASSKEY, clock())
    events.record_changes(
        line, session, replace(session, phase=Phase.LOGGED_OUT, number=None, untold=Phase.LOGGED_OUT), clock()
    )
    assert mailed(line) == [("attention", "operators@example.com")]
    assert line.tenants.invites.find(link.token_sha256, now=clock()) == link
    clock.pass_seconds(15 * 60)
    told_of(line, ProblemCode.PASSKEY, clock())
    assert mailed(line)[1:] == [("problem", "owner@example.com")]


@pytest.mark.parametrize("code", [ProblemCode.INCOMPATIBLE, ProblemCode.BROWSER_MISSING])
def test_what_only_operators_can_mend_is_told_to_them_alone(line: Services, clock: Clock, code: ProblemCode) -> None:
    link = a_link(line, clock())
    clock.pass_seconds(15 * 60)
    told_of(line, code, clock())
    assert mailed(line) == [("attention", "operators@example.com")]
    assert line.tenants.invites.find(link.token_sha256, now=clock()) == link


def test_a_mail_that_cannot_leave_leaves_the_owner_the_former_link(line: Services, clock: Clock) -> None:
    link = a_link(line, clock())
    clock.pass_seconds(15 * 60)
    cast(FakeMailer, line.mailer).trouble = TransientError("SES is busy.")
    told_of(line, ProblemCode.BLOCKED, clock())
    assert line.tenants.invites.find(link.token_sha256, now=clock()) == link
    cast(FakeMailer, line.mailer).trouble = None
    told_of(line, ProblemCode.CONFLICT, clock())
    with pytest.raises(NotFound):
        line.tenants.invites.find(link.token_sha256, now=clock())


def test_a_used_up_budget_is_a_problem_and_what_waits_is_answered_once_it_is_raised(
    line: Services, clock: Clock
) -> None:
    with_policies(line, replace(UNCAPPED, tokens_per_month=10))
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.RANG
    deliver(line, clock)
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.WAITS_FOR_SOMEONE
    with_policies(line, replace(UNCAPPED, tokens_per_month=100))
    clock.pass_seconds(15 * 60)
    assert look(line) is ReplyOutcome.RANG


def test_passing_trouble_is_tried_again_and_nothing_is_made_up(line: Services, clock: Clock) -> None:
    llm(line).next = [TransientError("busy", retry_after_seconds=7)]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.PUT_OFF
    delay = jobs(line).sent[-1][2]
    assert 7 <= delay <= 11
    assert open_turn(line).parts == ()
    clock.pass_seconds(delay)
    assert look(line) is ReplyOutcome.RANG


def test_why_a_turn_was_put_off_is_in_the_log_but_nothing_that_others_wrote(
    line: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "the contact wrote: Hello"}}, "Decrypt")
    trouble = TransientError("The key could not be unlocked just now.")
    trouble.__cause__ = denied
    llm(line).next = [trouble]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.PUT_OFF
    (told,) = [vars(record) for record in caplog.records if record.getMessage() == "turn_postponed"]
    assert (told["error_message"], told["cause"]) == (
        "The key could not be unlocked just now.",
        "AccessDeniedException",
    )
    assert "Hello" not in str(told)


def test_a_refusal_is_given_up_and_the_contact_sees_only_what_the_tenant_configured(
    line: Services, clock: Clock
) -> None:
    llm(line).next = [PermanentError("refusal")]
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.SKIPPED
    with_policies(line, replace(UNCAPPED, give_up_text="We call you back."))
    llm(line).next = [PermanentError("refusal")]
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.RANG
    assert open_turn(line).parts == ("We call you back.",)


def test_replies_beyond_the_minute_wait_and_beyond_the_day_are_skipped(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, replies_per_minute=2, replies_per_contact_per_day=3))
    outcomes = []
    for number in range(1, 6):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(2)
        thought = look(line)
        while thought is ReplyOutcome.NOT_YET:
            clock.pass_seconds(jobs(line).sent[-1][2])
            thought = look(line)
        outcomes.append(thought)
        if thought is ReplyOutcome.RANG:
            deliver(line, clock)
    assert outcomes == [ReplyOutcome.RANG] * 3 + [ReplyOutcome.SKIPPED] * 2


def test_two_bots_do_not_talk_for_ever(line: Services, clock: Clock) -> None:
    with_policies(line, replace(UNCAPPED, replies_per_minute=100))
    thoughts = []
    for number in range(11):
        hand_in(line, message(clock, f"M{number}"))
        clock.pass_seconds(2)
        thoughts.append(look(line))
        if thoughts[-1] is ReplyOutcome.RANG:
            deliver(line, clock)
    assert thoughts == [ReplyOutcome.RANG] * 10 + [ReplyOutcome.SKIPPED]


def test_a_turn_whose_thinker_died_is_thought_again(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)

    def die() -> None:
        raise KeyboardInterrupt

    llm(line).meanwhile = die
    with pytest.raises(KeyboardInterrupt):
        look(line)
    llm(line).meanwhile = lambda: None
    assert look(line) is ReplyOutcome.BUSY
    clock.pass_seconds(151)
    reconcile.reconcile(line)
    assert look(line) is ReplyOutcome.RANG


def test_a_chat_whose_finished_turn_was_left_on_it_goes_on(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    turn = open_turn(line)
    line.turns.take(turn, "runneraaaa", line.placement.session(T).epoch, clock())
    line.turns._change(turn, {"state": TurnState.SENT, "sent_at": clock()}, Attr("pk").exists())
    hand_in(line, message(clock, "M2"))
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.NOT_YET
    assert look(line) is ReplyOutcome.RANG


def test_who_wrote_on_while_a_reply_was_sent_is_looked_at_even_if_its_end_is_told_to_nobody(
    line: Services, clock: Clock
) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    turn = line.turns.take(open_turn(line), "runneraaaa", line.placement.session(T).epoch, clock())
    assert turn is not None
    for id in ("M2", "M3"):
        hand_in(line, message(clock, id))
        clock.pass_seconds(2)
        jobs(line).sent.clear()
        assert look(line) is ReplyOutcome.BUSY
        assert len(jobs(line).sent) == (1 if id == "M2" else 0)  # one more look is enough
    line.turns.sent(turn, 0, clock())  # and the function that wrote this ended before it asked for the look
    clock.pass_seconds(30)
    assert look(line) is ReplyOutcome.RANG
    assert len(open_turn(line).messages) == 2


def test_what_waits_when_the_tenant_is_paused_is_skipped_and_not_forgotten(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    hand_in(line, message(clock, "M2"))
    line.tenants.set_wanted(T, Active.PAUSED, now=clock(), by="o")
    clock.pass_seconds(2)
    assert look(line) is ReplyOutcome.NOT_YET  # the reply that was ready is not sent
    assert look(line) is ReplyOutcome.PAUSED
    line.tenants.set_wanted(T, Active.ACTIVE, now=clock(), by="o")
    assert look(line) is ReplyOutcome.NOTHING_WAITS
    chat = line.chats.chat(T, CHAT)
    assert chat is not None
    turns = line.chats.recent(chat, depth=9, now=clock()).turns
    assert [(turn.state, turn.reason) for turn in turns] == [(TurnState.DISCARDED, "paused")] * 2


def test_one_tenants_trouble_stops_no_other_and_is_raised_in_the_end(
    line: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bakery = line.tenants.get(T)
    for id in ("tenant0000", "tenantzzzz"):
        tenant = replace(bakery, id=id)
        line.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
        line.table.update(Update(f"TENANT#{id}", "SESSION", set={"number": "491709999998"}))
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    clock.pass_seconds(15 * 60)
    jobs(line).sent.clear()
    line.runners.register("runnerbbbb", "0" * 64, 5, clock(), task="task-b")
    place = line.placement.place

    def refuse(tenant: str, now: int) -> bool:
        if tenant == "tenant0000":
            raise TransientError("The database is busy.")
        return place(tenant, now)

    monkeypatch.setattr(line.placement, "place", refuse)
    with pytest.raises(ExceptionGroup) as raised:
        reconcile.reconcile(line)
    assert [str(trouble) for trouble in raised.value.exceptions] == ["The database is busy."]
    assert line.placement.session("tenantzzzz").runner == "runnerbbbb"
    assert jobs(line).sent == [(T, CHAT, 0)]
    assert line.fleet.service().desired == 2


def test_a_turn_that_somebody_began_to_send_and_nobody_finished_is_rung_for_again(line: Services, clock: Clock) -> None:
    hand_in(line, message(clock, "M1"))
    clock.pass_seconds(2)
    look(line)
    turn, session = open_turn(line), line.placement.session(T)
    assert line.turns.take(turn, "runneraaaa", session.epoch, clock()) is not None
    line.runners.hush("runneraaaa", turn.id, turn.revision)
    for _ in range(31):
        clock.pass_seconds(10)
        runner = line.runners.get("runneraaaa")
        assert runner is not None
        line.runners.renew(runner, clock(), capacity=5, draining=False, probes={T: clock()})
    reconcile.reconcile(line)
    assert [rung.turn for rung in line.runners.bell("runneraaaa").rung] == [turn.id]


def test_reconcile_places_what_should_run_releases_what_should_not_and_sizes_the_fleet(
    line: Services, clock: Clock
) -> None:
    line.placement.release(T, "runneraaaa", line.placement.session(T).epoch, clock())
    reconcile.reconcile(line)
    assert line.placement.session(T).runner == "runneraaaa"
    line.tenants.set_wanted(T, Active.PAUSED, now=clock(), by="o")
    reconcile.reconcile(line)
    runner = line.runners.get("runneraaaa")
    assert runner is not None and runner.assigned[0].wanted == "release"
    assert line.fleet.service().desired == 1
