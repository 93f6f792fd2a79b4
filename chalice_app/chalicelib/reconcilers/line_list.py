"""Makes the list of lines anew from the health of each: once a minute, for the admin's pages."""

from typing import TYPE_CHECKING

from chalicelib.model.line_health import HealthReport
from chalicelib.model.line_list.counts import count_lines
from chalicelib.model.line_list.order import entry_of, sort_lines

if TYPE_CHECKING:
    from chalicelib.wiring import Services


def record(services: "Services", report: HealthReport, at: int) -> None:
    """Writes the list of lines as they were at this moment."""
    services.line_list.record([entry_of(line) for line in sort_lines(report.lines)], count_lines(report.lines), at)
