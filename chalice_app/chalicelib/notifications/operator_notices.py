"""Sends the operators their notices: all that are due in one batch, over each channel."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import AnswerlineError, NotFound, Unreadable
from chalicelib.log_events import LogEvent
from chalicelib.model import milliseconds
from chalicelib.model.notices.kinds import OF_INSTALLATION, Recipient
from chalicelib.model.notices.notice import (
    Notice,
    NoticeLine,
    earliest,
    next_step,
    retry_at,
    with_former_mail,
)
from chalicelib.notifications.channels import Channel, channels, notice_line
from chalicelib.notifications.owed_notices import log_failure, owe, send_owed
from chalicelib.notifications.owner_notices import LOOKED_AT_AFTER
from chalicelib.store.notifications.batches import Batch, BatchLine, Held, Owed

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The most notices of one batch, by partition of the index.
LINES_OF_A_PARTITION: Final = 60
#: No further batch for this long after one: news that trickles in makes a mail a minute at most.
PAUSE: Final = timedelta(seconds=60)


def send_due(services: "Services", ends_at: int) -> None:
    """Sends all operators' notices that are due, unless another sender does it; calls no channel after ``ends_at``."""
    ways = channels(services)
    held = services.notices.batches.claim(services.token(), services.clock())
    if held is None:
        return
    owed = send_owed(services, held, ways, ends_at)
    batch = held.batch
    if batch is None or not batch.begun:
        lines = _collect(services, ways)
        if not lines:
            services.notices.batches.end(held)
            return
        batch = Batch(services.clock(), tuple(lines), tuple(ways))
        if not services.notices.batches.store(held, batch):
            return
    _send(services, held, batch, ways, owed, ends_at)


def _collect(services: "Services", ways: Mapping[str, Channel]) -> list[BatchLine]:
    """Returns a line for each notice that is due; without a channel that may have it nothing is due of it."""
    lines = []
    now = services.clock()
    for candidate in services.notices.due(Recipient.OPERATORS, due_before=now, limit=LINES_OF_A_PARTITION):
        notice = services.notices.get(candidate.tenant, candidate.recipient, candidate.kind)
        if notice is None or notice.due_at is None or notice.due_at > now:
            continue
        if notice.heard_at is None:
            notice = with_former_mail(notice, services.notices.last_sent_by_former_release(notice))
        step = next_step(notice)
        others = ways.keys() - {notice.tenant}
        if step is None or not others:
            if step is not None and notice.kind in OF_INSTALLATION:  # no operator hears of anything: an alarm rings
                log.error(LogEvent.NOTICE_NOT_SENT, extra={"kind": notice.kind, "given_up": True})
            services.notices.postpone(notice, None, now)
            continue
        due_at = max(earliest(step, notice.kind, services.quiet_hours, now), _kept_back_until(services, notice, now))
        if due_at > now:
            services.notices.postpone(notice, due_at, now)
            continue
        lines.append(BatchLine(notice.tenant, notice.kind, step.subject, notice.revision, notice.since))
    return lines


def _kept_back_until(services: "Services", notice: Notice, now: int) -> int:
    """Returns until when operators do not hear of it: while they have paused the line, or it cannot be read."""
    if notice.kind in OF_INSTALLATION:
        return now
    try:
        waits = services.tenants.get(notice.tenant).paused
    except (NotFound, Unreadable):
        waits = True
    return now + milliseconds(LOOKED_AT_AFTER) if waits else now


def _send(
    services: "Services",
    held: Held,
    batch: Batch,
    ways: Mapping[str, Channel],
    owed: Mapping[str, Owed],
    ends_at: int,
) -> None:
    """Sends the batch to each channel that is left; once one got it, the others are owed it."""
    for channel in batch.left:
        if services.clock() >= ends_at:
            break
        if channel not in ways or channel in owed:
            continue  # the deployment no longer names it, or it fails and gets everything later
        try:
            if lines := _lines(services, batch, channel):
                ways[channel].notify(lines)
        except AnswerlineError as error:
            log_failure(channel, error, attempts=held.failures + 1)
            continue
        batch = replace(
            batch, left=tuple(each for each in batch.left if each != channel), begun=batch.begun or bool(lines)
        )
        if not services.notices.batches.store(held, batch):
            return
    now = services.clock()
    if not batch.begun:
        failures = held.failures + 1
        services.notices.batches.end(held, failures=failures, next_at=retry_at("operators", failures, now))
        return
    for channel in batch.left:
        if channel in ways:
            owed = owe(owed, channel, [line for line in batch.lines if line.tenant != channel])
    if not services.notices.batches.store_owed(held, owed):
        return
    for line in batch.lines:
        _record_sent(services, line, batch.at)
    services.notices.batches.end(held, next_at=now + milliseconds(PAUSE))


def _record_sent(services: "Services", line: BatchLine, at: int) -> None:
    notice = services.notices.get(line.tenant, Recipient.OPERATORS, line.kind)
    if notice is not None:
        services.notices.record_sent(replace(notice, revision=line.revision), line.subject, at)


def _lines(services: "Services", batch: Batch, channel: str) -> list[NoticeLine]:
    """Returns the lines for a channel: not those about the channel itself."""
    return [
        notice_line(services, each.tenant, each.kind, each.subject, each.since)
        for each in batch.lines
        if each.tenant != channel
    ]
