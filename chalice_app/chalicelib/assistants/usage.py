"""The usage of a tenant's assistant in this month: tokens against their budget, web searches against their limit."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalicelib.errors import ActionRequired
from chalicelib.model import Assistant, Tenant, milliseconds
from chalicelib.model.times import month_of
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: The counters of a month are kept for so long.
COUNTS_KEPT_FOR: Final = timedelta(days=400)
TOKENS: Final = "tokens"
WEB_SEARCHES: Final = "web_searches"


@dataclass(frozen=True, slots=True)
class MonthlyUsage:
    """The usage of this month."""

    tokens: int
    web_searches: int


def usage_of(services: "Services", tenant: Tenant) -> MonthlyUsage:
    """Returns what this tenant used in this month."""
    return MonthlyUsage(_total(services, tenant, TOKENS), _total(services, tenant, WEB_SEARCHES))


def count(services: "Services", tenant: Tenant, tokens: int, web_searches: int) -> None:
    """Counts what a call cost; of a call that was abandoned, as many tokens as it probably cost."""
    now = services.clock()
    expires_at = now + milliseconds(COUNTS_KEPT_FOR)
    for name, number in ((TOKENS, tokens), (WEB_SEARCHES, web_searches)):
        if number:
            services.counters.count(tenant.id, name, month_of(now), number, expires_at=expires_at)


def require_budget(services: "Services", tenant: Tenant) -> None:
    """Raises ActionRequired if the tenant's tokens of this month are used up."""
    budget = tenant.policies.tokens_per_month
    if budget and _total(services, tenant, TOKENS) >= budget:
        raise ActionRequired(ProblemCode.BUDGET_REACHED, f"The {budget} tokens of this month are used up.")


def within_search_limit(services: "Services", tenant: Tenant, assistant: Assistant) -> Assistant:
    """Returns the assistant, without its search of the web once the searches of this month are used up."""
    limit = assistant.web_searches_per_month
    if not assistant.web_search or not limit or _total(services, tenant, WEB_SEARCHES) < limit:
        return assistant
    return replace(assistant, web_search=False)


def _total(services: "Services", tenant: Tenant, name: str) -> int:
    return services.counters.total(tenant.id, name, month_of(services.clock()))
