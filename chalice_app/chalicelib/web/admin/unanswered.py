"""The part of a tenant's page that says which messages got no reply, and why; it knows no text of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.model import Tenant
from chalicelib.replies.unanswered import today
from chalicelib.store.conversation.unanswered import UnansweredMessage
from chalicelib.web.messages import REASON_NAMES
from chalicelib.wiring import Services
from wire import MessageKind

#: The tenant's page shows so many.
MAX_ROWS: Final = 20


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
    found, older = services.unanswered.page(tenant.id, MAX_ROWS)
    return {
        "unanswered_today": [(REASON_NAMES[reason], count) for reason, count in counts.items()],
        "unanswered": unanswered_rows(found),
        "unanswered_before": older,
    }


def unanswered_rows(messages: Iterable[UnansweredMessage]) -> list[UnansweredRow]:
    """Returns the rows of these messages."""
    return [
        UnansweredRow(each.at, _chat_name(each.chat), _kind_name(each.kind), REASON_NAMES[each.reason])
        for each in messages
    ]


def _chat_name(chat: str) -> str:
    """Returns the phone of a chat that is named by one, else the id, which the phone lists take too."""
    digits = chat.removesuffix("@c.us")
    return f"+{digits}" if digits.isdigit() else chat


def _kind_name(kind: MessageKind) -> str:
    return "not readable" if kind is MessageKind.CIPHERTEXT else kind.replace("_", " ")
