"""Messages that get no reply: on the page of their tenant, in the log and a metric, without their words if need be."""

import logging
from collections.abc import Iterable, Sequence
from datetime import date

from chalicelib.log_events import LogEvent
from chalicelib.model import Chat, SkipReason, StoredMessage, Tenant, Turn
from chalicelib.model.times import local_time
from chalicelib.store.conversation.unanswered import UnansweredMessage
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
