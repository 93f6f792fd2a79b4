"""The automatic messages of a tenant's phone on its page: the recognised texts, and the operator's mark of each."""

import re
from datetime import timedelta
from typing import Final

from chalice.app import Response

from chalicelib.errors import NotFound
from chalicelib.model.messages.automatic_messages import TextMark
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.messages import FormResult

SHAPE_OF_TEXT: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
#: The values of the form's buttons.
MARKS: Final = {"automatic": TextMark.AUTOMATIC, "person": TextMark.PERSON, "": None}


def mount(admin: AdminPages) -> None:
    """Registers the route."""

    def mark(operator: OperatorSession, fields: dict[str, str], tenant: str) -> Response:
        """Stores the operator's mark of a recognised text."""
        text, value = fields.get("text", ""), fields.get("mark", "")
        if not SHAPE_OF_TEXT.fullmatch(text) or value not in MARKS:
            raise NotFound
        services = admin.services
        found = services.tenants.get(tenant)
        retention = timedelta(days=found.policies.retention_days)
        services.automatic_texts.mark(
            tenant, text, MARKS[value], retention=retention, now=services.clock(), by=operator.email
        )
        return admin.pages.redirect(f"/admin/tenants/{tenant}?done={FormResult.MARKED}")

    admin.post("/admin/tenants/{tenant}/texts", mark)
