"""The list of tenants, which refreshes itself."""

from collections.abc import Iterable

from chalice.app import Response

from chalicelib.model.line_health import Line, LineHealth
from chalicelib.reconcilers import health_report
from chalicelib.rendering.tones import Tone, shown_state, state_tone
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.layout import AdminPages


def mount(admin: AdminPages) -> None:
    """Registers the routes."""

    def render(template: str, operator: OperatorSession) -> Response:
        lines = sort_lines(health_report.read(admin.services).lines)
        return admin.render(template, operator, lines=lines, shown_state=shown_state, tone_of=tone_of)

    def tenants(operator: OperatorSession) -> Response:
        return render("tenants.html", operator)

    def tenants_live(operator: OperatorSession) -> Response:
        return render("_tenants.html", operator)

    def home() -> Response:
        return admin.pages.redirect("/admin")

    admin.public("GET", "/", home)
    admin.get("/admin", tenants)
    admin.get("/admin/live", tenants_live, fragment=True)


def sort_lines(lines: Iterable[Line]) -> list[Line]:
    """Sorts lines that need a person first, the worst health at the top as in the console; all others by name."""
    return sorted(
        lines,
        key=lambda line: (min(line.health, LineHealth.PENDING), line.tenant.name.casefold(), line.tenant.id),
    )


def tone_of(line: Line) -> Tone:
    """Returns the tone of a line's badge."""
    return Tone.QUIET if line.paused else state_tone(line.session)
