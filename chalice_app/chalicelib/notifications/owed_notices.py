"""Notices that one of the operators' channels is owed: it failed while another one got them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chalicelib.errors import AnswerlineError
from chalicelib.log_events import LogEvent
from chalicelib.model import milliseconds
from chalicelib.model.notices.kinds import Recipient
from chalicelib.model.notices.notice import (
    ALARMED_AT_ATTEMPT,
    MAX_ATTEMPTS,
    SETTLED_AFTER,
    NewsState,
    NoticeLine,
    Step,
    Subject,
    earliest,
    retry_at,
)
from chalicelib.notifications.channels import Channel, notice_line
from chalicelib.store.notifications.batches import BatchLine, Held, Owed, OwedLine

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: A channel is owed at most so many lines; the list of tenants has them all.
MAX_OWED: Final = 500


def owe(owed: Mapping[str, Owed], channel: str, lines: Sequence[BatchLine]) -> dict[str, Owed]:
    """Returns what is owed after this channel was not sent these lines. Pure."""
    before = owed.get(channel, Owed(()))
    known = {(line.tenant, line.kind) for line in before.lines}
    more = [
        OwedLine(line.tenant, line.kind, knows=line.subject is Subject.ALL_CLEAR)
        for line in lines
        if (line.tenant, line.kind) not in known
    ]
    return {**owed, channel: Owed((*before.lines, *more)[:MAX_OWED], before.attempts, before.next_at)}


def send_owed(services: "Services", held: Held, ways: Mapping[str, Channel], ends_at: int) -> dict[str, Owed]:
    """Sends channels what they are owed and what is still so, until ``ends_at``; returns what is owed afterwards."""
    owed = {channel: each for channel, each in held.owed.items() if channel in ways}
    for channel, each in list(owed.items()):
        now = services.clock()
        if each.next_at > now or now >= ends_at:
            continue
        try:
            lines, waiting = _payable(services, each)
            if lines:
                tried = tuple(replace(line, tried=True) for line in each.lines)
                services.notices.batches.store_owed(held, {**owed, channel: replace(each, lines=tried)})
                ways[channel].notify(lines)
        except AnswerlineError as error:
            attempts = each.attempts + 1
            log_failure(channel, error, attempts=attempts)
            owed[channel] = Owed(each.lines, attempts, retry_at(channel, attempts, now))
            if attempts < MAX_ATTEMPTS:
                continue
            waiting = []
        owed.pop(channel)
        if waiting:
            owed[channel] = Owed(tuple(waiting), next_at=now + milliseconds(SETTLED_AFTER))
        services.notices.batches.store_owed(held, owed)
    if held.owed:
        services.notices.batches.store_owed(held, owed)
    return owed


def _payable(services: "Services", owed: Owed) -> tuple[list[NoticeLine], list[OwedLine]]:
    """Returns the lines that tell the channel what is so, and those that have to wait.

    A line waits while the others have heard something else than the channel, and what the channel knows is so; and in
    the quiet hours, if it can.
    """
    lines, waiting = [], []
    for line in owed.lines:
        notice = services.notices.get(line.tenant, Recipient.OPERATORS, line.kind)
        if notice is None:
            continue
        # A sender that died may have sent it the news: an all-clear too much is better than one too few.
        knows = line.knows or (line.tried and notice.state is NewsState.OVER)
        if knows is (notice.heard is NewsState.OPEN):
            continue
        if notice.state is (NewsState.OVER if knows else NewsState.OPEN):
            subject = Subject.ALL_CLEAR if knows else Subject.NEWS
            now = services.clock()
            if earliest(Step(subject, now), line.kind, services.quiet_hours, now) > now:
                waiting.append(line)
                continue
            lines.append(notice_line(services, line.tenant, line.kind, subject, notice.since))
        else:
            waiting.append(line)
    return lines, waiting


def log_failure(channel: str, error: AnswerlineError, *, attempts: int) -> None:
    """Logs that a channel failed, without its address; an alarm rings when it goes on."""
    context = {"kind": channel.partition(":")[0], "code": error.code, "attempts": attempts}
    if attempts < ALARMED_AT_ATTEMPT:
        log.warning(LogEvent.MAIL_NOT_SENT, extra={**context, "error_message": error.message})
    else:
        log.error(LogEvent.NOTICE_NOT_SENT, extra={**context, "given_up": attempts >= MAX_ATTEMPTS})
