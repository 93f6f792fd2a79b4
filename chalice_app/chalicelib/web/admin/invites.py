"""Sends an owner the link, and says on the tenant's page whether that worked."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import ActionRequired, NotDeployed, PermanentError, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Problem, Tenant
from chalicelib.web.browser_auth import sha256
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: An owner is not flooded, whoever presses the button.
MAILS_PER_HOUR: Final = 5
HOUR: Final = timedelta(hours=1)


def may_mail(services: "Services", tenant: str) -> bool:
    """Counts a mail that is about to be sent; False if there were too many within the hour."""
    return services.tenants.count_within(tenant, "invite-mails", HOUR, services.clock()) <= MAILS_PER_HOUR


def mail_invite(services: "Services", tenant: Tenant, token: str, *, by: str) -> bool:
    """True if SES took the mail. If not, the tenant shows that problem, and its timeline why."""
    try:
        services.mailer.invite(tenant, f"{services.base_url()}/join/{token}")
    except (ActionRequired, TransientError, PermanentError, NotDeployed) as trouble:
        log.warning(
            LogEvent.MAIL_NOT_SENT, extra={"tenant": tenant.id, "code": trouble.code, "error_message": trouble.message}
        )
        now = services.clock()
        services.tenants.set_mail_problem(tenant.id, Problem(ProblemCode.MAIL_BOUNCED, now, trouble.message))
        services.tenants.record(Event(tenant.id, now, EventKind.MAIL_FAILED, trouble.message, by))
        return False
    services.tenants.clear_mail_problem(tenant.id, now=services.clock(), by=by)
    services.tenants.record(Event(tenant.id, services.clock(), EventKind.INVITE_SENT, by=by))
    return True


def new_invite(services: "Services", tenant: Tenant, *, by: str) -> bool:
    """A new link, mailed; the former one dies once the mail has left."""
    token = services.token()
    invite = services.tenants.invites.prepare(tenant.id, sha256(token), now=services.clock())
    mailed = mail_invite(services, tenant, token, by=by)
    if mailed:
        services.tenants.invites.settle(invite, now=services.clock())
    return mailed
