"""Sends the operators the daily digest of what is open, each channel on its own; none where nothing is."""

from typing import TYPE_CHECKING

from chalicelib.errors import AnswerlineError, PermanentError
from chalicelib.model import Invite, Session, Tenant
from chalicelib.model.notices.digest import day_of_digest, digest_of
from chalicelib.model.notices.notice import retry_at
from chalicelib.notifications.channels import channels
from chalicelib.notifications.owed_notices import log_failure

if TYPE_CHECKING:
    from chalicelib.wiring import Services


def send_due(services: "Services", ends_at: int) -> None:
    """Sends the digest of this day to the channels that have not got it; begins no mail after ``ends_at``.

    A channel that fails is tried again until the day is over, and keeps no other one waiting.
    """
    now = services.clock()
    day = day_of_digest(services.quiet_hours, now) if now < ends_at else None
    before = services.digests.claim(day, now) if day is not None else None
    if day is None or before is None:
        return
    lines = digest_of((_with_link(services, *each) for each in services.tenants.list_all()), now)
    ways, done = channels(services) if lines else {}, set(before.done)
    failures = before.failures + 1
    for name in ways.keys() - done:
        if services.clock() >= ends_at:
            break
        try:
            ways[name].send_digest(lines)
        except AnswerlineError as error:
            log_failure(name, error, attempts=failures)
            if not isinstance(error, PermanentError):
                continue
        done.add(name)
        services.digests.record_done(day, done)
    if ways.keys() <= done:
        services.digests.record_sent(day)
    else:
        services.digests.record_failure(day, failures, retry_at("digest", failures, now))


def _with_link(services: "Services", tenant: Tenant, session: Session) -> tuple[Tenant, Session, Invite | None]:
    """Adds the link of a client that is not linked."""
    return tenant, session, None if session.linked else services.invites.get_current(tenant.id)
