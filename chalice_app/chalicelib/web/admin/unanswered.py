"""The part of a tenant's page that says which messages got no reply, and why; it knows no text of them."""

from dataclasses import dataclass
from typing import Any

from chalicelib.model import Tenant
from chalicelib.replies.unanswered import today
from chalicelib.web.messages import REASON_NAMES
from chalicelib.wiring import Services
from wire import MessageKind


@dataclass(frozen=True, slots=True)
class UnansweredRow:
    """A message in the list."""

    at: int
    chat: str
    kind: str
    reason: str


def unanswered_context(services: Services, tenant: Tenant) -> dict[str, Any]:
    """Returns what the template shows: how many of today by reason, and the last twenty."""
    counts = services.unanswered.counts(tenant.id, today(tenant, services.clock()))
    rows = [
        UnansweredRow(each.at, _chat_name(each.chat), _kind_name(each.kind), REASON_NAMES[each.reason])
        for each in services.unanswered.latest(tenant.id)
    ]
    return {"unanswered_today": [(REASON_NAMES[reason], count) for reason, count in counts.items()], "unanswered": rows}


def _chat_name(chat: str) -> str:
    """Returns the phone of a chat that is named by one, else the id, which the phone lists take too."""
    digits = chat.removesuffix("@c.us")
    return f"+{digits}" if digits.isdigit() else chat


def _kind_name(kind: MessageKind) -> str:
    return "not readable" if kind is MessageKind.CIPHERTEXT else kind.replace("_", " ")
