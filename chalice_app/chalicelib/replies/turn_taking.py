"""A look at a chat: is it time to answer, what, or why not. One open turn per chat, its batch frozen first."""

from datetime import timedelta

from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import (
    Chat,
    SkipReason,
    StoredMessage,
    Tenant,
    Turn,
    TurnState,
    answered_by_a_person,
    looks_like_a_loop,
    of_this_login,
    settled,
    unanswered,
)
from chalicelib.replies import bell
from chalicelib.replies.model_call import ReplyOutcome, answer
from chalicelib.store.chats import Recent
from chalicelib.wiring import Services

#: A chat that has not settled is looked at again after this.
LOOK_AGAIN_SECONDS = 1
#: Who wrote on while a reply was being sent is looked at when it is sent, and after this should nobody say so.
LOOK_AGAIN_AT_LATEST_SECONDS = 30
#: How often a job looks again because others were at the chat.
LOOKS_IN_A_ROW = 5
MINUTE_MS = 60_000
DAY = timedelta(days=1)


def take_turn(services: Services, job: TurnCheck) -> ReplyOutcome:
    """Answers what waits in this chat, if it is time to. Harmless to repeat, at any time, by anybody."""
    tenant = services.tenants.get(job.tenant)
    chat = services.chats.chat(job.tenant, job.chat)
    if chat is None:
        return ReplyOutcome.NOTHING_WAITS
    now = services.clock()
    recent = services.chats.recent(chat, depth=tenant.policies.history_messages, now=now)
    turn = services.turns.get(tenant.id, chat.id, chat.open_turn) if chat.open_turn is not None else None
    if chat.open_turn is not None and (turn is None or turn.state in (TurnState.SENT, TurnState.DISCARDED)):
        # Somebody died between finishing the turn and taking it off its chat.
        if turn is not None:
            services.turns.close(turn)
        else:
            services.turns.detach(chat)  # it expired: nobody could send it for longer than messages are kept
        return _look_again(services, job, 0)
    waiting = unanswered(recent.messages, recent.turns, now, ignoring=turn.id if turn else None)
    waiting, others = of_this_login(waiting, services.placement.session(tenant.id).answers_since)
    if others:
        return _forget_other_login(services, tenant, chat, turn, waiting, others, job)
    if tenant.paused:
        return _keep_silent(services, tenant, chat, turn, waiting, job)
    if turn is not None:
        return _go_on(services, tenant, chat, turn, recent, waiting, job)
    if not waiting:
        return ReplyOutcome.NOTHING_WAITS
    policies = tenant.policies
    if now < chat.takeover_until:
        services.turns.cover(chat, waiting, SkipReason.TAKEOVER, retention_days=policies.retention_days, now=now)
        return ReplyOutcome.SKIPPED
    theirs = answered_by_a_person(recent.messages, waiting) if policies.takeover_minutes else ()
    if theirs:
        services.turns.cover(chat, theirs, SkipReason.TAKEOVER, retention_days=policies.retention_days, now=now)
        return _look_again(services, job, 0)
    if not settled(waiting, now):
        return _look_again(services, job, LOOK_AGAIN_SECONDS)
    if policies.replies_per_minute and looks_like_a_loop(recent.turns, now):
        services.turns.cover(chat, waiting, SkipReason.BOT_LOOP, retention_days=policies.retention_days, now=now)
        return ReplyOutcome.SKIPPED
    capped = _capped(services, tenant, chat, recent, waiting, job, now)
    if capped is not None:
        return capped
    opened = services.turns.freeze(chat, waiting, retention_days=policies.retention_days, now=now)
    if opened is None:
        return _somebody_was_faster(services, job)
    return answer(services, tenant, opened, recent, waiting, job)


def _go_on(
    services: Services,
    tenant: Tenant,
    chat: Chat,
    turn: Turn,
    recent: Recent,
    waiting: tuple[StoredMessage, ...],
    job: TurnCheck,
) -> ReplyOutcome:
    """The chat has an open turn: fold new messages in, take it up again if it was forgotten, or leave it."""
    now = services.clock()
    if turn.state is TurnState.SENDING:
        if {message.key for message in waiting} - set(turn.messages) and not _once_done(services, chat, turn, job):
            return _look_again(services, job, 0)
        if now >= turn.due_at:
            bell.ring(services, turn)
        return ReplyOutcome.BUSY
    if not waiting:
        services.turns.discard(turn, SkipReason.TOO_OLD, now)
        return ReplyOutcome.SKIPPED
    more = {message.key for message in waiting} - set(turn.messages)
    if more:
        if not settled(waiting, now):
            return _look_again(services, job, LOOK_AGAIN_SECONDS)
        folded = services.turns.fold_in(turn, waiting, now)
        if folded is not None:
            return answer(services, tenant, folded, recent, waiting, job)
        if not _once_done(services, chat, turn, job):
            return _look_again(services, job, 0)
    if turn.state is TurnState.READY:
        bell.ring(services, turn)
        return ReplyOutcome.RANG
    mended = turn.state is TurnState.WAITING and tenant.assistant_problem is None
    if now < turn.due_at and not mended:
        return ReplyOutcome.BUSY
    batch = tuple(message for message in waiting if message.key in turn.messages)
    claimed = services.turns.think_again(turn, now)
    if claimed is None:
        return ReplyOutcome.BUSY
    if not batch:
        services.turns.discard(claimed, SkipReason.TOO_OLD, now)
        return ReplyOutcome.SKIPPED
    return answer(services, tenant, claimed, recent, batch, job)


