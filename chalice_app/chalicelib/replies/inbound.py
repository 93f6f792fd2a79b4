"""Inbound messages: each is classified, stored once, and a check of its chat is enqueued."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from chalicelib.model import (
    DEBOUNCE,
    Chat,
    Classification,
    Session,
    SkipReason,
    Tenant,
    classify,
    milliseconds,
)
from chalicelib.replies.takeover import is_own_reply, take_over
from chalicelib.store.conversation.chats import arrival
from chalicelib.wiring import Services
from wire import Acknowledgement, Message, Outcome

#: A check that was enqueued before the messages were stored is late enough if storing took no longer than this.
STORED_WITHIN = timedelta(seconds=1)
#: Messages that are skipped for these reasons are not stored: the runner hands them in again, or they never matter.
NOT_STORED = frozenset({SkipReason.NOT_DECRYPTED, SkipReason.HISTORY, SkipReason.BROADCAST})


def hand_in(services: Services, tenant_id: str, messages: Sequence[Message]) -> Iterator[Acknowledgement]:
    """Stores each message once (idempotent) and returns its outcome.

    One check per chat that waits is enqueued before its messages are stored: a process that dies in between leaves no
    message without a check, even if the messages are never handed in again.
    """
    tenant = services.tenants.get(tenant_id)
    session = services.sessions.get(tenant_id)
    now = services.clock()
    enqueued = {message.chat: None for message in messages if _may_wait(tenant, session, message, now)}
    for chat_id in enqueued:
        services.jobs.enqueue_check(tenant_id, chat_id, delay_seconds=DEBOUNCE.total_seconds())
    acknowledged: list[Acknowledgement] = []
    waiting: dict[str, str] = {}
    for index, message in enumerate(messages):
        chat = services.chats.get_or_create(tenant_id, message)
        classified = _store(services, tenant, session, chat, message, arrival(now, index), now)
        if classified.outcome is Outcome.QUEUED:
            waiting[message.chat] = chat.id
        acknowledged.append(
            Acknowledgement(
                id=message.id, chat=message.chat, outcome=classified.outcome, reason=classified.reason or ""
            )
        )
    slow = services.clock() - now > milliseconds(STORED_WITHIN)
    for name, chat_id in waiting.items():
        if slow or name not in enqueued:
            services.jobs.enqueue_check(tenant_id, chat_id, delay_seconds=DEBOUNCE.total_seconds())
    if waiting:
        services.sessions.record_activity(session, now, message=True)
    return iter(acknowledged)


def _may_wait(tenant: Tenant, session: Session, message: Message, now: int) -> bool:
    """Returns whether the message may wait for a reply, as far as the message itself says (its chat is not read)."""
    return _classify(tenant, session, message, message.phone, 0, now).outcome is Outcome.QUEUED


def _classify(
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
        state=tenant.state,
        policies=tenant.policies,
        now=now,
    )


def _store(
    services: Services, tenant: Tenant, session: Session, chat: Chat, message: Message, at: str, now: int
) -> Classification:
    if message.from_me and is_own_reply(services, chat, message, now):
        return Classification(Outcome.DELIVERY)
    classified = _classify(tenant, session, message, message.phone or chat.phone, chat.takeover_until, now)
    if classified.reason in NOT_STORED:
        return classified
    skipped = classified.reason if classified.outcome is Outcome.SKIPPED else None
    stored = services.chats.store_message(
        chat, message, arrival=at, skipped=skipped, retention_days=tenant.policies.retention_days, now=now
    )
    if classified.outcome is Outcome.TAKEOVER:
        # For a duplicate too: the first try may have failed.
        take_over(services, tenant, chat, message.sent_at_ms, now)
    if stored is None:
        before = services.chats.get_message(chat, message)
        waits = before is not None and not before.from_me and before.skipped is None
        return Classification(Outcome.QUEUED if waits else Outcome.DUPLICATE, SkipReason.HANDED_IN_BEFORE)
    return classified
