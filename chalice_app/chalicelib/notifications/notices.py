"""Notifications: mails to the owner and the operators about what needs a person, deduplicated and rate limited."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import AnswerlineError, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Problem, Session, Tenant
from chalicelib.notifications import invites
from wire import Phase, ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The same notice goes to the same people at most once within this time.
REPEATED_AFTER: Final = timedelta(hours=6)
#: Problems that an owner cannot fix, or would not read about by mail.
OPERATORS_ONLY: Final = frozenset(
    {
        ProblemCode.INCOMPATIBLE,
        ProblemCode.BROWSER_MISSING,
        ProblemCode.MAIL_BOUNCED,
        ProblemCode.MAIL_COMPLAINED,
    }
)


def notify_of_problem(services: "Services", tenant: Tenant, problem: Problem) -> None:
    """Mails a problem of the assistant or of the mail to the operators, and to the owner who can fix it."""
    notify_operators(services, tenant, problem)
    _notify_owner_of_problem(services, tenant, problem)


def notify_operators(services: "Services", tenant: Tenant, problem: Problem) -> None:
    """Mails a new problem to the operators."""
    operators = services.operators_email
    if operators:

        def send() -> None:
            page = f"{services.base_url()}/admin/tenants/{tenant.id}"
            services.mailer.attention(operators, tenant, problem, page)

        _send_once(services, tenant, problem.code, send)


def notify_of_session(services: "Services", tenant: Tenant, session: Session, *, again: bool = False) -> None:
    """Mails the owner the unsent notice of a session: the phone ended the link, or there is a problem.

    The page of the owner keeps the notice back while it is open: it shows the same, and a mail's new link would end it.
    The notice stays unsent until the mail has left.

    Args:
        again: a retry, which adds no line to the timeline each minute.
    """
    if session.unsent_notice == Phase.LOGGED_OUT:
        sent = _notify_owner(
            services, tenant, session.unsent_notice, lambda link: services.mailer.logged_out(tenant, link), again=again
        )
    else:
        sent = session.problem is None or _notify_owner_of_problem(services, tenant, session.problem, again=again)
    if sent and session.unsent_notice is not None:
        services.sessions.record_notice(tenant.id, session.unsent_notice)


def _notify_owner_of_problem(services: "Services", tenant: Tenant, problem: Problem, *, again: bool = False) -> bool:
    """Returns True once nothing is left to send."""
    if problem.code in OPERATORS_ONLY:
        return True
    return _notify_owner(
        services,
        tenant,
        f"{problem.code}-owner",
        lambda link: services.mailer.problem(tenant, problem, link),
        again=again,
    )


def _notify_owner(
    services: "Services", tenant: Tenant, notice: str, send: Callable[[str], object], *, again: bool = False
) -> bool:
    def send_link(token: str) -> bool:
        send(invites.join_link(services, token))
        return True

    return _send_once(services, tenant, notice, lambda: invites.mail_new_link(services, tenant, send_link), again=again)


def _send_once(
    services: "Services", tenant: Tenant, notice: str, send: Callable[[], object], *, again: bool = False
) -> bool:
    """Returns True if the notice was sent now. A mail that fails is a line in the timeline and stops nothing else.

    The sender claims the notice first, so that two at once send one mail; a transient error returns the claim.
    """
    now = services.clock()
    if not services.counters.claim_notice(tenant.id, notice, repeat_after=REPEATED_AFTER, now=now):
        return False
    try:
        send()
    except AnswerlineError as error:
        log.warning(
            LogEvent.MAIL_NOT_SENT, extra={"tenant": tenant.id, "code": error.code, "error_message": error.message}
        )
        if isinstance(error, TransientError):
            services.counters.release_notice(tenant.id, notice, now=now)
        if not again:
            services.timeline.record(Event(tenant.id, services.clock(), EventKind.MAIL_FAILED, error.message))
        return False
    return True