def _once_done(services: Services, chat: Chat, turn: Turn, job: TurnCheck) -> bool:
    """Has the chat looked at when this turn is done; False if it is done already.

    Who finishes the turn may end before asking for that look, so there is one more in any case, and one only.
    """
    if not services.turns.again(turn):
        return False
    if job.attempt or not chat.again:
        services.jobs.enqueue_check(
            job.tenant, job.chat, delay_seconds=LOOK_AGAIN_AT_LATEST_SECONDS, attempt=job.attempt + 1
        )
    return True


def _keep_silent(
    services: Services,
    tenant: Tenant,
    chat: Chat,
    turn: Turn | None,
    waiting: tuple[StoredMessage, ...],
    job: TurnCheck,
) -> ReplyOutcome:
    """The tenant was paused: what came before and was not answered yet is skipped like what comes meanwhile."""
    now = services.clock()
    if turn is not None:
        if services.turns.discard(turn, SkipReason.PAUSED, now):
            return _look_again(services, job, 0)
        if {message.key for message in waiting} - set(turn.messages):
            _once_done(services, chat, turn, job)
    elif waiting:
        services.turns.cover(chat, waiting, SkipReason.PAUSED, retention_days=tenant.policies.retention_days, now=now)
    return ReplyOutcome.PAUSED


def _forget_other_login(
    services: Services,
    tenant: Tenant,
    chat: Chat,
    turn: Turn | None,
    waiting: tuple[StoredMessage, ...],
    others: tuple[StoredMessage, ...],
    job: TurnCheck,
) -> ReplyOutcome:
    """The login ended, and perhaps another account was linked since: who wrote to the former gets no answer from it.

    A reply that was being sent to them is in the way of who writes to the latter, until a runner asks for it.
    """
    now = services.clock()
    if turn is None:
        services.turns.cover(
            chat, others, SkipReason.OTHER_LOGIN, retention_days=tenant.policies.retention_days, now=now
        )
        return _somebody_was_faster(services, job)
    if turn.state is not TurnState.SENDING and services.turns.discard(turn, SkipReason.OTHER_LOGIN, now):
        return _somebody_was_faster(services, job)
    beyond = {message.key for message in (*waiting, *others)} - set(turn.messages)
    if beyond and not _once_done(services, chat, turn, job):
        return _look_again(services, job, 0)
    return ReplyOutcome.BUSY


def _somebody_was_faster(services: Services, job: TurnCheck) -> ReplyOutcome:
    """Another look was at this chat at the same moment; whoever it was may not have seen what this job is about."""
    if job.attempt >= LOOKS_IN_A_ROW:
        return ReplyOutcome.BUSY
    services.jobs.enqueue_check(job.tenant, job.chat, delay_seconds=LOOK_AGAIN_SECONDS, attempt=job.attempt + 1)
    return ReplyOutcome.NOT_YET


def _capped(
    services: Services,
    tenant: Tenant,
    chat: Chat,
    recent: Recent,
    waiting: tuple[StoredMessage, ...],
    job: TurnCheck,
    now: int,
) -> ReplyOutcome | None:
    """None if the line may answer; counts the reply as it says so."""
    policies = tenant.policies
    if policies.replies_per_minute:
        lately = sorted(turn.created_at for turn in recent.turns if now - turn.created_at < MINUTE_MS)
        if len(lately) >= policies.replies_per_minute:
            return _look_again(services, job, (lately[0] + MINUTE_MS - now) / 1000 + 1)
    if policies.replies_per_contact_per_day:
        counted = services.tenants.count_within(tenant.id, f"replies#{chat.id}", DAY, now)
        if counted > policies.replies_per_contact_per_day:
            services.turns.cover(chat, waiting, SkipReason.DAILY_CAP, retention_days=policies.retention_days, now=now)
            return ReplyOutcome.SKIPPED
    return None


def _look_again(services: Services, job: TurnCheck, delay_seconds: float) -> ReplyOutcome:
    services.jobs.enqueue_check(job.tenant, job.chat, delay_seconds=delay_seconds, attempt=job.attempt)
    return ReplyOutcome.NOT_YET
