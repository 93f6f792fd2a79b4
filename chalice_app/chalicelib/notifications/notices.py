"""Tells owner and operators by mail what needs a person: once for each trouble, never a flood."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import AnswerlineError, TransientError
from chalicelib.log_events import LogEvent
from chalicelib.model import Event, EventKind, Problem, Session, Tenant, milliseconds
from chalicelib.web.browser_auth import sha256
from wire import Phase, ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The same news reaches the same people at most once within this time.
TOLD_AGAIN_AFTER: Final = timedelta(hours=6)
#: What an owner can do nothing about, or would not hear of by mail.
OPERATORS_ONLY: Final = frozenset(
    {
        ProblemCode.INCOMPATIBLE,
        ProblemCode.BROWSER_MISSING,
        ProblemCode.MAIL_BOUNCED,
        ProblemCode.MAIL_COMPLAINED,
    }
)


def of_problem(services: "Services", tenant: Tenant, problem: Problem) -> None:
    """A problem of the assistant or of the mail: one mail to the operators, and one to the owner if it is theirs."""
    to_operators(services, tenant, problem)
    _problem_to_owner(services, tenant, problem)


def to_operators(services: "Services", tenant: Tenant, problem: Problem) -> None:
    """A new problem, whosever."""
    operators = services.operators_email
    if operators:

        def attention() -> None:
            link = f"{services.base_url()}/admin/tenants/{tenant.id}"
            services.mailer.attention(operators, tenant, problem, link)

        _once(services, tenant, problem.code, attention)


def of_session(services: "Services", tenant: Tenant, session: Session, *, again: bool = False) -> None:
    """What the owner is still to be told of the session: the phone ended the link, or there is a problem.

    Not while the page is open: it says so itself, and a mail's fresh link would kill it. It stays to be told until the
    mail has left; ``again`` tries, and adds no line to the timeline each minute.
    """
    if session.unsent_notice == Phase.LOGGED_OUT:
        told = _to_owner(
            services, tenant, session.unsent_notice, lambda link: services.mailer.logged_out(tenant, link), again=again
        )
    else:
        told = session.problem is None or _problem_to_owner(services, tenant, session.problem, again=again)
    if told and session.unsent_notice is not None:
        services.placement.told(tenant.id, session.unsent_notice)


def _problem_to_owner(services: "Services", tenant: Tenant, problem: Problem, *, again: bool = False) -> bool:
    """True if nothing of it is still to be told."""
    if problem.code in OPERATORS_ONLY:
        return True
    return _to_owner(
        services,
        tenant,
        f"{problem.code}-owner",
        lambda link: services.mailer.problem(tenant, problem, link),
        again=again,
    )


def _to_owner(
    services: "Services", tenant: Tenant, news: str, send: Callable[[str], object], *, again: bool = False
) -> bool:
    """Only a link's hash is stored, so a mail carries a new one; the former one dies once the mail has left."""

    def sending() -> None:
        token = services.token()
        invite = services.tenants.invites.prepare(tenant.id, sha256(token), now=services.clock())
        send(f"{services.base_url()}/join/{token}")
        services.tenants.invites.settle(invite, now=services.clock())

    return _once(services, tenant, news, sending, again=again)


def _once(services: "Services", tenant: Tenant, news: str, send: Callable[[], object], *, again: bool = False) -> bool:
    """True if it was sent now. A mail that cannot leave is a line in the timeline and never stops what it tells of.

    Whoever may send it says so first: two at once send one. What failed for a moment may be sent by the next.
    """
    now = services.clock()
    if not services.tenants.may_tell(tenant.id, news, again_after_ms=milliseconds(TOLD_AGAIN_AFTER), now=now):
        return False
    try:
        send()
    except AnswerlineError as trouble:
        log.warning(
            LogEvent.MAIL_NOT_SENT, extra={"tenant": tenant.id, "code": trouble.code, "error_message": trouble.message}
        )
        if isinstance(trouble, TransientError):
            services.tenants.not_told(tenant.id, news, now=now)
        if not again:
            services.tenants.record(Event(tenant.id, services.clock(), EventKind.MAIL_FAILED, trouble.message))
        return False
    return True
