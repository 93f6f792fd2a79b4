"""The operator's door: signing in, the list of tenants, creating one, and one tenant's page with what can be done."""

from typing import TYPE_CHECKING

from chalice.app import Chalice

from chalicelib.admin import create, listing, sign_in, tenant
from chalicelib.admin.desk import Desk

if TYPE_CHECKING:
    from chalicelib.wiring import Services


def mount(app: Chalice, services: "Services") -> None:
    desk = Desk(app, services)
    sign_in.mount(desk)
    listing.mount(desk)
    create.mount(desk)
    tenant.mount(desk)
