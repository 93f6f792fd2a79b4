"""The form of a tenant as a page shows it, new or edited: its values, its errors, and what its fields offer."""

from collections.abc import Mapping
from typing import Any

from chalice.app import Response

from chalicelib.rendering.languages import LANGUAGE_NAMES
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.assistant.section import assistant_context
from chalicelib.web.admin.conduct.fields import conduct_context
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.places import list_countries, list_time_zones
from chalicelib.web.messages import AUDIENCE_LABELS, GROUP_LABELS


def render_form(
    admin: AdminPages,
    operator: OperatorSession,
    template: str,
    fields: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    failure: str = "",
    status: int = 200,
    kept: bool = False,
    **context: Any,
) -> Response:
    """Renders the form with its former values, but never with a key.

    Args:
        errors: a sentence for each field that is wrong.
        failure: a sentence about the whole form.
        kept: the values were typed before the operator had to sign in, and are not saved.
    """
    return admin.render(
        template,
        operator,
        status=status,
        fields={name: value for name, value in fields.items() if name != "api_key"},
        errors=errors or {},
        failure=failure,
        kept=kept,
        key_dropped=bool(fields.get("api_key")),
        languages=LANGUAGE_NAMES,
        time_zones=list_time_zones(),
        countries=list_countries(),
        audiences=AUDIENCE_LABELS,
        groups=GROUP_LABELS,
        **assistant_context(admin.services, fields, context.get("tenant")),
        **(conduct_context(context["tenant"]) if "tenant" in context else {}),
        **context,
    )
