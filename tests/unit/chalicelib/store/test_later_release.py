"""What a later release wrote is read by this one, and reads as the neutral case: after a roll-back nothing breaks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.model import (
    LEASE,
    Audience,
    Chat,
    Event,
    EventKind,
    GroupAnswers,
    Problem,
    RunnerState,
    Session,
    SkipReason,
    TenantState,
    TurnState,
    classify,
    may_reap,
    milliseconds,
    should_run,
    unanswered_messages,
)
from chalicelib.model.assistant import AnswerLength
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.model.messages.automatic_messages import TextMark
from chalicelib.model.messages.message import stored_message
from chalicelib.model.notices.kinds import NoticeKind, Recipient
from chalicelib.model.notices.notice import NewsState
from chalicelib.model.stored_enum import StoredEnum
from chalicelib.store.conversation.chats import Chats, arrival
from chalicelib.store.conversation.items import chat_key
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.operators import Operators, SignInStep, StepKind
from chalicelib.store.records.wire_enums import NEUTRAL, read_enum
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table, Update
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from chalicelib.web.messages import EVENT_LABELS
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.placing import placement_on
from wire import Message, MessageKind, Outcome, Phase, ProblemCode, SessionReport, Wanted

T, CHAT, RUNNER = "tenantaaaa", "4711@lid", "runneraaaa"
LATER = "of_a_later_release"


@pytest.fixture
def table(memory_table: Table) -> Table:
    return memory_table


@pytest.fixture
def tenants(table: Table) -> Tenants:
    tenants = Tenants(table, Timeline(table))
    tenants.create(a_tenant(T), ASSISTANT, by="operator@example.com")
    return tenants


def handed_in(table: Table, clock: Clock, skipped: SkipReason | None = None) -> Chats:
    chats = Chats(table)
    about = {"id": "M1", "chat": CHAT, "from_me": False, "kind": "text", "text": "Hello", "sent_at_ms": clock()}
    message = Message.model_validate(about)
    chat = chats.record(T, message, None)
    at = arrival(clock(), 0)
    stored = stored_message(message, chat.id, at=at, skipped=skipped, keeps_content=True, now=clock())
    chats.store_message(chat, stored, retention_days=30, now=clock())
    return chats


@pytest.mark.parametrize("kind", StoredEnum.__subclasses__())
def test_each_enum_of_ours_reads_an_unknown_value_as_unknown(kind: type[StoredEnum]) -> None:
    assert kind(LATER) is kind["UNKNOWN"]
    ours = {TurnState, TenantState, EventKind, RunnerState, SkipReason, StepKind, TextMark, Audience, GroupAnswers}
    ours |= {FixedSentence, Recipient, NoticeKind, NewsState, AnswerLength}
    assert ours == {*StoredEnum.__subclasses__()}


@pytest.mark.parametrize("kind", NEUTRAL)
def test_each_enum_of_the_wire_reads_an_unknown_value_as_its_neutral_one(kind: Any) -> None:
    assert read_enum(kind, LATER) is read_enum(kind, None) is NEUTRAL[kind]
    assert [read_enum(kind, member.value) for member in kind] == [*kind]


@pytest.mark.parametrize("field", ["phase", "problem"])
@pytest.mark.parametrize("value", [LATER, "unknown"])
def test_the_wire_refuses_an_unknown_value_all_the_same(field: str, value: str) -> None:
    report = {"tenant": T, "epoch": 1, "sequence": 1, "phase": "online"}
    assert SessionReport.model_validate(report)
    with pytest.raises(ValidationError):
        SessionReport.model_validate({**report, field: value})


# --- tenants and sessions --------------------------------------------------------------------------------------


def test_a_tenant_in_an_unknown_state_is_silent(tenants: Tenants, table: Table, clock: Clock) -> None:
    table.update(Update(f"TENANT#{T}", "TENANT", set={"wanted": LATER}))
    tenant = tenants.get(T)
    assert (tenant.state, tenant.paused) == (TenantState.UNKNOWN, True)
    assert not should_run(tenant.state, Session(T, number="4917"), clock())
    assert [each.state for each, _ in tenants.list_all()] == [TenantState.UNKNOWN]
    message = Message(id="M1", chat=CHAT, from_me=False, sent_at_ms=clock(), kind=MessageKind.TEXT, text="Hello")
    session = Session(T, number="4917", linked_at=clock())
    answer = classify(message, Chat(T, CHAT), session, tenant, clock())
    assert (answer.outcome, answer.reason) == (Outcome.SKIPPED, SkipReason.PAUSED)
    assert tenants.set_state(T, TenantState.ACTIVE, now=clock(), by="operator@example.com")


@pytest.mark.parametrize("name", ["assistant_problem", "mail_problem"])
def test_an_unknown_problem_of_a_tenant_is_found_out_again(
    tenants: Tenants, table: Table, clock: Clock, name: str
) -> None:
    table.update(Update(f"TENANT#{T}", "TENANT", set={name: {"code": LATER, "since": 5, "detail": ""}}))
    assert tenants.get(T) == a_tenant(T)
    known = Problem(ProblemCode.KEY_REVOKED, clock())
    set_problem: Callable[[str, Problem], bool] = getattr(tenants, f"set_{name}")
    assert set_problem(T, known)
    assert getattr(tenants.get(T), name) == known


def test_a_session_in_an_unknown_phase_is_not_online(tenants: Tenants, table: Table) -> None:
    later = {"phase": LATER, "number": "4917", "untold": LATER, "problem": {"code": LATER, "since": 5}}
    table.update(Update(f"TENANT#{T}", "SESSION", set=later))
    session = placement_on(table).sessions.get(T)
    assert (session.phase, session.problem, session.former_notice, session.up) == (Phase.IDLE, None, None, False)
    assert not replace(session, number=None).up


def test_an_unknown_event_is_a_line_of_the_timeline(tenants: Tenants, table: Table, timeline: Timeline) -> None:
    timeline.record(Event(T, 99_999, EventKind.ONLINE, "detail"))
    [item] = [item for item in table.query(f"TENANT#{T}", begins_with="EVENT#") if item["detail"] == "detail"]
    table.update(Update(item["pk"], item["sk"], set={"happened": LATER}))
    [event] = [event for event in timeline.latest(T) if event.detail == "detail"]
    assert event == Event(T, 99_999, EventKind.UNKNOWN, "detail")
    assert EVENT_LABELS[event.kind]


def test_an_unknown_step_of_a_sign_in_is_none(table: Table, clock: Clock) -> None:
    operators = Operators(table)
    operators.store_step(SignInStep("visitor", "olga@agency.example", StepKind.CODE, "sub-1", "session", clock()))
    assert operators.find_step("visitor", now=clock()) is not None
    table.update(Update("OPERATOR#visitor", "SIGN_IN", set={"kind": LATER}))
    assert operators.find_step("visitor", now=clock()) is None


# --- runners ---------------------------------------------------------------------------------------------------


def test_a_runner_in_an_unknown_state_keeps_what_it_holds_and_is_given_nothing(
    tenants: Tenants, table: Table, clock: Clock
) -> None:
    runners = Runners(table)
    placement = placement_on(table)
    runners.register(RUNNER, "0" * 64, 2, clock())
    assert placement.keep_awake(T, clock()).runner == RUNNER
    table.update(Update(f"RUNNER#{RUNNER}", "RUNNER", set={"state": LATER, ("assigned", T, "wanted"): LATER}))
    [runner] = runners.alive()
    assert (runner.state, runner.free) == (RunnerState.UNKNOWN, 0)
    assert [each.wanted for each in runner.assigned] == [Wanted.RUN]
    assert not may_reap(runner, clock())
    assert may_reap(runner, clock() + 9 * milliseconds(LEASE))
    session = replace(placement.sessions.get(T), runner=None)
    assert not placement.claim(session, RUNNER, clock())


# --- messages and turns ----------------------------------------------------------------------------------------


def test_a_message_of_an_unknown_kind_or_skipped_for_an_unknown_reason_is_not_answered(
    table: Table, clock: Clock
) -> None:
    chats = handed_in(table, clock, skipped=SkipReason.GROUP)
    table.update(Update(chat_key(T, CHAT), "MESSAGE#contact#M1", set={"kind": LATER, "skipped": LATER}))
    chat = chats.get(T, CHAT)
    assert chat is not None
    [message] = chats.read_recent(chat, depth=9, now=clock()).messages
    assert (message.kind, message.skipped) == (MessageKind.OTHER, SkipReason.UNKNOWN)
    assert unanswered_messages([message], []) == ()


def test_every_kind_of_message_has_its_reason_when_it_carries_no_text() -> None:
    readable = set(MessageKind) - {MessageKind.CIPHERTEXT}
    reasons = {SkipReason.no_text(kind) for kind in readable}
    assert len(reasons) == len(readable) and SkipReason.UNKNOWN not in reasons


@pytest.mark.parametrize(
    "change",
    [
        lambda turns, turn, waiting, now: turns.fold_in(Chat(turn.tenant, turn.chat), turn, waiting, now),
        lambda turns, turn, waiting, now: turns.reclaim(turn, now),
        lambda turns, turn, waiting, now: turns.store_text(turn, ("text",), now),
        lambda turns, turn, waiting, now: turns.postpone(turn, TurnState.THINKING, due_at=1, attempts=1, reason=""),
        lambda turns, turn, waiting, now: turns.discard(turn, SkipReason.TOO_OLD, now),
        lambda turns, turn, waiting, now: turns.abandon(turn, SkipReason.OTHER_LOGIN),
        lambda turns, turn, waiting, now: turns.take(turn, RUNNER, 2, now),
    ],
)
def test_a_turn_in_an_unknown_state_is_left_alone(
    tenants: Tenants, table: Table, clock: Clock, change: Callable[..., object]
) -> None:
    chats, turns, runners = handed_in(table, clock), Turns(table), Runners(table)
    runners.register(RUNNER, "0" * 64, 2, clock())
    assert placement_on(table).keep_awake(T, clock()).epoch == 2
    chat = chats.get(T, CHAT)
    assert chat is not None
    waiting = chats.read_recent(chat, depth=9, now=clock()).messages
    opened = turns.freeze(chat, waiting, retention_days=30, now=clock())
    assert opened is not None
    stored = table.update(Update(chat_key(T, CHAT), f"TURN#{opened.id}", set={"state": LATER}))
    turn = turns.get(T, CHAT, opened.id)
    assert turn == replace(opened, state=TurnState.UNKNOWN)
    assert unanswered_messages(waiting, [turn]) == ()
    assert not change(turns, turn, waiting, clock())
    assert table.get(chat_key(T, CHAT), f"TURN#{opened.id}") == stored


def test_an_assistant_of_a_later_release_answers_as_its_instructions_say(tenants: Tenants, table: Table) -> None:
    later = {"answer_length": LATER, "novelty": {"a": 1}}
    table.update(Update(f"TENANT#{T}", "ASSISTANT#1", set=later))
    assert tenants.get_assistant(T, 1) == replace(ASSISTANT, answer_length=AnswerLength.UNKNOWN)


def test_an_assistant_of_an_earlier_release_has_the_defaults(tenants: Tenants, table: Table) -> None:
    added = ("answer_length", "languages", "web_domains", "web_searches_per_month")
    table.update(Update(f"TENANT#{T}", "ASSISTANT#1", remove=added))
    assert tenants.get_assistant(T, 1) == ASSISTANT
