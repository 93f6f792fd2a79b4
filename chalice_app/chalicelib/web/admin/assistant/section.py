"""The assistant's part of a tenant's form as a page shows it: what its fields offer, and how long its texts are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib.model import Tenant
from chalicelib.model.assistants.models import SUGGESTED, OfferedModel
from chalicelib.model.messages.token_estimate import estimate_tokens
from chalicelib.model.openai_servers import server_labels
from chalicelib.web.admin.assistant.fields import (
    EFFORT_LABELS,
    LENGTH_LABELS,
    MAX_INSTRUCTIONS_LENGTH,
    VERBOSITY_LABELS,
)
from chalicelib.web.admin.text_field import parse_lines
from chalicelib.web.messages import format_day

if TYPE_CHECKING:
    from chalicelib.wiring import Services


class Counted(NamedTuple):
    """The size of a text."""

    characters: int
    #: estimated, rather too high
    tokens: int


def count_text(text: str) -> Counted:
    """Returns the size of a text as the form would store it."""
    stored = parse_lines(text)
    return Counted(len(stored), estimate_tokens(stored))


def assistant_context(services: "Services", fields: Mapping[str, str], tenant: Tenant | None) -> dict[str, Any]:
    """Returns what the assistant's section of the form needs.

    Args:
        tenant: the tenant that is edited; None for a new one, of whose key nothing is known yet.
    """
    offered = services.assistant_checks.get_models(tenant.id) if tenant is not None else None
    return {
        "efforts": EFFORT_LABELS,
        "servers": server_labels(services.openai_servers),
        "lengths": LENGTH_LABELS,
        "verbosities": VERBOSITY_LABELS,
        "most_instructions": MAX_INSTRUCTIONS_LENGTH,
        "counted": count_text(fields.get("instructions", "")),
        "models": offered.models if offered else tuple(map(OfferedModel, SUGGESTED)),
        "models_at": offered.at if offered else None,
        "format_day": format_day,
    }
