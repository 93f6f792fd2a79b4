"""Reads the health of every line and of the runners: for the console's table, and for the metrics of each minute."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from chalicelib.model import Runner, Session, Tenant
from chalicelib.model.line_health import HealthReport, health_report

if TYPE_CHECKING:
    from chalicelib.reconcilers.reconcile import Observed
    from chalicelib.wiring import Services

#: At most this many open turns are read; those that are due first come first.
OPEN_TURNS_AT_MOST: Final = 1_000
#: No open turn is due later.
LATEST_DUE_MS: Final = 24 * 3_600_000


def read(services: "Services", observed: "Observed | None" = None) -> HealthReport:
    """Returns the health of all lines.

    Args:
        observed: the lines and runners, if they were read a moment ago.
    """
    if observed is not None:
        return _report(services, observed.lines, observed.runners)
    return _report(services, services.tenants.list_all(), services.runners.listed())


def _report(services: "Services", lines: Iterable[tuple[Tenant, Session]], runners: Iterable[Runner]) -> HealthReport:
    now = services.clock()
    turns = services.turns.open_turns(due_before=now + LATEST_DUE_MS, limit=OPEN_TURNS_AT_MOST)
    return health_report(lines, turns, runners, now, services.ended_turns.lately(now))
