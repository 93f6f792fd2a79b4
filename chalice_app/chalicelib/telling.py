"""Tells owner and operators by mail what needs a person: once for each trouble, never a flood."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.auth import sha256
from chalicelib.errors import Trouble
from chalicelib.model import Event, Happened, Problem, Tenant, milliseconds
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

#: The same news reaches the same people at most once within this time.
TOLD_AGAIN_AFTER: Final = timedelta(hours=6)


def of_problem(services: "Services", tenant: Tenant, problem: Problem) -> None:
    """A new problem: one mail to the operators and one to the owner (unless the owner's mail is the problem)."""
    if not _first(services, tenant, problem.code):
        return
    operators = services.operators_email
    if operators:
        link = f"{services.base_url()}/admin/tenants/{tenant.id}"
        _mail(services, tenant, lambda: services.mailer.attention(operators, tenant, problem, link))
    if problem.code is not ProblemCode.MAIL_BOUNCED:
        _mail(services, tenant, lambda: services.mailer.problem(tenant, problem, _fresh_link(services, tenant)))


def of_logout(services: "Services", tenant: Tenant) -> None:
    """The phone ended the link: the owner gets a fresh one to scan again."""
    if _first(services, tenant, "logged_out"):
        _mail(services, tenant, lambda: services.mailer.logged_out(tenant, _fresh_link(services, tenant)))


def _first(services: "Services", tenant: Tenant, what: str) -> bool:
    now, window = services.clock(), milliseconds(TOLD_AGAIN_AFTER)
    counted = services.tenants.count(tenant.id, f"told#{what}", str(now // window), 1, expires_at=now + 2 * window)
    return counted == 1


def _fresh_link(services: "Services", tenant: Tenant) -> str:
    """Only a link's hash is stored, so a mail carries a new one: the newest mail's link is the one that works."""
    token = services.token()
    services.tenants.invites.issue(tenant.id, sha256(token), now=services.clock())
    return f"{services.base_url()}/join/{token}"


def _mail(services: "Services", tenant: Tenant, send: Callable[[], str]) -> None:
    """A mail that cannot leave is a line in the timeline and never stops what it tells of."""
    try:
        send()
    except Trouble as trouble:
        log.warning("mail not sent", extra={"tenant": tenant.id, "code": trouble.code})
        services.tenants.record(Event(tenant.id, services.clock(), Happened.MAIL_FAILED, trouble.message))
