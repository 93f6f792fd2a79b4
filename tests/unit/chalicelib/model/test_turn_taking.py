"""Each rule of turn-taking decides as its docstring says, and an earlier rule has precedence over a later one."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import (
    ANSWER_AT_LATEST,
    MAX_DISCARDS,
    Chat,
    Policies,
    Problem,
    SkipReason,
    StoredMessage,
    TenantState,
    Turn,
    TurnState,
    milliseconds,
)
from chalicelib.model.conversation import LOOP_REPLIES
from chalicelib.model.turn_decisions import (
    CheckAgain,
    Close,
    Decision,
    Detach,
    Discard,
    Done,
    Expire,
    FoldIn,
    Mark,
    Open,
    ReadCallsOfToday,
    ReplyOutcome,
    Retry,
    Ring,
    Skip,
)
from chalicelib.model.turn_taking import MAX_RACES, RULES, ChatView, decide
from tests.unit.conftest import a_tenant
from wire import MessageKind, ProblemCode

NOW = 1_790_000_000_000
MINUTE = 60_000
CHAT = Chat("tenantaaaa", "4711@lid")
UNCAPPED = Policies(replies_per_minute=0, replies_per_contact_per_day=0)


def message(id: str, ago: int = 3_000, **more: Any) -> StoredMessage:
    """A message that came so many milliseconds ago."""
    at = NOW - ago
    text = {"kind": MessageKind.TEXT, "text": "Hello", "sender": None, "from_me": False, "chat": CHAT.id}
    return StoredMessage(**{**text, "id": id, "sent_at": at, "received_at": at, "at": f"{at:013d}#000", **more})


#: Settled: their contact has finished writing. And one that has just come.
OLD, FRESH = message("M1"), message("M2", ago=0)
LATER = message("M3", ago=2_000)


def turn(state: TurnState = TurnState.READY, **more: Any) -> Turn:
    """An open turn over the first message."""
    return Turn(
        **{
            "id": "turn",
            "tenant": CHAT.tenant,
            "chat": CHAT.id,
            "state": state,
            "revision": 1,
            "messages": (OLD.key,),
            "first_message": OLD.id,
            "last_message": OLD.id,
            "created_at": NOW - 1_000,
            "at": OLD.at,
            "oldest_sent_at": OLD.sent_at,
            "due_at": NOW + 1,
            **more,
        }
    )


def view(
    *waiting: StoredMessage, turn: Turn | None = None, chat: Chat = CHAT, policies: Policies = UNCAPPED, **more: Any
) -> ChatView:
    """A chat in which these messages wait; what stands in ``more`` belongs to the view or to the tenant."""
    tenant = a_tenant(CHAT.tenant, policies=policies)
    tenant = replace(tenant, **{name: more.pop(name) for name in ("state", "assistant_problem") if name in more})
    chat = chat if turn is None else replace(chat, open_turn=turn.id)
    return ChatView(
        **{"tenant": tenant, "chat": chat, "turn": turn, "messages": waiting, "turns": (), "waiting": waiting, **more}
    )


PAUSED: dict[str, Any] = {"state": TenantState.PAUSED}
MARKED = replace(CHAT, check_requested=True)
AT_ONCE, DEBOUNCED, AFTER_RACE = CheckAgain(0, 0), CheckAgain(1, 0), CheckAgain(1, 1)
BACKSTOP = CheckAgain(30, 1)
SKIPPED, BUSY, SILENT = Done(ReplyOutcome.SKIPPED), Done(ReplyOutcome.BUSY), Done(ReplyOutcome.PAUSED)
READY, SENDING, THINKING = turn(), turn(TurnState.SENDING), turn(TurnState.THINKING)
OVERDUE = turn(TurnState.THINKING, due_at=NOW)
OVERDUE_SENDING = turn(TurnState.SENDING, due_at=NOW)
WAITING = turn(TurnState.WAITING)
FULL = turn(TurnState.READY, discards=MAX_DISCARDS)
REVOKED = Problem(ProblemCode.KEY_REVOKED, NOW, "The key was revoked.")
TAKEN_OVER = replace(CHAT, takeover_until=NOW + 1)
PER_MINUTE, PER_DAY = replace(UNCAPPED, replies_per_minute=2), replace(UNCAPPED, replies_per_contact_per_day=3)
LATELY = tuple(turn(TurnState.SENT, id=f"T{ago}", created_at=NOW - ago) for ago in (MINUTE - 1, 500))
TWO_BOTS = tuple(turn(TurnState.SENT, id=f"T{number}", sent_at=NOW, created_at=0) for number in range(LOOP_REPLIES))
OWNER = message("OWN1", ago=2_500, from_me=True)

CASES: list[tuple[str, ChatView, Decision]] = [
    # an open turn that has ended
    ("detach_expired_turn", view(OLD, chat=replace(CHAT, open_turn="gone")), Detach(AT_ONCE)),
    ("close_finished_turn", view(OLD, turn=turn(TurnState.SENT)), Close(turn(TurnState.SENT), AT_ONCE)),
    ("close_finished_turn", view(turn=turn(TurnState.DISCARDED)), Close(turn(TurnState.DISCARDED), AT_ONCE)),
    # another login
    (
        "skip_messages_to_former_login",
        view(LATER, former_login=(OLD,)),
        Skip((OLD,), SkipReason.OTHER_LOGIN, AFTER_RACE),
    ),
    (
        "skip_messages_to_former_login",
        view(former_login=(OLD,), attempt=MAX_RACES),
        Skip((OLD,), SkipReason.OTHER_LOGIN, BUSY),
    ),
    (
        "discard_turn_of_former_login",
        view(former_login=(OLD,), turn=READY),
        Discard(READY, SkipReason.OTHER_LOGIN, AFTER_RACE),
    ),
    (
        "wait_for_reply_to_former_login",
        view(LATER, former_login=(OLD,), turn=SENDING),
        Mark(SENDING, BACKSTOP, AT_ONCE),
    ),
    ("wait_for_reply_to_former_login", view(LATER, former_login=(OLD,), turn=SENDING, marked=True), BUSY),
    ("wait_for_reply_to_former_login", view(former_login=(OLD,), turn=READY, turn_changed=True), BUSY),
    # a paused tenant
    ("discard_turn_while_paused", view(OLD, turn=READY, **PAUSED), Discard(READY, SkipReason.PAUSED, AT_ONCE)),
    ("discard_turn_while_paused", view(OLD, turn=SENDING, **PAUSED), Discard(SENDING, SkipReason.PAUSED, AT_ONCE)),
    ("skip_messages_while_paused", view(OLD, **PAUSED), Skip((OLD,), SkipReason.PAUSED, SILENT)),
    ("stay_silent_while_paused", view(**PAUSED), SILENT),
    ("stay_silent_while_paused", view(OLD, turn=SENDING, turn_changed=True, **PAUSED), SILENT),
    (
        "stay_silent_while_paused",
        view(OLD, LATER, turn=SENDING, turn_changed=True, **PAUSED),
        Mark(SENDING, BACKSTOP, SILENT),
    ),
    # an open turn that a runner sends
    ("mark_chat_during_sending", view(OLD, LATER, turn=SENDING), Mark(SENDING, BACKSTOP, AT_ONCE)),
    ("mark_chat_during_sending", view(OLD, LATER, turn=SENDING, chat=MARKED), Mark(SENDING, None, AT_ONCE)),
    (
        "mark_chat_during_sending",
        view(OLD, LATER, turn=SENDING, chat=MARKED, attempt=1),
        Mark(SENDING, CheckAgain(30, 2), CheckAgain(0, 1)),
    ),
    ("leave_sending_to_runner", view(OLD, LATER, turn=SENDING, marked=True), BUSY),
    ("leave_sending_to_runner", view(OLD, turn=OVERDUE_SENDING), Ring(OVERDUE_SENDING, ReplyOutcome.BUSY)),
    # an open turn that is not sent yet
    ("discard_turn_that_is_too_old", view(turn=READY), Discard(READY, SkipReason.TOO_OLD, SKIPPED)),
    ("discard_turn_that_is_too_old", view(turn=READY, turn_changed=True), SKIPPED),
    ("debounce_new_messages", view(OLD, FRESH, turn=READY), DEBOUNCED),
    ("fold_in_new_messages", view(OLD, LATER, turn=READY), FoldIn(READY, (OLD, LATER))),
    ("fold_in_new_messages", view(OLD, LATER, turn=THINKING), FoldIn(THINKING, (OLD, LATER))),
    ("mark_chat_for_next_turn", view(OLD, LATER, turn=FULL), Mark(FULL, BACKSTOP, AT_ONCE)),
    ("mark_chat_for_next_turn", view(OLD, LATER, turn=READY, turn_changed=True), Mark(READY, BACKSTOP, AT_ONCE)),
    ("ring_for_ready_turn", view(OLD, turn=READY), Ring(READY, ReplyOutcome.RANG)),
    ("ring_for_ready_turn", view(OLD, LATER, turn=FULL, marked=True), Ring(FULL, ReplyOutcome.RANG)),
    ("leave_turn_in_progress", view(OLD, turn=THINKING), BUSY),
    ("leave_turn_in_progress", view(OLD, turn=WAITING, assistant_problem=REVOKED), BUSY),
    ("retry_overdue_turn", view(OLD, turn=OVERDUE), Retry(OVERDUE, (OLD,))),
    ("retry_overdue_turn", view(OLD, turn=WAITING), Retry(WAITING, (OLD,))),
    (
        "retry_overdue_turn",
        view(OLD, LATER, turn=OVERDUE, turn_changed=True, marked=True),
        Retry(OVERDUE, (OLD,)),
    ),
    (
        "retry_overdue_turn",
        view(LATER, turn=OVERDUE, turn_changed=True, marked=True),
        Expire(OVERDUE, SkipReason.TOO_OLD),
    ),
    # no open turn
    ("stop_where_nothing_waits", view(), Done(ReplyOutcome.NOTHING_WAITS)),
    ("skip_during_takeover", view(OLD, chat=TAKEN_OVER), Skip((OLD,), SkipReason.TAKEOVER, SKIPPED)),
    (
        "skip_messages_that_a_person_answered",
        view(OLD, LATER, messages=(OLD, OWNER, LATER)),
        Skip((OLD,), SkipReason.TAKEOVER, AT_ONCE),
    ),
    ("debounce", view(OLD, FRESH), DEBOUNCED),
    ("debounce", view(FRESH, attempt=2), CheckAgain(1, 2)),
    (
        "stop_two_bots",
        view(OLD, turns=TWO_BOTS, policies=replace(UNCAPPED, replies_per_minute=100)),
        Skip((OLD,), SkipReason.BOT_LOOP, SKIPPED),
    ),
    ("limit_replies_per_minute", view(OLD, turns=LATELY, policies=PER_MINUTE), CheckAgain(1.001, 0)),
    ("limit_replies_per_day", view(OLD, policies=PER_DAY), ReadCallsOfToday()),
    (
        "limit_replies_per_day",
        view(OLD, policies=PER_DAY, calls_today=3),
        Skip((OLD,), SkipReason.DAILY_CAP, SKIPPED),
    ),
    ("open_turn", view(OLD, policies=PER_DAY, calls_today=2), Open((OLD,), AFTER_RACE)),
    ("open_turn", view(OLD, attempt=MAX_RACES), Open((OLD,), BUSY)),
    ("open_turn", view(OLD, chat=replace(CHAT, takeover_until=NOW)), Open((OLD,), AFTER_RACE)),
    ("open_turn", view(OLD, turns=LATELY[:1], policies=PER_MINUTE), Open((OLD,), AFTER_RACE)),
    (
        "open_turn",
        view(OLD, messages=(OLD, OWNER), policies=replace(UNCAPPED, takeover_minutes=0)),
        Open((OLD,), AFTER_RACE),
    ),
    (
        "open_turn",
        view(message("M0", ago=milliseconds(ANSWER_AT_LATEST)), FRESH),
        Open((message("M0", ago=milliseconds(ANSWER_AT_LATEST)), FRESH), AFTER_RACE),
    ),
]

#: A chat to which all of these rules apply, in their order of precedence.
PRECEDENCE: list[tuple[list[str], ChatView]] = [
    (
        ["detach_expired_turn", "skip_messages_to_former_login", "skip_messages_while_paused"],
        view(OLD, former_login=(LATER,), chat=replace(TAKEN_OVER, open_turn="gone"), **PAUSED),
    ),
    (
        ["close_finished_turn", "discard_turn_of_former_login", "discard_turn_while_paused"],
        view(OLD, former_login=(LATER,), turn=turn(TurnState.SENT), **PAUSED),
    ),
    (
        ["skip_messages_to_former_login", "skip_messages_while_paused", "stay_silent_while_paused"],
        view(OLD, former_login=(LATER,), **PAUSED),
    ),
    (
        ["discard_turn_of_former_login", "wait_for_reply_to_former_login", "discard_turn_while_paused"],
        view(OLD, former_login=(LATER,), turn=READY, **PAUSED),
    ),
    (
        ["wait_for_reply_to_former_login", "discard_turn_while_paused", "mark_chat_during_sending"],
        view(OLD, former_login=(LATER,), turn=SENDING, **PAUSED),
    ),
    (
        ["discard_turn_while_paused", "stay_silent_while_paused", "mark_chat_during_sending"],
        view(OLD, LATER, turn=SENDING, **PAUSED),
    ),
    (
        ["skip_messages_while_paused", "stay_silent_while_paused", "skip_during_takeover"],
        view(OLD, chat=TAKEN_OVER, **PAUSED),
    ),
    (["stay_silent_while_paused", "stop_where_nothing_waits"], view(**PAUSED)),
    (
        ["mark_chat_during_sending", "leave_sending_to_runner", "fold_in_new_messages", "mark_chat_for_next_turn"],
        view(OLD, LATER, turn=SENDING),
    ),
    (["leave_sending_to_runner", "discard_turn_that_is_too_old"], view(turn=SENDING)),
    (
        ["discard_turn_that_is_too_old", "ring_for_ready_turn", "stop_where_nothing_waits"],
        view(turn=READY),
    ),
    (
        ["debounce_new_messages", "fold_in_new_messages", "mark_chat_for_next_turn", "ring_for_ready_turn"],
        view(OLD, FRESH, turn=READY),
    ),
    (
        ["fold_in_new_messages", "mark_chat_for_next_turn", "leave_turn_in_progress", "retry_overdue_turn"],
        view(OLD, LATER, turn=THINKING),
    ),
    (
        ["mark_chat_for_next_turn", "ring_for_ready_turn", "leave_turn_in_progress", "retry_overdue_turn"],
        view(OLD, LATER, turn=FULL),
    ),
    (["ring_for_ready_turn", "leave_turn_in_progress", "retry_overdue_turn"], view(OLD, turn=READY)),
    (
        ["leave_turn_in_progress", "retry_overdue_turn", "skip_during_takeover", "open_turn"],
        view(OLD, turn=THINKING, chat=TAKEN_OVER),
    ),
    (["retry_overdue_turn", "skip_during_takeover", "open_turn"], view(OLD, turn=OVERDUE, chat=TAKEN_OVER)),
    (["stop_where_nothing_waits", "skip_during_takeover", "debounce"], view(chat=TAKEN_OVER)),
    (
        ["skip_during_takeover", "skip_messages_that_a_person_answered", "debounce"],
        view(OLD, FRESH, chat=TAKEN_OVER, messages=(OLD, OWNER, FRESH)),
    ),
    (["skip_messages_that_a_person_answered", "debounce"], view(OLD, FRESH, messages=(OLD, OWNER, FRESH))),
    (
        ["debounce", "stop_two_bots", "limit_replies_per_minute", "limit_replies_per_day", "open_turn"],
        view(
            FRESH,
            turns=(*TWO_BOTS, *LATELY),
            policies=Policies(replies_per_minute=2, replies_per_contact_per_day=3),
        ),
    ),
    (
        ["stop_two_bots", "limit_replies_per_minute", "limit_replies_per_day", "open_turn"],
        view(
            OLD,
            turns=(*TWO_BOTS, *LATELY),
            policies=Policies(replies_per_minute=2, replies_per_contact_per_day=3),
        ),
    ),
    (
        ["limit_replies_per_minute", "limit_replies_per_day", "open_turn"],
        view(OLD, turns=LATELY, policies=Policies(replies_per_minute=2, replies_per_contact_per_day=3)),
    ),
    (["limit_replies_per_day", "open_turn"], view(OLD, policies=PER_DAY)),
]


def applying(chat: ChatView) -> list[str]:
    """The rules that apply to this chat, in order of precedence."""
    return [rule.__name__ for rule in RULES if rule(chat, NOW) is not None]


@pytest.mark.parametrize(("rule", "chat", "decision"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_a_rule_decides(rule: str, chat: ChatView, decision: Decision) -> None:
    assert applying(chat)[0] == rule
    assert decide(chat, NOW) == decision


@pytest.mark.parametrize(("rules", "chat"), PRECEDENCE, ids=[case[0][0] for case in PRECEDENCE])
def test_an_earlier_rule_has_precedence(rules: list[str], chat: ChatView) -> None:
    assert [rule for rule in applying(chat) if rule in rules] == rules
    assert applying(chat)[0] == rules[0]


def test_each_rule_is_tested_and_each_has_precedence_over_the_next_that_could_apply_with_it() -> None:
    names = [rule.__name__ for rule in RULES]
    assert {rule for rule, _, _ in CASES} == set(names)
    assert [rules[0] for rules, _ in PRECEDENCE] == names[:-1]


def test_some_rule_always_decides() -> None:
    for _, chat, _ in CASES:
        for paused in (TenantState.ACTIVE, TenantState.PAUSED):
            assert decide(replace(chat, tenant=replace(chat.tenant, state=paused)), NOW)
