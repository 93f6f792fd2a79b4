"""The admin: pages where operators sign in, set the installation up, list tenants, create one, and manage one."""

from typing import TYPE_CHECKING

from chalice.app import Chalice

from chalicelib.web.admin import automatic_texts, history, new_tenant, setup, sign_in, tenant_list, tenant_page
from chalicelib.web.admin.assistant import versions
from chalicelib.web.admin.layout import AdminPages

if TYPE_CHECKING:
    from chalicelib.wiring import Services


def mount(app: Chalice, services: "Services") -> None:
    """Registers the routes."""
    admin = AdminPages(app, services)
    sign_in.mount(admin)
    setup.mount(admin)
    tenant_list.mount(admin)
    new_tenant.mount(admin)
    tenant_page.mount(admin)
    history.mount(admin)
    versions.mount(admin)
    automatic_texts.mount(admin)
