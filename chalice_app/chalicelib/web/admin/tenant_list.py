"""The list of tenants, which refreshes itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from chalice.app import Response

from chalicelib.model import Problem, Session, Tenant
from chalicelib.model.line_health import first_problem
from chalicelib.rendering.tones import PHASE_TONES, Tone
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.layout import AdminPages


@dataclass(frozen=True, slots=True)
class Row:
    """A tenant in the list, with its session and the problem that a person must fix first."""

    tenant: Tenant
    session: Session

    @property
    def paused(self) -> bool:
        """True if the operator paused the line."""
        return self.tenant.paused

    @property
    def tone(self) -> Tone:
        """The tone of the badge."""
        return Tone.QUIET if self.paused else PHASE_TONES[self.session.phase]

    @property
    def problem(self) -> Problem | None:
        """The problem that a person must fix first."""
        return first_problem(self.tenant, self.session)


def mount(admin: AdminPages) -> None:
    """Registers the routes."""

    def rows() -> list[Row]:
        return sort_rows(Row(tenant, session) for tenant, session in admin.services.tenants.list_all())

    def tenants(operator: OperatorSession) -> Response:
        return admin.render("tenants.html", operator, rows=rows())

    def tenants_live(operator: OperatorSession) -> Response:
        return admin.render("_tenants.html", operator, rows=rows())

    def home() -> Response:
        return admin.pages.redirect("/admin")

    admin.public("GET", "/", home)
    admin.get("/admin", tenants)
    admin.get("/admin/live", tenants_live, fragment=True)


def sort_rows(rows: Iterable[Row]) -> list[Row]:
    """Sorts tenants with a problem first, then by name."""
    return sorted(rows, key=lambda row: (row.problem is None, row.tenant.name.casefold(), row.tenant.id))
