"""The owner's door: the emailed link, the live code to scan or type, and afterwards how the line is doing.

========================  =====  ============================================================================
``/join/{token}``         GET    renders only, because mail scanners fetch links; a bound browser goes on to status
``/join/{token}/open``    POST   binds this browser if none is bound, wakes the session
``/join/{token}/continue``  POST  binds this browser instead of the other one
``/join/{token}/status``  GET    what the bound browser sees; renews the watch
``/join/{token}/live``    GET    the same as JSON, for the script; renews the watch
``/join/{token}/code``    GET    the form that asks for the phone's number
``/join/{token}/pair``    POST   asks for a pairing code
``/join/{token}/qr``      POST   a QR code again
``/join/{token}/again``   POST   the owner's action: connect again
``/join/{token}/passkey``  GET   what to do when WhatsApp asks for a passkey
========================  =====  ============================================================================

The token in the path is the capability; the cookie says which browser uses it. A token that is expired, revoked,
unknown or not even one costs the same single read and gets the same page.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Final

from chalice.app import Chalice, Response

from chalicelib.errors import AnswerlineError, Conflict, Forbidden, NotFound, TooMany
from chalicelib.model import Invite, Session, Tenant, TenantState
from chalicelib.rendering.languages import preferred_language
from chalicelib.tokens import derive, secrets_match, sha256
from chalicelib.web.browser_auth import is_same_origin, parse_cookies, require_csrf_token, set_cookie
from chalicelib.web.landing_view import LandingView, digits_of, landing_view
from chalicelib.web.pages import FORM, Pages
from chalicelib.web.responses import json_response
from chalicelib.wiring import Services
from wire import Phase

#: The browser keeps its cookie this long after it was bound; the link itself lives until it is revoked.
BOUND_FOR: Final = timedelta(days=180)
POSTS_PER_ADDRESS_PER_MINUTE: Final = 20
#: WhatsApp itself refuses more pairing codes than a few.
PAIRING_CODES_PER_TENANT, PAIRING_WINDOW = 5, timedelta(minutes=10)
MAX_FORM_BYTES: Final = 4_000
NO_INDEX: Final = {"X-Robots-Tag": "noindex, nofollow"}


def mount(app: Chalice, services: Services) -> None:
    """Registers the routes."""
    pages = Pages(app, services)
    door = Landing(pages, services)

    def route(path: str, method: str, view: Callable[[str], Response]) -> None:
        guarded = pages.handle_errors(door.guarded(view))
        if method == "POST":
            app.route(f"/join/{{token}}{path}", methods=["POST"], content_types=[FORM])(guarded)
        else:
            app.route(f"/join/{{token}}{path}", methods=["GET"])(guarded)

    route("", "GET", door.first_page)
    route("/open", "POST", door.open)
    route("/continue", "POST", door.continue_here)
    route("/status", "GET", door.status)
    route("/live", "GET", door.live)
    route("/code", "GET", door.number_form)
    route("/pair", "POST", door.pair)
    route("/qr", "POST", door.show_qr)
    route("/again", "POST", door.again)
    route("/passkey", "GET", door.passkey)


@dataclass(frozen=True, slots=True)
class Guest:
    """Who holds a living link, and whether it is the browser that may see the code."""

    token: str
    invite: Invite
    tenant: Tenant
    secret: str

    @property
    def bound(self) -> bool:
        return self.invite.bound_sha256 is not None and secrets_match(sha256(self.secret), self.invite.bound_sha256)

    @property
    def csrf(self) -> str:
        return derive(self.secret, "landing")


class Landing:
    """The views; each takes the token of its path."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    # -- a browser comes ---------------------------------------------------------------------------------------

    def first_page(self, token: str) -> Response:
        guest = self._guest(token)
        if guest.bound:
            return self._to(guest, "/status")
        return self._render("opening" if guest.invite.bound_sha256 is None else "elsewhere", guest, moved=False)

    def open(self, token: str) -> Response:
        guest = self._posting_guest(token)
        if guest.bound:
            self._wake(guest)
            return self._to(guest, "/status")
        secret = self._services.token()
        invite = self._services.tenants.invites.open(sha256(token), sha256(secret), now=self._services.clock())
        if not secrets_match(invite.bound_sha256 or "", sha256(secret)):
            return self._to(guest, "")
        return self._welcome(guest, secret)

    def continue_here(self, token: str) -> Response:
        guest = self._posting_guest(token)
        secret, former = self._services.token(), guest.invite.bound_sha256
        try:
            self._services.tenants.invites.bind(
                sha256(token), sha256(secret), instead_of=former, now=self._services.clock()
            )
        except Conflict:
            return self._to(guest, "")
        return self._welcome(guest, secret)

    def _welcome(self, guest: Guest, secret: str) -> Response:
        self._wake(guest)
        return self._to(guest, "/status", set_cookie(_cookie_name(guest.invite), secret, BOUND_FOR))

    # -- the bound browser looks -------------------------------------------------------------------------------

    def status(self, token: str) -> Response:
        guest = self._guest(token)
        if not guest.bound:
            return self._render("elsewhere", guest, moved=True) if guest.secret else self._to(guest, "")
        return self._render("status", guest, view=self._show(guest))

    def live(self, token: str) -> Response:
        try:
            guest = self._guest(token)
        except NotFound:
            return json_response('{"reload": true}', status=404, headers=NO_INDEX)
        if not guest.bound:
            return json_response('{"reload": true}', headers=NO_INDEX)
        view = self._show(guest)
        answer: dict[str, str | int] = {"version": view.version, "every_ms": view.every_ms}
        if self._pages.query("seen") != view.version:
            answer["html"] = str(self._render("live", guest, view=view).body)
        return json_response(json.dumps(answer), headers=NO_INDEX)

    def number_form(self, token: str) -> Response:
        return self._bound_page(token, "number", number="", error=False)

    def passkey(self, token: str) -> Response:
        return self._bound_page(token, "passkey")

    # -- the bound browser acts --------------------------------------------------------------------------------

    def pair(self, token: str) -> Response:
        guest, form = self._acting_guest(token)
        digits = digits_of(form.get("number", ""))
        if digits is None:
            return self._render("number", guest, status=422, number=form.get("number", "")[:40], error=True)
        self._count(guest, "pairing-codes", PAIRING_WINDOW, PAIRING_CODES_PER_TENANT)
        if guest.tenant.wanted is TenantState.ACTIVE:
            self._services.placement.pair_with(guest.tenant.id, digits, self._services.clock())
        return self._to(guest, "/status")

    def show_qr(self, token: str) -> Response:
        guest, _ = self._acting_guest(token)
        if guest.tenant.wanted is TenantState.ACTIVE:
            self._services.placement.pair_with(guest.tenant.id, None, self._services.clock())
        return self._to(guest, "/status")

    def again(self, token: str) -> Response:
        guest, _ = self._acting_guest(token)
        self._wake(guest)
        return self._to(guest, "/status")

    # -- who is it ---------------------------------------------------------------------------------------------

    def _guest(self, token: str) -> Guest:
        """Raises NotFound, after one read, for whatever is not a living link."""
        invite = self._services.tenants.invites.find(sha256(token), now=self._services.clock())
        tenant = self._services.tenants.get(invite.tenant)
        return Guest(token, invite, tenant, parse_cookies(self._pages.headers).get(_cookie_name(invite), ""))

    def _posting_guest(self, token: str) -> Guest:
        guest = self._guest(token)
        address = f"landing-{sha256(self._pages.address)[:16]}"
        self._count(guest, address, timedelta(minutes=1), POSTS_PER_ADDRESS_PER_MINUTE)
        if not is_same_origin(self._pages.headers):
            raise Forbidden
        return guest

    def _acting_guest(self, token: str) -> tuple[Guest, dict[str, str]]:
        """A browser that lost its binding is told so by the status page it is sent to."""
        guest = self._posting_guest(token)
        form = self._pages.form(MAX_FORM_BYTES)
        if not guest.bound:
            raise _Unbound(guest)
        require_csrf_token(self._pages.headers, form, guest.csrf)
        return guest, form

    def _bound_page(self, token: str, name: str, **context: Any) -> Response:
        guest = self._guest(token)
        if not guest.bound:
            raise _Unbound(guest)
        return self._render(name, guest, **context)

    def _count(self, guest: Guest, what: str, within: timedelta, at_most: int) -> None:
        if self._services.tenants.count_within(guest.tenant.id, what, within, self._services.clock()) > at_most:
            raise TooMany

    # -- what it sees ------------------------------------------------------------------------------------------

    def _wake(self, guest: Guest) -> None:
        if guest.tenant.wanted is TenantState.ACTIVE:
            self._services.placement.watch(guest.tenant.id, self._services.clock())

    def _watched(self, guest: Guest, now: int) -> Session:
        """The session, watched on while a code is wanted; one that was logged out waits for its owner's wish."""
        session = self._services.placement.session(guest.tenant.id)
        resting = session.phase is Phase.LOGGED_OUT and not session.is_awake(now)
        if guest.tenant.paused or session.linked or resting:
            return session
        return self._services.placement.watch(guest.tenant.id, now)

    def _show(self, guest: Guest) -> LandingView:
        now = self._services.clock()
        return landing_view(guest.tenant, self._watched(guest, now), now)

    def _render(self, name: str, guest: Guest, *, status: int = 200, **context: Any) -> Response:
        return self._pages.render(
            f"landing/{name}.html",
            status=status,
            headers=NO_INDEX,
            language=guest.tenant.language,
            name=guest.tenant.name,
            here=self._pages.url_for(f"/join/{guest.token}"),
            csrf=guest.csrf if guest.bound else "",
            **context,
        )

    def _to(self, guest: Guest, path: str, *set_cookies: str) -> Response:
        return self._pages.redirect(f"/join/{guest.token}{path}", cookies=set_cookies)

    def guarded(self, view: Callable[[str], Response]) -> Callable[..., Response]:
        """The view with expected trouble as a page in the reader's language, which tells nothing of the link."""

        @wraps(view)
        def guard(token: str) -> Response:
            try:
                return view(token)
            except _Unbound as unbound:
                return self._to(unbound.guest, "/status")
            except AnswerlineError as trouble:
                about = {404: "gone", 429: "busy"}.get(trouble.status, "trouble")
                return self._pages.render(
                    "landing/error.html",
                    status=trouble.status,
                    headers=NO_INDEX,
                    language=preferred_language(self._pages.headers.get("accept-language", "")),
                    about=about,
                )

        return guard


class _Unbound(Exception):
    """This browser may not see this page (any more)."""

    def __init__(self, guest: Guest) -> None:
        super().__init__("another browser is bound")
        self.guest = guest


def _cookie_name(invite: Invite) -> str:
    """One per link: an owner may have several lines."""
    return f"__Host-join-{invite.token_sha256[:16]}"
