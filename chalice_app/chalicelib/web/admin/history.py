"""Lists of which a tenant's page shows the end, in pages: timeline, messages without an answer, missed chats."""

from collections.abc import Sequence
from typing import Any, Final

from chalice.app import Response

from chalicelib.model import Tenant
from chalicelib.model.session import LAST_INSTANT_MS
from chalicelib.sessions.missed import MissedChat, missed_chats
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.unanswered import unanswered_rows
from chalicelib.web.messages import EVENT_LABELS

#: A page has so many entries.
ROWS: Final = 100


def mount(admin: AdminPages) -> None:
    """Registers the routes."""
    services = admin.services

    def timeline(operator: OperatorSession, tenant: str) -> Response:
        found = services.tenants.get(tenant)
        events, older = services.timeline.page(tenant, ROWS, before=_before(admin))
        return render(operator, found, "timeline", "Timeline", older, events=events, event_labels=EVENT_LABELS)

    def unanswered(operator: OperatorSession, tenant: str) -> Response:
        found = services.tenants.get(tenant)
        messages, older = services.unanswered.page(tenant, ROWS, before=_before(admin))
        rows = unanswered_rows(messages)
        return render(operator, found, "unanswered", "Not answered", older, unanswered=rows)

    def missed(operator: OperatorSession, tenant: str) -> Response:
        found, before = services.tenants.get(tenant), _before(admin)
        chats = missed_chats(services, found, services.sessions.get(tenant), services.clock())
        page, older = _page([chat for chat in chats if chat.at < before])
        return render(operator, found, "missed", "Wrote while disconnected", older, missed=page)

    def render(
        operator: OperatorSession, tenant: Tenant, name: str, title: str, older: int | None, **rows: Any
    ) -> Response:
        shown = {"events": (), "unanswered": (), "missed": (), **rows}
        first = not admin.pages.query("before")
        return admin.render(
            "history.html", operator, tenant=tenant, name=name, title=title, older=older, first=first, **shown
        )

    admin.get("/admin/tenants/{tenant}/timeline", timeline)
    admin.get("/admin/tenants/{tenant}/unanswered", unanswered)
    admin.get("/admin/tenants/{tenant}/missed", missed)


def _page(chats: Sequence[MissedChat]) -> tuple[Sequence[MissedChat], int | None]:
    """Returns the first chats, with the others of the instant of the last one, and where the next page begins."""
    rest = [chat for chat in chats[ROWS:] if chat.at != chats[ROWS - 1].at]
    return chats[: len(chats) - len(rest)], chats[ROWS - 1].at if rest else None


def _before(admin: AdminPages) -> int:
    """Returns the instant before which the page begins; that of the newest page, if the address names none."""
    text = admin.pages.query("before")
    is_instant = text.isascii() and text.isdigit() and len(text) <= len(str(LAST_INSTANT_MS))
    return min(max(1, int(text)), LAST_INSTANT_MS) if is_instant else LAST_INSTANT_MS
