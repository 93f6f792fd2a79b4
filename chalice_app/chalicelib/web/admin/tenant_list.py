"""The list of tenants, which keeps itself up to date."""

from collections.abc import Iterable
from dataclasses import dataclass

from chalice.app import Response

from chalicelib.model import Problem, Session, Tenant
from chalicelib.model.line_health import first_problem
from chalicelib.rendering.languages import TONES
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.layout import AdminPages


@dataclass(frozen=True, slots=True)
class Row:
    """One tenant in the list: the session as it was last seen, and what a person must mend first."""

    tenant: Tenant
    session: Session

    @property
    def paused(self) -> bool:
        return self.tenant.paused

    @property
    def tone(self) -> str:
        return "quiet" if self.paused else TONES[self.session.phase]

    @property
    def problem(self) -> Problem | None:
        return first_problem(self.tenant, self.session)


def mount(admin: AdminPages) -> None:
    def rows() -> list[Row]:
        return in_order(Row(tenant, session) for tenant, session in admin.services.tenants.overview())

    def tenants(operator: OperatorSession) -> Response:
        return admin.render("tenants.html", operator, rows=rows())

    def tenants_live(operator: OperatorSession) -> Response:
        return admin.render("_tenants.html", operator, rows=rows())

    def front_door() -> Response:
        return admin.pages.redirect("/admin")

    admin.open("GET", "/", front_door)
    admin.get("/admin", tenants)
    admin.get("/admin/live", tenants_live, fragment=True)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """What needs a person first, then by name."""
    return sorted(rows, key=lambda row: (row.problem is None, row.tenant.name.casefold(), row.tenant.id))
