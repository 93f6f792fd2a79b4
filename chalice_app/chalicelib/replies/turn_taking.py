"""A check of a chat: reads its state, asks ``model/turn_taking.py`` for the decision, and carries it out.

A check is idempotent: it may be repeated at any time, by any process. Every write is fenced by a condition.
"""

import logging
import random
from dataclasses import replace
from typing import Any

from chalicelib.aws.sqs import TurnCheck
from chalicelib.errors import Unreadable
from chalicelib.log_events import LogEvent
from chalicelib.model import (
    Event,
    EventKind,
    Session,
    SkipReason,
    StoredMessage,
    Turn,
    split_by_age,
    split_by_login,
    unanswered_messages,
)
from chalicelib.model.turn_decisions import (
    AwaitSlot,
    CheckAgain,
    ClaimSlot,
    Close,
    Detach,
    Discard,
    Done,
    End,
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
from chalicelib.model.turn_rules.bot_loop import LOOP_DEPTH
from chalicelib.model.turn_rules.view import ChatView
from chalicelib.model.turn_rules.wordless import wordless_messages
from chalicelib.model.turn_taking import decide
from chalicelib.rendering.contact_texts import fixed_sentence, introduction_of
from chalicelib.replies import bell, paid_calls
from chalicelib.replies.look import Look
from chalicelib.replies.model_call import answer, record_given_up
from chalicelib.replies.tenant_slot import TenantSlot
from chalicelib.replies.unanswered import (
    forget,
    note_missed,
    note_missed_turn,
    report_messages,
    report_turn,
    unanswered_message,
)
from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: A check that finds all slots of its tenant taken comes again after about so many seconds; spread, so that not all
#: chats that wait come at once.
SLOT_AWAITED_SECONDS = (2.0, 6.0)


def take_turn(services: Services, check: TurnCheck) -> ReplyOutcome:
    """Answers the messages that wait in this chat, if it is time to."""
    look = Look(services, check)
    if look.is_superseded:
        return ReplyOutcome.NOT_YET
    try:
        outcome = _decide(services, check, look)
    except Unreadable:
        return ReplyOutcome.UNREADABLE  # the note stays, and the reconciler comes back to it
    look.end()
    return outcome


def _decide(services: Services, check: TurnCheck, look: Look) -> ReplyOutcome:
    tenant = services.tenants.get(check.tenant)
    chat = services.chats.get(check.tenant, check.chat)
    if chat is None:
        return ReplyOutcome.NOTHING_WAITS
    now = services.clock()
    depth = max(LOOP_DEPTH, tenant.policies.history_messages)
    recent = services.chats.read_recent(chat, depth=depth, now=now)
    turn = services.turns.get(tenant.id, chat.id, chat.open_turn) if chat.open_turn is not None else None
    without_answer = unanswered_messages(recent.messages, recent.turns, ignoring=chat.open_turn)
    fresh, too_old = split_by_age(without_answer, now)
    session = services.sessions.get(tenant.id)
    waiting, former_login = split_by_login(fresh, session.replies_since)
    wordless, _ = split_by_login(wordless_messages(recent.messages, recent.turns), session.answers_since)
    view = ChatView(
        tenant,
        chat,
        turn,
        recent.messages,
        recent.turns,
        waiting,
        former_login,
        too_old,
        wordless,
        history_since=session.history_since,
        linked_at=session.linked_at,
        attempt=check.attempt,
    )
    with TenantSlot(services, tenant.id) as slot:
        return _carry_out(services, look, view, session, slot, now)


def _carry_out(
    services: Services, look: Look, view: ChatView, session: Session, slot: TenantSlot, now: int
) -> ReplyOutcome:
    """Carries the decision out; a write that adds a fact to the view is followed by the next decision."""
    turns, retention_days = services.turns, view.tenant.policies.retention_days

    def decide_again(**facts: Any) -> ReplyOutcome:
        return _carry_out(services, look, replace(view, **facts), session, slot, now)

    match decide(view, now):
        case Done() | CheckAgain() as end:
            return _end(look, end)
        case Detach(then):
            turns.clear_expired(view.chat)
            return _end(look, then)
        case Close(turn, then):
            turns.close(turn)
            return _end(look, then)
        case Skip(messages, reason, then, mute_until):
            if turns.skip(view.chat, messages, reason, retention_days=retention_days, now=now, mute_until=mute_until):
                skipped = [unanswered_message(message, reason) for message in messages]
                report_messages(services, view.tenant, skipped, now)
                note_missed(services, session, reason, messages, messages[-1].at)
                forget(services, view.chat, messages, reason)
                if mute_until is not None:
                    log.warning(LogEvent.CHAT_MUTED, extra={"tenant": view.tenant.id})
                    services.timeline.record(Event(view.tenant.id, now, EventKind.CHAT_MUTED))
            else:
                look.keep_note()  # another check opened a turn, perhaps over other messages
            return _end(look, then)
        case Discard(turn, reason, then):
            if turns.discard(turn, reason, now):
                report_turn(services, view.tenant, turn, reason, now)
                note_missed_turn(services, session, turn, reason)
                forget(services, view.chat, services.chats.get_batch(turn), reason)
                return _end(look, then)
            return decide_again(turn_changed=True)
        case Mark(turn, backstop, otherwise):
            look.keep_note()
            if backstop is not None:
                _end(look, backstop)  # before it is noted: another one in its place is better than none
            if not turns.request_check(turn, backstop.attempt if backstop is not None else view.chat.backstop):
                return _end(look, otherwise)
            return decide_again(marked=True)
        case Ring(turn, outcome):
            bell.ring(services, turn)
            return outcome
        case FoldIn(turn, batch, call):
            folded = turns.fold_in(view.chat, turn, batch, now, call=call)
            if folded is None:
                return decide_again(turn_changed=True)
            return _call(services, view, folded, batch) if call else decide_again(turn=folded)
        case Retry(turn, batch):
            claimed = turns.reclaim(turn, now)
            return ReplyOutcome.BUSY if claimed is None else _call(services, view, claimed, batch)
        case Expire(turn, reason):
            if not turns.abandon(turn, reason):
                return ReplyOutcome.BUSY
            report_turn(services, view.tenant, turn, reason, now)
            if reason is not SkipReason.TOO_OLD:
                record_given_up(services, turn, reason)
            return ReplyOutcome.SKIPPED
        case ReadCallsOfToday():
            calls = paid_calls.count_of_today(services, view.tenant, view.chat.id)
            return decide_again(calls_today=calls)
        case ClaimSlot():
            return decide_again(has_slot=slot.claim())
        case AwaitSlot():
            return _end(look, CheckAgain(random.uniform(*SLOT_AWAITED_SECONDS), view.attempt))  # noqa: S311
        case Say(batch, sentence, skip_reason, otherwise):
            said = turns.say(
                view.chat,
                batch,
                sentence,
                fixed_sentence(view.tenant, sentence),
                reason=skip_reason,
                introduction=introduction_of(view, now, sentence),
                retention_days=retention_days,
                now=now,
            )
            if said is None:
                return _end(look, otherwise)
            bell.ring(services, said)
            return ReplyOutcome.RANG
        case Open(batch, otherwise):
            opened = turns.freeze(view.chat, batch, retention_days=retention_days, now=now)
            return _end(look, otherwise) if opened is None else _call(services, view, opened, batch)


def _call(services: Services, view: ChatView, turn: Turn, batch: tuple[StoredMessage, ...]) -> ReplyOutcome:
    """Calls the model for a turn that this check claimed."""
    paid_calls.count(services, view.tenant, turn)
    return answer(services, view, turn, batch)


def _end(look: Look, end: End) -> ReplyOutcome:
    match end:
        case Done(outcome):
            return outcome
        case CheckAgain(delay_seconds, attempt):
            look.check_again(delay_seconds, attempt)
            return ReplyOutcome.NOT_YET
