"""A check of a chat: reads its state, asks ``model/turn_taking.py`` for the decision, and carries it out.

A check is idempotent: it may be repeated at any time, by any process. Every write is fenced by a condition.
"""

from dataclasses import replace

from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import StoredMessage, Turn, split_by_login, unanswered_messages
from chalicelib.model.turn_decisions import (
    CheckAgain,
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
    Skip,
)
from chalicelib.model.turn_taking import ChatView, decide
from chalicelib.replies import bell, paid_calls
from chalicelib.replies.model_call import answer
from chalicelib.replies.unanswered import report_messages, report_turn, unanswered_message
from chalicelib.wiring import Services


def take_turn(services: Services, check: TurnCheck) -> ReplyOutcome:
    """Answers the messages that wait in this chat, if it is time to."""
    tenant = services.tenants.get(check.tenant)
    chat = services.chats.get(check.tenant, check.chat)
    if chat is None:
        return ReplyOutcome.NOTHING_WAITS
    now = services.clock()
    recent = services.chats.read_recent(chat, depth=tenant.policies.history_messages, now=now)
    turn = services.turns.get(tenant.id, chat.id, chat.open_turn) if chat.open_turn is not None else None
    without_answer = unanswered_messages(recent.messages, recent.turns, now, ignoring=chat.open_turn)
    session = services.sessions.get(tenant.id)
    waiting, former_login = split_by_login(without_answer, session.answers_since)
    view = ChatView(
        tenant,
        chat,
        turn,
        recent.messages,
        recent.turns,
        waiting,
        former_login,
        history_since=session.history_since,
        attempt=check.attempt,
    )
    return _carry_out(services, check, view, now)


def _carry_out(services: Services, check: TurnCheck, view: ChatView, now: int) -> ReplyOutcome:
    """Carries the decision out; a write that adds a fact to the view is followed by the next decision."""
    turns, retention_days = services.turns, view.tenant.policies.retention_days
    match decide(view, now):
        case Done() | CheckAgain() as end:
            return _end(services, check, end)
        case Detach(then):
            turns.clear_expired(view.chat)
            return _end(services, check, then)
        case Close(turn, then):
            turns.close(turn)
            return _end(services, check, then)
        case Skip(messages, reason, then):
            if turns.skip(view.chat, messages, reason, retention_days=retention_days, now=now):
                skipped = [unanswered_message(message, reason) for message in messages]
                report_messages(services, view.tenant, skipped, now)
            return _end(services, check, then)
        case Discard(turn, reason, then):
            if turns.discard(turn, reason, now):
                report_turn(services, view.tenant, turn, reason, now)
                return _end(services, check, then)
            return _carry_out(services, check, replace(view, turn_changed=True), now)
        case Mark(turn, backstop, otherwise):
            if not turns.request_check(turn):
                return _end(services, check, otherwise)
            if backstop is not None:
                _end(services, check, backstop)
            return _carry_out(services, check, replace(view, marked=True), now)
        case Ring(turn, outcome):
            bell.ring(services, turn)
            return outcome
        case FoldIn(turn, batch):
            folded = turns.fold_in(turn, batch, now)
            if folded is None:
                return _carry_out(services, check, replace(view, turn_changed=True), now)
            return _call(services, view, folded, batch)
        case Retry(turn, batch):
            claimed = turns.reclaim(turn, now)
            return ReplyOutcome.BUSY if claimed is None else _call(services, view, claimed, batch)
        case Expire(turn, reason):
            claimed = turns.reclaim(turn, now)
            if claimed is None:
                return ReplyOutcome.BUSY
            if turns.discard(claimed, reason, now):
                report_turn(services, view.tenant, claimed, reason, now)
            return ReplyOutcome.SKIPPED
        case ReadCallsOfToday():
            calls = paid_calls.count_of_today(services, view.tenant, view.chat.id)
            return _carry_out(services, check, replace(view, calls_today=calls), now)
        case Open(batch, otherwise):
            opened = turns.freeze(view.chat, batch, retention_days=retention_days, now=now)
            return _end(services, check, otherwise) if opened is None else _call(services, view, opened, batch)


def _call(services: Services, view: ChatView, turn: Turn, batch: tuple[StoredMessage, ...]) -> ReplyOutcome:
    """Calls the model for a turn that this check claimed."""
    paid_calls.count(services, view.tenant, turn)
    return answer(services, view, turn, batch)


def _end(services: Services, check: TurnCheck, end: End) -> ReplyOutcome:
    match end:
        case Done(outcome):
            return outcome
        case CheckAgain(delay_seconds, attempt):
            services.jobs.enqueue_check(check.tenant, check.chat, delay_seconds=delay_seconds, attempt=attempt)
            return ReplyOutcome.NOT_YET
