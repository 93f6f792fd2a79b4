"""What becomes of a message that a runner hands in."""

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

from chalicelib.model import (
    DEBOUNCE,
    TOO_OLD,
    Chat,
    Classification,
    Event,
    EventKind,
    Session,
    Tenant,
    classify,
    milliseconds,
)
from chalicelib.store.chats import arrival
from chalicelib.wiring import Services
from wire import Acknowledgement, Message, Outcome

log = logging.getLogger(__name__)

#: How long before its delivery the last message of a turn has come, as a rule …
OWN_REPLIES_LOOKED_BACK = timedelta(hours=1)
#: … and may have come at most, with what a runner that had taken it needs to send it.
OWN_REPLIES_AT_MOST = TOO_OLD + timedelta(hours=1)
#: A look that was enqueued before the messages were stored comes late enough if storing took no longer.
STORED_WITHIN = timedelta(seconds=1)


def hand_in(services: Services, tenant_id: str, messages: Sequence[Message]) -> Iterator[Acknowledgement]:
    """Stores each message once and says what becomes of it; one look per chat that waits is enqueued before that.

    Whoever dies half way has stored nothing that nobody will look at, even if the messages are never handed in again.
    """
    tenant = services.tenants.get(tenant_id)
    session = services.placement.session(tenant_id)
    now = services.clock()
    enqueued = {message.chat: None for message in messages if _may_wait(tenant, session, message, now)}
    for chat_id in enqueued:
        services.jobs.enqueue_check(tenant_id, chat_id, delay_seconds=DEBOUNCE.total_seconds())
    acknowledged: list[Acknowledgement] = []
    waiting: dict[str, str] = {}
    for index, message in enumerate(messages):
        chat = services.chats.meet(tenant_id, message)
        verdict = _received(services, tenant, session, chat, message, arrival(now, index), now)
        if verdict.outcome is Outcome.DUPLICATE and verdict.reason == "":
            verdict = Classification(Outcome.QUEUED, "handed in before")
        if verdict.outcome is Outcome.QUEUED:
            waiting[message.chat] = chat.id
        acknowledged.append(
            Acknowledgement(id=message.id, chat=message.chat, outcome=verdict.outcome, reason=verdict.reason)
        )
    slow = services.clock() - now > milliseconds(STORED_WITHIN)
    for name, chat_id in waiting.items():
        if slow or name not in enqueued:
            services.jobs.enqueue_check(tenant_id, chat_id, delay_seconds=DEBOUNCE.total_seconds())
    if waiting:
        services.placement.heard(session, now, message=True)
    return iter(acknowledged)


def _may_wait(tenant: Tenant, session: Session, message: Message, now: int) -> bool:
    """As far as can be said without reading its chat."""
    return _judged(tenant, session, message, message.phone, 0, now).outcome is Outcome.QUEUED


def _judged(
    tenant: Tenant, session: Session, message: Message, phone: str | None, takeover_until: int, now: int
) -> Classification:
    return classify(
        chat_id=message.chat,
        from_me=message.from_me,
        kind=message.kind,
        text=message.text,
        phone=None if message.chat.endswith("@g.us") else phone,
        sent_at=message.sent_at_ms,
        answers_since=session.answers_since,
        takeover_until=takeover_until,
        wanted=tenant.wanted,
        policies=tenant.policies,
        now=now,
    )


def _received(
    services: Services, tenant: Tenant, session: Session, chat: Chat, message: Message, at: str, now: int
) -> Classification:
    if message.from_me and _is_own_reply(services, chat, message, now):
        return Classification(Outcome.DELIVERY)
    verdict = _judged(tenant, session, message, message.phone or chat.phone, chat.takeover_until, now)
    if verdict.reason in ("not decrypted yet", "history", "broadcast"):
        return verdict  # not stored: it comes again once it can be read, or never matters
    skipped = verdict.reason if verdict.outcome is Outcome.SKIPPED else None
    stored = services.chats.hand_in(
        chat, message, arrival=at, skipped=skipped, retention_days=tenant.policies.retention_days, now=now
    )
    if verdict.outcome is Outcome.TAKEOVER:
        _take_over(services, tenant, chat, message.sent_at_ms, now)  # again for a duplicate: it may have failed before
    if stored is None:
        before = services.chats.message(chat, message)
        reason = "" if before is not None and not before.from_me and before.skipped is None else "handed in before"
        return Classification(Outcome.DUPLICATE, reason)
    return verdict


def _is_own_reply(services: Services, chat: Chat, message: Message, now: int) -> bool:
    if chat.open_turn is not None:
        turn = services.turns.get(chat.tenant, chat.id, chat.open_turn)
        if turn is not None and message.id in turn.part_ids:
            return True
    # Echoes come with every reply and are found at once; takeovers are rare, and must be nothing else.
    for back in (OWN_REPLIES_LOOKED_BACK, OWN_REPLIES_AT_MOST):
        recent = services.chats.recent(chat, depth=0, now=now, since=message.sent_at_ms - milliseconds(back))
        if recent.turn_with_part(message.id) is not None:
            return True
    return False


def _take_over(services: Services, tenant: Tenant, chat: Chat, written_at: int, now: int) -> None:
    """A person wrote from the phone: what was not sent yet is theirs now, and what follows for a while."""
    if tenant.policies.takeover_minutes == 0:
        return
    until = written_at + tenant.policies.takeover_minutes * 60_000
    if until > max(now, chat.takeover_until):
        services.chats.take_over(chat, until)  # first, so that no turn is opened after the next look
        if chat.takeover_until < now:
            services.tenants.record(Event(tenant.id, now, EventKind.TAKEOVER, by="owner"))
    fresh = services.chats.chat(chat.tenant, chat.id)
    if fresh is not None and fresh.open_turn is not None:
        turn = services.turns.get(chat.tenant, chat.id, fresh.open_turn)
        if turn is not None and (until > now or turn.oldest_sent_at <= written_at):
            services.turns.discard(turn, "takeover", now)
