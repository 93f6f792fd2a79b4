"""Tells owner and operators by mail what needs a person: once for each trouble, never a flood."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.auth import sha256
from chalicelib.errors import Trouble
from chalicelib.model import Event, Happened, Problem, Tenant
from wire import ProblemCode

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


def of_problem(services: "Services", tenant: Tenant, problem: Problem, *, watched: bool = False) -> None:
    """A new problem: one mail to the operators, and one to the owner if it is any of theirs.

    ``watched``: the page that says so is open, and a mail's fresh link would kill it: no mail to the owner.
    """
    operators = services.operators_email
    if operators and _first(services, tenant, problem.code):

        def attention() -> None:
            link = f"{services.base_url()}/admin/tenants/{tenant.id}"
            services.mailer.attention(operators, tenant, problem, link)

        _mail(services, tenant, attention)
    if not watched and problem.code not in OPERATORS_ONLY and _first(services, tenant, f"{problem.code}-owner"):
        _mail_owner(services, tenant, lambda link: services.mailer.problem(tenant, problem, link))


def of_logout(services: "Services", tenant: Tenant, *, watched: bool = False) -> None:
    """The phone ended the link: the owner gets a fresh one to scan again, unless the page is open (``watched``)."""
    if not watched and _first(services, tenant, "logged_out"):
        _mail_owner(services, tenant, lambda link: services.mailer.logged_out(tenant, link))


def _first(services: "Services", tenant: Tenant, what: str) -> bool:
    return services.tenants.count_within(tenant.id, f"told#{what}", TOLD_AGAIN_AFTER, services.clock()) == 1


def _mail_owner(services: "Services", tenant: Tenant, send: Callable[[str], str]) -> None:
    """Only a link's hash is stored, so a mail carries a new one; the former one dies once the mail has left."""

    def sending() -> None:
        token = services.token()
        invite = services.tenants.invites.prepare(tenant.id, sha256(token), now=services.clock())
        send(f"{services.base_url()}/join/{token}")
        services.tenants.invites.settle(invite, now=services.clock())

    _mail(services, tenant, sending)


def _mail(services: "Services", tenant: Tenant, send: Callable[[], object]) -> None:
    """A mail that cannot leave is a line in the timeline and never stops what it tells of."""
    try:
        send()
    except Trouble as trouble:
        log.warning("mail not sent", extra={"tenant": tenant.id, "code": trouble.code, "trouble": trouble.message})
        services.tenants.record(Event(tenant.id, services.clock(), Happened.MAIL_FAILED, trouble.message))
