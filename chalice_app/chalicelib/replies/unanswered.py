"""Messages that get no reply: on the page of their tenant, in the log and a metric, without their words if need be."""

import logging
from collections.abc import Iterable, Sequence
from datetime import date

from chalicelib.log_events import LogEvent
from chalicelib.model import Chat, Session, SkipReason, StoredMessage, Tenant, Turn
from chalicelib.model.times import local_time
from chalicelib.store.conversation.unanswered import MissedMessage, UnansweredMessage
from chalicelib.wiring import Services

log = logging.getLogger(__name__)


def report_messages(services: Services, tenant: Tenant, messages: Sequence[UnansweredMessage], now: int) -> None:
    """Reports messages; one that was reported before stays as it is."""
    new = services.unanswered.record(tenant.id, messages, today(tenant, now))
    for reason, count in new.items():
        log.info(LogEvent.MESSAGES_UNANSWERED, extra={"tenant": tenant.id, "reason": reason, "count": count})


def report_turn(services: Services, tenant: Tenant, turn: Turn, reason: str, now: int) -> None:
    """Reports the messages of a turn that is never sent.

    Args:
        reason: a SkipReason, or a code of the model's error, which counts as given up.
    """
    known = SkipReason(reason)
    known = SkipReason.GIVEN_UP if known is SkipReason.UNKNOWN else known
    batch = services.chats.get_batch(turn)
    report_messages(services, tenant, [unanswered_message(message, known) for message in batch], now)


def note_missed(
    services: Services, session: Session, reason: str, messages: Sequence[StoredMessage], answered_to: str
) -> None:
    """Notes messages that a logout left without an answer: people may have them answered after the next linking.

    Not those to another account, nor those of a reply that a runner took: it may have been sent.

    Args:
        answered_to: the arrival up to which their chat is answered or skipped now.
    """
    if reason == SkipReason.OTHER_LOGIN:
        services.unanswered.record_missed(
            session.tenant,
            [
                MissedMessage(each.received_at, each.chat, each.key, answered_to, each.version)
                for each in messages
                if each.sent_at >= session.history_since
            ],
        )


def note_missed_turn(services: Services, session: Session, turn: Turn, reason: str) -> None:
    """Notes the messages of a turn that is discarded, as ``note_missed`` does."""
    if turn.epoch is None and not turn.fixed:
        note_missed(services, session, reason, services.chats.get_batch(turn), turn.at)


def forget(services: Services, chat: Chat, messages: Iterable[StoredMessage], reason: SkipReason) -> None:
    """Keeps of messages that came shortly before a pause what is kept of those that come during it."""
    if not reason.keeps_content:
        for message in messages:
            if services.message_changes.erase(chat, message, reason):
                services.message_changes.erase_copies(chat, message)


def unanswered_message(message: StoredMessage, reason: SkipReason) -> UnansweredMessage:
    """Returns what is kept of a stored message that gets no reply."""
    return UnansweredMessage(message.received_at, message.chat, message.key, message.kind, reason)


def today(tenant: Tenant, now: int) -> date:
    """Returns the day in the tenant's time zone."""
    return local_time(now, tenant.time_zone).date()
