"""Reads the health of every line and of the runners: for the console's table, and for the metrics of each minute."""

from typing import TYPE_CHECKING, Final

from chalicelib.model.line_health import HealthReport, health_report

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: At most this many open turns are read; those that are due first come first.
OPEN_TURNS_AT_MOST: Final = 1_000
#: No open turn is due later.
LATEST_DUE_MS: Final = 24 * 3_600_000


def read(services: "Services") -> HealthReport:
    """Returns the health of all lines now; makes three queries, however many tenants there are."""
    now = services.clock()
    turns = services.turns.open_turns(due_before=now + LATEST_DUE_MS, limit=OPEN_TURNS_AT_MOST)
    return health_report(services.tenants.list_all(), turns, services.runners.listed(), now)
