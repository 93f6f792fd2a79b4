"""Sends the operators the daily digest of what is open; none where nothing is."""

import logging
from typing import TYPE_CHECKING

from chalicelib.errors import AnswerlineError
from chalicelib.log_events import LogEvent
from chalicelib.model import Invite, Session, Tenant
from chalicelib.model.notices.digest import day_of_digest, digest_of
from chalicelib.model.notices.notice import retry_at
from chalicelib.notifications.channels import channels

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)


def send_due(services: "Services", ends_at: int) -> None:
    """Sends the digest of this day, if its time has come and nobody has sent it; begins no mail after ``ends_at``."""
    now = services.clock()
    day = day_of_digest(services.quiet_hours, now) if now < ends_at else None
    failures = services.digests.claim(day, now) if day is not None else None
    if day is None or failures is None:
        return
    lines = digest_of((_with_link(services, *each) for each in services.tenants.list_all()), now)
    reached, tried = 0, channels(services) if lines else {}
    for name, channel in tried.items():
        if services.clock() >= ends_at:
            break
        try:
            channel.send_digest(lines)
            reached += 1
        except AnswerlineError as error:
            context = {"kind": name.partition(":")[0], "code": error.code, "error_message": error.message}
            log.warning(LogEvent.MAIL_NOT_SENT, extra=context)
    if tried and not reached:
        services.digests.record_failure(failures + 1, retry_at("digest", failures + 1, now))
    else:
        services.digests.record_sent(day)


def _with_link(services: "Services", tenant: Tenant, session: Session) -> tuple[Tenant, Session, Invite | None]:
    """Adds the link of a client that is not linked."""
    return tenant, session, None if session.linked else services.invites.get_current(tenant.id)
