"""The list of tenants, in pages, with a search; each page refreshes itself."""

from typing import Final
from urllib.parse import urlencode

from chalice.app import Response

from chalicelib.model.line_health import Line
from chalicelib.rendering.tones import Tone, shown_state, state_tone
from chalicelib.store.operators import OperatorSession
from chalicelib.web.admin.layout import AdminPages
from chalicelib.web.admin.line_page import MAX_WORDS, LinePage, read_page

#: Fewer lines than this are seen at a glance, and need no search.
SEARCHED_FROM: Final = 10
#: The counts in the order in which the head of the list shows them, each with its tone; one of 0 is not shown.
SHOWN_COUNTS: Final = {
    "disconnected": Tone.PROBLEM,
    "not_running": Tone.PROBLEM,
    "need_person": Tone.ATTENTION,
    "slow": Tone.ATTENTION,
    "online": Tone.OK,
}


def mount(admin: AdminPages) -> None:
    """Registers the routes."""

    def render(template: str, operator: OperatorSession) -> Response:
        page = read_page(admin.services, _number(admin.pages.query("page")), admin.pages.query("q"))
        return admin.render(
            template,
            operator,
            page=page,
            outcomes=admin.services.ended_turns.lately(admin.services.clock()),
            address=lambda path, number: _address(path, page, number),
            searched=page.counts.total >= SEARCHED_FROM or bool(page.words),
            longest_search=MAX_WORDS,
            shown_counts=[(name, tone, getattr(page.counts, name)) for name, tone in SHOWN_COUNTS.items()],
            shown_state=shown_state,
            tone_of=tone_of,
        )

    def tenants(operator: OperatorSession) -> Response:
        return render("tenants.html", operator)

    def tenants_live(operator: OperatorSession) -> Response:
        return render("_tenants.html", operator)

    def home() -> Response:
        return admin.pages.redirect("/admin")

    admin.public("GET", "/", home)
    admin.get("/admin", tenants)
    admin.get("/admin/live", tenants_live, fragment=True)


def tone_of(line: Line) -> Tone:
    """Returns the tone of a line's badge."""
    return Tone.QUIET if line.paused else state_tone(line.session)


def _number(text: str) -> int:
    """Returns the number of a page as its address names it; the first one, if that is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _address(path: str, page: LinePage, number: int) -> str:
    """Returns the path of a page of this list: the first one of the whole list has the shortest."""
    query = {"q": page.words, "page": str(number) if number > 1 else ""}
    named = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{named}" if named else path
