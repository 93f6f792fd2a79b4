"""Paid calls of the model: each counts against the limits of its contact, whatever becomes of its text.

A call is counted when it is made, since the process that makes it may die. It is given back if OpenAI did not take it.
"""

from datetime import timedelta

from chalicelib.model import Tenant, Turn
from chalicelib.wiring import Services

DAY = timedelta(days=1)


def count(services: Services, tenant: Tenant, turn: Turn) -> None:
    """Counts the call that is made next for this contact; the turn itself counted it when it was claimed."""
    if tenant.policies.replies_per_contact_per_day:
        services.counters.count_in_window(tenant.id, _counter(turn.chat), DAY, services.clock())


def give_back(services: Services, tenant: Tenant, turn: Turn) -> None:
    """Takes a call off the counts that OpenAI did not take: no connection, a refusal, a limit; not a timeout."""
    services.turns.give_back_call(turn)
    if tenant.policies.replies_per_contact_per_day:
        services.counters.count_in_window(tenant.id, _counter(turn.chat), DAY, services.clock(), add=-1)


def count_of_today(services: Services, tenant: Tenant, chat: str) -> int:
    """Returns the paid calls of this day for the contact of this chat."""
    return services.counters.total_in_window(tenant.id, _counter(chat), DAY, services.clock())


def _counter(chat: str) -> str:
    return f"replies#{chat}"
