"""Sends owners their notices: each one a mail with a link to the own page, in the owner's language."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import AnswerlineError, NotFound, PermanentError, Unreadable
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Session, Tenant, milliseconds
from chalicelib.model.notices.kinds import EVENTS, NoticeKind, Recipient
from chalicelib.model.notices.notice import (
    ALARMED_AT_ATTEMPT,
    MAX_ATTEMPTS,
    Notice,
    earliest,
    next_step,
    with_former_mail,
)
from chalicelib.notifications import invites
from chalicelib.reconcilers.error_isolation import ErrorIsolation

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: A notice of a tenant that is paused, or that cannot be read, is looked at again after this.
LOOKED_AT_AFTER: Final = timedelta(minutes=15)


def send_due(services: "Services", tenant_id: str) -> bool:
    """Sends the owner's notices that are due, until a mail cannot be sent; False then.

    Those of a tenant whose records cannot be read wait, and leave their place to the notices of others.
    """
    now = services.clock()
    notices = services.notices.of_tenant(tenant_id, Recipient.OWNER)
    due = [notice for notice in notices if notice.due_at is not None and notice.due_at <= now and notice.is_known]
    try:
        tenant, session = services.tenants.get(tenant_id), services.sessions.get(tenant_id)
    except (NotFound, Unreadable):
        for notice in due:
            services.notices.postpone(notice, now + milliseconds(LOOKED_AT_AFTER), now)
        return True
    isolation = ErrorIsolation()
    taken = True
    for notice in due:
        if taken:
            taken = isolation.run(f"{tenant_id} {notice.kind}", _send, services, tenant, session, notice) is not False
    isolation.finish()
    return taken


def _send(services: "Services", tenant: Tenant, session: Session, notice: Notice) -> bool:
    now = services.clock()
    if notice.heard_at is None:
        notice = with_former_mail(notice, services.notices.last_sent_by_former_release(notice))
    step = next_step(notice)
    if step is None:
        services.notices.postpone(notice, None, now)
        return True
    quiet = services.quiet_hours
    if quiet is not None and tenant.time_zone:
        quiet = replace(quiet, zone=tenant.time_zone)
    due_at = earliest(step, notice.kind, quiet, now)
    if notice.kind not in EVENTS:  # whoever has the page open may be the stranger whom the mail is about
        due_at = max(due_at, _kept_back_until(tenant, session, now))
    if due_at > now:
        services.notices.postpone(notice, due_at, now)
        return True
    claimed = services.notices.claim(notice, now)
    if claimed is None:
        return True

    def send(token: str) -> None:
        link = invites.join_link(services, token)
        if notice.kind is NoticeKind.NUMBER_LINKED:
            services.mailer.number_linked(tenant, session.last_number or "", link)
        else:
            services.mailer.notify_owner(tenant, notice.kind, step.subject, notice.since, link)

    try:
        invites.mail_further_link(services, tenant, send)
    except PermanentError as error:
        services.notices.give_up(claimed, services.clock())
        _log_failure(services, claimed, error, given_up=True)
        return True
    except AnswerlineError as error:
        _record_failure(services, claimed, error)
        return False
    except Exception:  # an error of ours keeps this notice from being sent, and no other one
        services.notices.record_failure(claimed, services.clock())
        raise
    services.notices.record_sent(claimed, step.subject, services.clock())
    return True


def _kept_back_until(tenant: Tenant, session: Session, now: int) -> int:
    """Returns until when the owner gets no mail: while the line is paused, or the page is open and shows the same."""
    if tenant.paused:
        return now + milliseconds(LOOKED_AT_AFTER)
    return session.owner_until


def _record_failure(services: "Services", notice: Notice, error: AnswerlineError) -> None:
    """Records an attempt that failed; the timeline has the first one, and an alarm rings when it goes on."""
    failed = services.notices.record_failure(notice, services.clock())
    _log_failure(services, failed, error, given_up=failed.attempts >= MAX_ATTEMPTS)


def _log_failure(services: "Services", notice: Notice, error: AnswerlineError, *, given_up: bool) -> None:
    context = {"tenant": notice.tenant, "kind": notice.kind, "code": error.code, "attempts": notice.attempts}
    if notice.attempts <= 1:
        failure = Event(notice.tenant, services.clock(), EventKind.MAIL_FAILED, error.message)
        services.timeline.record(failure)
    if given_up or notice.attempts >= ALARMED_AT_ATTEMPT:
        log.error(LogEvent.NOTICE_NOT_SENT, extra={**context, "given_up": given_up})
    else:
        log.warning(LogEvent.MAIL_NOT_SENT, extra={**context, "error_message": error.message})
