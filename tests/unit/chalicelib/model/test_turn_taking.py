"""Each rule of turn-taking decides as its docstring says, and an earlier rule has precedence over a later one."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import (
    ANSWER_AT_LATEST,
    MAX_CALLS,
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
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.model.turn_decisions import (
    AwaitSlot,
    CheckAgain,
    ClaimSlot,
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
    Say,
    Skip,
)
from chalicelib.model.turn_rules.limits import slots_of_tenant
from chalicelib.model.turn_rules.view import MAX_RACES, ChatView
from chalicelib.model.turn_taking import RULES, decide
from tests.unit.conftest import a_tenant
from tests.unit.support.online_line import UNCAPPED
from wire import MessageKind, ProblemCode

NOW = 1_790_000_000_000
MINUTE = 60_000
CHAT = Chat("tenantaaaa", "4711@lid")


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
    own = {"tenant": tenant, "chat": chat, "turn": turn, "messages": waiting, "turns": (), "waiting": waiting}
    return ChatView(**{**own, "has_slot": True, **more})


PAUSED: dict[str, Any] = {"state": TenantState.PAUSED}
MARKED = replace(CHAT, backstop=1)
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
LATELY = tuple(turn(TurnState.SENT, id=f"T{ago}", called_at=NOW - ago, calls=1) for ago in (MINUTE - 1, 500))
#: Three replies to the text that waits for the fourth.
AWAY = tuple(message(f"A{number}", ago=9_000 - number, text="I am out of office.") for number in range(4))
TWO_BOTS: tuple[Turn, ...] = tuple(
    turn(TurnState.SENT, id=f"T{each.id}", messages=(each.key,), sent_at=NOW - 8_000, created_at=0, at=each.at)
    for each in AWAY[:3]
)
STOP, WORDS = message("STOP", text="Stop!"), message("M4", ago=2_500)
STOPPED = replace(CHAT, stopped_at=NOW - 1)
CONFIRMED = replace(STOPPED, stop_confirmed_at=NOW - 1)
CONFIRMATION = turn(sentence=FixedSentence.STOPPED)
MUTED = replace(CHAT, muted_until=NOW + 1)
EDITED, DELETED = replace(OLD, version=1), replace(OLD, version=1, text="", skipped=SkipReason.DELETED)
BOTH = turn(messages=(OLD.key, LATER.key))
PAID_OFTEN = turn(TurnState.THINKING, calls=MAX_CALLS, due_at=NOW)
PICTURE = message("P1", kind=MessageKind.IMAGE, text="", skipped=SkipReason.NO_TEXT_IMAGE)
NOTICE = turn(messages=(PICTURE.key,), sentence=FixedSentence.NO_PICTURES)
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
        Skip((OLD,), SkipReason.OTHER_LOGIN, CheckAgain(30, MAX_RACES + 1)),
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
    *(
        (  # a backstop that comes again, and a check that is not the latest backstop
            "mark_chat_during_sending",
            view(OLD, LATER, turn=SENDING, chat=replace(CHAT, backstop=3), attempt=attempt),
            Mark(SENDING, None, CheckAgain(0, attempt)),
        )
        for attempt in (0, 1, 2)
    ),
    ("leave_sending_to_runner", view(OLD, LATER, turn=SENDING, marked=True), BUSY),
    ("leave_sending_to_runner", view(OLD, turn=OVERDUE_SENDING), Ring(OVERDUE_SENDING, ReplyOutcome.BUSY)),
    # an open turn that is not sent yet
    (
        "discard_turn_in_stopped_chat",
        view(OLD, STOP, turn=READY, chat=STOPPED),
        Discard(READY, SkipReason.STOPPED, AT_ONCE),
    ),
    (
        "discard_turn_in_stopped_chat",
        view(STOP, turn=NOTICE, chat=STOPPED),
        Discard(NOTICE, SkipReason.STOPPED, AT_ONCE),
    ),
    *(
        (
            "discard_turn_during_takeover",
            view(OLD, turn=turn, chat=TAKEN_OVER),
            Discard(turn, SkipReason.TAKEOVER, AT_ONCE),
        )
        for turn in (THINKING, OVERDUE, READY)
    ),
    (
        "ring_for_ready_turn",
        view(OLD, turn=READY, chat=replace(CHAT, takeover_until=NOW)),
        Ring(READY, ReplyOutcome.RANG),
    ),
    ("ring_for_ready_turn", view(OLD, turn=CONFIRMATION, chat=CONFIRMED), Ring(CONFIRMATION, ReplyOutcome.RANG)),
    (
        "discard_turn_without_messages",
        view(LATER, turn=READY, messages=(DELETED, LATER)),
        Discard(READY, SkipReason.DELETED, AT_ONCE),
    ),
    (
        "discard_turn_without_messages",
        view(turn=THINKING, messages=(replace(EDITED, text="", skipped=SkipReason.NO_TEXT_BLANK),)),
        Discard(THINKING, SkipReason.NO_TEXT_BLANK, AT_ONCE),
    ),
    ("discard_turn_without_messages", view(turn=READY, messages=(DELETED,), turn_changed=True), AFTER_RACE),
    (
        "discard_turn_without_messages",
        view(turn=NOTICE, messages=(replace(PICTURE, version=1, skipped=SkipReason.DELETED),)),
        Discard(NOTICE, SkipReason.DELETED, AT_ONCE),
    ),
    ("freeze_changed_batch", view(EDITED, turn=READY), FoldIn(READY, (EDITED,))),
    ("freeze_changed_batch", view(EDITED, turn=THINKING), FoldIn(THINKING, (EDITED,))),
    ("freeze_changed_batch", view(EDITED, turn=WAITING, assistant_problem=REVOKED), FoldIn(WAITING, (EDITED,))),
    ("freeze_changed_batch", view(LATER, turn=BOTH, messages=(DELETED, LATER)), FoldIn(BOTH, (LATER,))),
    (
        "freeze_changed_batch",
        view(EDITED, turn=replace(FULL, versions=(2,))),
        FoldIn(replace(FULL, versions=(2,)), (EDITED,)),
    ),
    ("freeze_changed_batch", view(EDITED, turn=READY, has_slot=None), ClaimSlot()),
    ("freeze_changed_batch", view(EDITED, turn=READY, has_slot=False), FoldIn(READY, (EDITED,), call=False)),
    ("freeze_changed_batch", view(EDITED, FRESH, turn=READY, has_slot=None), FoldIn(READY, (EDITED,), call=False)),
    ("freeze_changed_batch", view(EDITED, turn=READY, turn_changed=True), AFTER_RACE),
    (
        "ring_for_ready_turn",
        view(EDITED, turn=replace(READY, versions=(1,))),
        Ring(replace(READY, versions=(1,)), ReplyOutcome.RANG),
    ),
    ("leave_sending_to_runner", view(EDITED, turn=SENDING), BUSY),
    (
        "discard_turn_that_changed_too_often",
        view(EDITED, turn=PAID_OFTEN),
        Discard(PAID_OFTEN, SkipReason.CHANGED_TOO_OFTEN, AT_ONCE),
    ),
    ("discard_turn_that_changed_too_often", view(EDITED, turn=PAID_OFTEN, turn_changed=True), AFTER_RACE),
    ("discard_turn_that_is_too_old", view(turn=READY), Discard(READY, SkipReason.TOO_OLD, SKIPPED)),
    ("discard_turn_that_is_too_old", view(turn=READY, turn_changed=True), SKIPPED),
    ("debounce_new_messages", view(OLD, FRESH, turn=READY), DEBOUNCED),
    ("fold_in_new_messages", view(OLD, LATER, turn=READY), FoldIn(READY, (OLD, LATER))),
    ("fold_in_new_messages", view(OLD, LATER, turn=THINKING), FoldIn(THINKING, (OLD, LATER))),
    ("fold_in_new_messages", view(OLD, LATER, turn=READY, policies=PER_DAY), ReadCallsOfToday()),
    ("fold_in_new_messages", view(OLD, LATER, turn=READY, has_slot=None), ClaimSlot()),
    ("mark_chat_for_next_turn", view(OLD, LATER, turn=READY, has_slot=False), Mark(READY, BACKSTOP, AT_ONCE)),
    (
        "mark_chat_for_next_turn",
        view(OLD, LATER, turn=READY, policies=PER_DAY, calls_today=3),
        Mark(READY, BACKSTOP, AT_ONCE),
    ),
    (
        "mark_chat_for_next_turn",
        view(OLD, LATER, turn=READY, policies=PER_MINUTE, turns=LATELY),
        Mark(READY, BACKSTOP, AT_ONCE),
    ),
    ("mark_chat_for_next_turn", view(OLD, LATER, turn=NOTICE), Mark(NOTICE, BACKSTOP, AT_ONCE)),
    (
        "mark_chat_for_next_turn",
        view(OLD, LATER, turn=replace(READY, calls=MAX_CALLS)),
        Mark(replace(READY, calls=MAX_CALLS), BACKSTOP, AT_ONCE),
    ),
    ("mark_chat_for_next_turn", view(OLD, LATER, turn=FULL), Mark(FULL, BACKSTOP, AT_ONCE)),
    ("mark_chat_for_next_turn", view(OLD, LATER, turn=READY, turn_changed=True), Mark(READY, BACKSTOP, AT_ONCE)),
    ("ring_for_ready_turn", view(OLD, turn=READY), Ring(READY, ReplyOutcome.RANG)),
    ("ring_for_ready_turn", view(OLD, LATER, turn=FULL, marked=True), Ring(FULL, ReplyOutcome.RANG)),
    ("leave_turn_in_progress", view(OLD, turn=THINKING), BUSY),
    ("leave_turn_in_progress", view(OLD, turn=WAITING, assistant_problem=REVOKED), BUSY),
    (
        "give_up_turn_that_was_called_too_often",
        view(OLD, turn=PAID_OFTEN),
        Expire(PAID_OFTEN, SkipReason.MODEL_UNAVAILABLE),
    ),
    ("wait_for_slot_of_retry", view(OLD, turn=OVERDUE, has_slot=None), ClaimSlot()),
    ("wait_for_slot_of_retry", view(OLD, turn=OVERDUE, has_slot=False), AwaitSlot()),
    ("retry_overdue_turn", view(OLD, turn=OVERDUE), Retry(OVERDUE, (OLD,))),
    ("retry_overdue_turn", view(OLD, turn=WAITING), Retry(WAITING, (OLD,))),
    (
        "retry_overdue_turn",
        view(OLD, LATER, turn=OVERDUE, turn_changed=True, marked=True),
        Retry(OVERDUE, (OLD,)),
    ),
    (
        "expire_overdue_turn",
        view(LATER, turn=OVERDUE, turn_changed=True, marked=True),
        Expire(OVERDUE, SkipReason.TOO_OLD),
    ),
    # no open turn
    (
        "say_what_the_line_cannot_read",
        view(messages=(PICTURE,), wordless=(PICTURE,)),
        Say((PICTURE,), FixedSentence.NO_PICTURES, SkipReason.NO_TEXT_IMAGE, AFTER_RACE),
    ),
    (
        "say_what_the_line_cannot_read",
        view(messages=(PICTURE,), wordless=(replace(PICTURE, received_at=NOW),)),
        DEBOUNCED,
    ),
    ("stop_where_nothing_waits", view(), Done(ReplyOutcome.NOTHING_WAITS)),
    ("skip_during_takeover", view(OLD, chat=TAKEN_OVER), Skip((OLD,), SkipReason.TAKEOVER, SKIPPED)),
    (
        "skip_messages_that_a_person_answered",
        view(OLD, LATER, messages=(OLD, OWNER, LATER)),
        Skip((OLD,), SkipReason.TAKEOVER, AT_ONCE),
    ),
    ("confirm_stop", view(STOP, chat=STOPPED), Say((STOP,), FixedSentence.STOPPED, SkipReason.STOPPED, AFTER_RACE)),
    ("skip_in_stopped_chat", view(STOP, chat=CONFIRMED), Skip((STOP,), SkipReason.STOPPED, SKIPPED)),
    ("skip_in_stopped_chat", view(OLD, chat=STOPPED), Skip((OLD,), SkipReason.STOPPED, SKIPPED)),
    ("open_turn", view(OLD, chat=replace(CONFIRMED, resumed_at=NOW)), Open((OLD,), AFTER_RACE)),
    ("skip_in_muted_chat", view(OLD, chat=MUTED), Skip((OLD,), SkipReason.BOT_LOOP, SKIPPED)),
    ("open_turn", view(OLD, chat=replace(CHAT, muted_until=NOW)), Open((OLD,), AFTER_RACE)),
    (
        "skip_messages_that_are_too_old",
        view(FRESH, too_old=(OLD,)),
        Skip((OLD,), SkipReason.TOO_OLD, AFTER_RACE),
    ),
    ("debounce", view(OLD, FRESH), DEBOUNCED),
    ("debounce", view(FRESH, attempt=2), CheckAgain(1, 2)),
    (
        "mute_two_bots",
        view(AWAY[3], turns=TWO_BOTS, messages=AWAY),
        Skip((AWAY[3],), SkipReason.BOT_LOOP, SKIPPED, NOW + 60 * MINUTE),
    ),
    ("limit_replies_per_minute", view(OLD, turns=LATELY, policies=PER_MINUTE), CheckAgain(1.001, 0)),
    ("limit_replies_per_day", view(OLD, policies=PER_DAY), ReadCallsOfToday()),
    (
        "limit_replies_per_day",
        view(OLD, policies=PER_DAY, calls_today=3),
        Skip((OLD,), SkipReason.DAILY_CAP, SKIPPED),
    ),
    ("wait_for_slot_of_new_turn", view(OLD, has_slot=None), ClaimSlot()),
    ("wait_for_slot_of_new_turn", view(OLD, has_slot=False), AwaitSlot()),
    ("open_turn", view(OLD, policies=PER_DAY, calls_today=2), Open((OLD,), AFTER_RACE)),
    ("open_turn", view(OLD, attempt=MAX_RACES), Open((OLD,), CheckAgain(30, MAX_RACES + 1))),
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
        ["discard_turn_in_stopped_chat", "discard_turn_during_takeover", "discard_turn_without_messages"],
        view(STOP, turn=READY, chat=replace(STOPPED, takeover_until=NOW + 1), messages=(DELETED, STOP)),
    ),
    (
        ["discard_turn_during_takeover", "discard_turn_without_messages", "skip_during_takeover"],
        view(LATER, turn=READY, chat=TAKEN_OVER, messages=(DELETED, LATER)),
    ),
    (
        ["discard_turn_without_messages", "discard_turn_that_changed_too_often", "discard_turn_that_is_too_old"],
        view(turn=PAID_OFTEN, messages=(DELETED,)),
    ),
    (
        ["discard_turn_that_changed_too_often", "freeze_changed_batch", "give_up_turn_that_was_called_too_often"],
        view(EDITED, turn=PAID_OFTEN),
    ),
    (
        ["freeze_changed_batch", "debounce_new_messages", "fold_in_new_messages", "ring_for_ready_turn"],
        view(EDITED, FRESH, turn=READY),
    ),
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
    (["leave_turn_in_progress", "retry_overdue_turn", "open_turn"], view(OLD, turn=THINKING)),
    (
        ["give_up_turn_that_was_called_too_often", "expire_overdue_turn", "wait_for_slot_of_retry"],
        view(LATER, turn=PAID_OFTEN, marked=True, has_slot=None),
    ),
    (
        ["expire_overdue_turn", "wait_for_slot_of_retry", "retry_overdue_turn"],
        view(LATER, turn=OVERDUE, turn_changed=True, marked=True, has_slot=None),
    ),
    (
        ["wait_for_slot_of_retry", "retry_overdue_turn", "wait_for_slot_of_new_turn"],
        view(OLD, turn=OVERDUE, has_slot=None),
    ),
    (["retry_overdue_turn", "open_turn"], view(OLD, turn=OVERDUE)),
    (
        ["skip_messages_that_are_too_old", "say_what_the_line_cannot_read", "stop_where_nothing_waits"],
        view(too_old=(OLD,), messages=(PICTURE,), wordless=(PICTURE,)),
    ),
    (["say_what_the_line_cannot_read", "stop_where_nothing_waits"], view(messages=(PICTURE,), wordless=(PICTURE,))),
    (["stop_where_nothing_waits", "skip_during_takeover", "debounce"], view(chat=TAKEN_OVER)),
    (
        ["skip_during_takeover", "skip_messages_that_a_person_answered", "confirm_stop", "debounce"],
        view(STOP, FRESH, chat=replace(STOPPED, takeover_until=NOW + 1), messages=(STOP, OWNER, FRESH)),
    ),
    (
        ["skip_messages_that_a_person_answered", "confirm_stop", "debounce"],
        view(STOP, FRESH, chat=STOPPED, messages=(STOP, OWNER, FRESH)),
    ),
    (["confirm_stop", "skip_in_stopped_chat", "debounce"], view(STOP, FRESH, chat=STOPPED)),
    (
        ["skip_in_stopped_chat", "skip_in_muted_chat", "debounce"],
        view(FRESH, chat=replace(STOPPED, muted_until=NOW + 1)),
    ),
    (
        ["skip_in_muted_chat", "debounce", "mute_two_bots"],
        view(replace(AWAY[3], received_at=NOW), turns=TWO_BOTS, messages=AWAY, chat=MUTED),
    ),
    (
        ["debounce", "mute_two_bots", "limit_replies_per_minute", "limit_replies_per_day", "open_turn"],
        view(
            replace(AWAY[3], received_at=NOW),
            turns=(*TWO_BOTS, *LATELY),
            messages=AWAY,
            policies=Policies(replies_per_minute=2, replies_per_contact_per_day=3),
        ),
    ),
    (
        ["mute_two_bots", "limit_replies_per_minute", "limit_replies_per_day", "open_turn"],
        view(
            AWAY[3],
            turns=(*TWO_BOTS, *LATELY),
            messages=AWAY,
            policies=Policies(replies_per_minute=2, replies_per_contact_per_day=3),
        ),
    ),
    (
        ["limit_replies_per_minute", "limit_replies_per_day", "open_turn"],
        view(OLD, turns=LATELY, policies=Policies(replies_per_minute=2, replies_per_contact_per_day=3)),
    ),
    (["limit_replies_per_day", "wait_for_slot_of_new_turn", "open_turn"], view(OLD, policies=PER_DAY, has_slot=None)),
    (["wait_for_slot_of_new_turn", "open_turn"], view(OLD, has_slot=None)),
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


@pytest.mark.parametrize(
    "silenced",
    [
        {"policies": replace(UNCAPPED, wordless_notice=False)},
        {"policies": replace(UNCAPPED, answer_without_words=True)},
        {"chat": replace(CHAT, wordless_notice_at=NOW - 86_399_999)},
        {"chat": STOPPED},
        {"chat": MUTED},
        {"chat": TAKEN_OVER},
        {"state": TenantState.PAUSED},
        {"messages": (PICTURE, OLD)},
        {"messages": (message("M9", ago=3_000 + 5_900), PICTURE)},
        {"messages": (PICTURE, OWNER)},
        {"wordless": (replace(PICTURE, received_at=NOW - 10 * MINUTE - 1),)},
        {"wordless": ()},
    ],
    ids=str,
)
def test_nothing_is_said_about_messages_without_words(silenced: dict[str, Any]) -> None:
    chat = view(**{"messages": (PICTURE,), "wordless": (PICTURE,), **silenced})
    assert isinstance(decide(chat, NOW), Done)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (MessageKind.IMAGE, FixedSentence.NO_PICTURES),
        (MessageKind.VIDEO, FixedSentence.NO_PICTURES),
        (MessageKind.STICKER, FixedSentence.NO_PICTURES),
        (MessageKind.VOICE, FixedSentence.NO_SOUND),
        (MessageKind.AUDIO, FixedSentence.NO_SOUND),
        (MessageKind.DOCUMENT, FixedSentence.NO_WORDS),
        (MessageKind.LOCATION, FixedSentence.NO_WORDS),
        (MessageKind.CONTACT_CARD, FixedSentence.NO_WORDS),
        (MessageKind.OTHER, FixedSentence.NO_WORDS),
    ],
)
def test_the_sentence_is_about_the_kind_and_the_day_after_it_is_said_again(
    kind: MessageKind, sentence: FixedSentence
) -> None:
    sent = replace(PICTURE, kind=kind, skipped=SkipReason.no_text(kind))
    greeting = replace(OWNER, skipped=SkipReason.AUTOMATIC)
    yesterday = replace(CHAT, wordless_notice_at=NOW - 86_400_000)
    decision = decide(view(messages=(sent, greeting), wordless=(sent,), chat=yesterday), NOW)
    assert decision == Say((sent,), sentence, sent.skipped, AFTER_RACE)


@pytest.mark.parametrize(("think_at_once", "slots"), [(0, 2), (2, 2), (5, 2), (29, 2), (30, 3), (50, 5), (1000, 100)])
def test_a_tenant_has_a_tenth_of_the_calls_at_once_and_at_least_two(think_at_once: int, slots: int) -> None:
    assert slots_of_tenant(think_at_once) == slots
