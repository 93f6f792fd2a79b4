"""Mails owners their link: prepares an invite, mails it, and settles it once the mail has left."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import ActionRequired, NotDeployed, PermanentError, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Problem, Tenant
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import Subject
from chalicelib.notifications import notice_jobs
from chalicelib.tokens import sha256
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The rate limit of invites: an owner is not flooded, however often an operator presses the button.
MAX_MAILS_PER_HOUR: Final = 5
HOUR: Final = timedelta(hours=1)


def allow_mail(services: "Services", tenant: str) -> bool:
    """Counts an invite that is about to be mailed; returns False if there were too many within the hour."""
    return services.counters.count_in_window(tenant, "invite-mails", HOUR, services.clock()) <= MAX_MAILS_PER_HOUR


def join_link(services: "Services", token: str) -> str:
    """Returns the link to the owner's page. Raises NotDeployed without a public address."""
    return f"{services.base_url()}/join/{token}"


def mail_new_link(services: "Services", tenant: Tenant, send: Callable[[str], bool]) -> bool:
    """Mails a new link, because only the hash of a link is stored; the former link works until the mail has left.

    Args:
        send: mails the link of this token; returns whether the mail has left.
    """
    token = services.token()
    invite = services.invites.prepare(tenant.id, sha256(token), now=services.clock())
    mailed = send(token)
    if mailed:
        services.invites.settle(invite, now=services.clock())
    return mailed


def mail_further_link(services: "Services", tenant: Tenant, send: Callable[[str], object]) -> None:
    """Mails a further link to the page, for news about it; it takes the place of the former one when it is opened.

    So the page that the owner has open goes on working.

    Args:
        send: mails the link of this token.
    """
    token = services.token()
    services.invites.prepare(tenant.id, sha256(token), now=services.clock())
    send(token)


def renew_invite(services: "Services", tenant: Tenant, *, by: str) -> bool:
    """Mails an invite with a new link; returns whether SES took the mail."""
    return mail_new_link(services, tenant, lambda token: mail_invite(services, tenant, token, by=by))


def mail_invite(services: "Services", tenant: Tenant, token: str, *, by: str) -> bool:
    """Mails the invite of this token; returns whether SES took the mail.

    If not, the tenant's page shows that problem, and its timeline the reason.
    """
    return _mail(services, tenant, lambda: services.mailer.invite(tenant, join_link(services, token)), by=by)


def mail_passkey_steps(services: "Services", tenant: Tenant, *, by: str) -> bool:
    """Mails the owner how a passkey is removed, with a further link; returns as ``mail_invite`` does.

    The page that the owner may have open goes on working: the new code appears there.
    """

    def send(token: str) -> object:
        link = join_link(services, token)
        return services.mailer.notify_owner(tenant, NoticeKind.PASSKEY, Subject.NEWS, services.clock(), link)

    return _mail(services, tenant, lambda: mail_further_link(services, tenant, send), by=by, detail=NoticeKind.PASSKEY)


def _mail(services: "Services", tenant: Tenant, send: Callable[[], object], *, by: str, detail: str = "") -> bool:
    try:
        send()
    except (ActionRequired, TransientError, PermanentError, NotDeployed) as error:
        log.warning(
            LogEvent.MAIL_NOT_SENT, extra={"tenant": tenant.id, "code": error.code, "error_message": error.message}
        )
        now = services.clock()
        if services.tenants.set_mail_problem(tenant.id, Problem(ProblemCode.MAIL_BOUNCED, now, error.message)):
            notice_jobs.request_of_problem(services, tenant.id, ProblemCode.MAIL_BOUNCED)
        services.timeline.record(Event(tenant.id, now, EventKind.MAIL_FAILED, error.message, by))
        return False
    services.tenants.clear_mail_problem(tenant.id, now=services.clock(), by=by)
    services.timeline.record(Event(tenant.id, services.clock(), EventKind.INVITE_SENT, detail, by))
    return True
