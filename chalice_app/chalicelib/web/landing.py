"""The owner's landing page: the emailed link, the live code to scan or type, and afterwards the state of the line.

========================  =====  ============================================================================
``/join/{token}``         GET    renders only, because mail scanners fetch links; redirects a bound browser to status
``/join/{token}/open``    POST   binds this browser if none has the page, keeps the session awake
``/join/{token}/continue``  POST  binds this browser instead of the one that has the page
``/join/{token}/status``  GET    the page of the bound browser; keeps the session awake
``/join/{token}/live``    GET    the same as JSON, for the script; keeps the session awake
``/join/{token}/code``    GET    the form that asks for the phone's number
``/join/{token}/pair``    POST   asks for a pairing code
``/join/{token}/qr``      POST   asks for a QR code instead of a pairing code
``/join/{token}/again``   POST   the owner's action: connect again, open it here again, ask for a new code
``/join/{token}/answer``  POST   answers the chats that wrote while the line was disconnected
``/join/{token}/passkey``  GET   instructions for an account that WhatsApp protects by a passkey
========================  =====  ============================================================================

The token in the path is the capability; the cookie proves which browser uses it. A token that is expired, revoked,
unknown or malformed costs the same single read and gets the same page.
"""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final

from chalice.app import Chalice, Response

from chalicelib.errors import AnswerlineError, Conflict, Forbidden, NotFound, TooMany
from chalicelib.log_events import LogEvent
from chalicelib.model import Session, TenantState
from chalicelib.model.messages.phone_numbers import PhoneProblem, parse_phone
from chalicelib.notifications import notice_jobs
from chalicelib.rendering.languages import preferred_language
from chalicelib.sessions.missed import answer_missed, missed_chats
from chalicelib.store.invites import page_taken_over
from chalicelib.tokens import secrets_match, sha256
from chalicelib.web.browser_auth import is_same_origin, parse_cookies, require_csrf_token, set_cookie
from chalicelib.web.client_address import pseudonym
from chalicelib.web.landing_view import LandingView, landing_view
from chalicelib.web.landing_visitor import BrowserNotBound, Visitor, cookie_name
from chalicelib.web.pages import FORM, Pages
from chalicelib.web.pairing_limits import limit_codes
from chalicelib.web.responses import READING, json_response
from chalicelib.wiring import Services
from wire import Phase

log = logging.getLogger(__name__)

#: The lifetime of a bound browser's cookie; the link itself lives until it is revoked.
BOUND_FOR: Final = timedelta(days=180)
#: The rate limit of one IP address.
POSTS_PER_ADDRESS_PER_MINUTE: Final = 20
MAX_FORM_BYTES: Final = 4_000
NO_INDEX: Final = {"X-Robots-Tag": "noindex, nofollow"}


def mount(app: Chalice, services: Services) -> None:
    """Registers the routes."""
    pages = Pages(app, services)
    landing = Landing(pages, services)

    def route(path: str, method: str, view: Callable[[str], Response]) -> None:
        handled = pages.handle_errors(landing.handle_errors(view))
        if method == "POST":
            app.route(f"/join/{{token}}{path}", methods=["POST"], content_types=[FORM])(handled)
        else:
            app.route(f"/join/{{token}}{path}", methods=READING)(handled)

    route("", "GET", landing.first_page)
    route("/open", "POST", landing.open)
    route("/continue", "POST", landing.continue_here)
    route("/status", "GET", landing.status)
    route("/live", "GET", landing.live)
    route("/code", "GET", landing.number_form)
    route("/pair", "POST", landing.pair)
    route("/qr", "POST", landing.show_qr)
    route("/again", "POST", landing.again)
    route("/answer", "POST", landing.answer)
    route("/passkey", "GET", landing.passkey)


class Landing:
    """The views; each takes the token of its path."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    # -- binding a browser -------------------------------------------------------------------------------------

    def first_page(self, token: str) -> Response:
        """Redirects the bound browser; asks any other whether to open the link here."""
        visitor = self._find_visitor(token)
        if visitor.bound:
            return self._redirect(visitor, "/status")
        if visitor.taken:
            return self._render("elsewhere", visitor, moved=False)
        return self._render("opening", visitor, linked=self._services.sessions.get(visitor.tenant.id).linked)

    def open(self, token: str) -> Response:
        """Binds this browser if no other one has the page."""
        visitor = self._find_posting_visitor(token)
        if visitor.bound:
            self._keep_awake(visitor)
            return self._redirect(visitor, "/status")
        if visitor.taken:
            return self._redirect(visitor, "")
        secret, known_as = self._services.token(), visitor.holder_sha256
        try:
            invite = self._services.invites.open(
                sha256(token), sha256(secret), known_as=known_as, now=self._services.clock()
            )
        except Conflict:
            return self._redirect(visitor, "")
        if not secrets_match(invite.bound_sha256 or "", sha256(secret)):
            return self._redirect(visitor, "")
        return self._redirect_bound(visitor, secret)

    def continue_here(self, token: str) -> Response:
        """Binds this browser instead of the one that has the page."""
        visitor = self._find_posting_visitor(token)
        secret, former = self._services.token(), visitor.holder_sha256
        try:
            self._services.invites.bind(sha256(token), sha256(secret), instead_of=former, now=self._services.clock())
        except Conflict:
            return self._redirect(visitor, "")
        notice_jobs.request_sending(self._services, page_taken_over(visitor.invite, self._services.clock()))
        return self._redirect_bound(visitor, secret)

    def _redirect_bound(self, visitor: Visitor, secret: str) -> Response:
        self._keep_awake(visitor)
        return self._redirect(visitor, "/status", set_cookie(cookie_name(visitor.invite), secret, BOUND_FOR))

    # -- pages of the bound browser ----------------------------------------------------------------------------

    def status(self, token: str) -> Response:
        """Renders the live code or the state of the line."""
        visitor = self._find_visitor(token)
        if not visitor.bound:
            return self._render("elsewhere", visitor, moved=True) if visitor.secret else self._redirect(visitor, "")
        return self._render("status", visitor, view=self._view(visitor))

    def live(self, token: str) -> Response:
        """Returns the status as JSON, with HTML only if the page would look different."""
        try:
            visitor = self._find_visitor(token)
        except NotFound:
            return json_response('{"reload": true}', status=404, headers=NO_INDEX)
        if not visitor.bound:
            return json_response('{"reload": true}', headers=NO_INDEX)
        view = self._view(visitor)
        answer: dict[str, str | int] = {"version": view.version, "every_ms": view.every_ms}
        if self._pages.query("seen") != view.version:
            answer["html"] = str(self._render("live", visitor, view=view).body)
        return json_response(json.dumps(answer), headers=NO_INDEX)

    def number_form(self, token: str) -> Response:
        """Renders the form that asks for the phone's number."""
        return self._render_bound(token, "number", number="", error="")

    def passkey(self, token: str) -> Response:
        """Renders the instructions about passkeys."""
        return self._render_bound(token, "passkey")

    # -- actions of the bound browser --------------------------------------------------------------------------

    def pair(self, token: str) -> Response:
        """Asks WhatsApp for a pairing code for the number in the form."""
        visitor, form = self._find_acting_visitor(token)
        number = parse_phone(form.get("number", ""), visitor.tenant.country)
        typed = form.get("number", "")[:40]
        if isinstance(number, PhoneProblem):
            return self._render("number", visitor, status=422, number=typed, error="landing.pair.error")
        try:
            limit_codes(self._services, visitor, number)
        except TooMany as refusal:
            self._log_refusal(refusal)
            return self._render("number", visitor, status=429, number=typed, error="landing.pair.too_many")
        if visitor.tenant.state is TenantState.ACTIVE:
            self._services.placement.pair_with(visitor.tenant.id, number, self._services.clock())
        return self._redirect(visitor, "/status")

    def show_qr(self, token: str) -> Response:
        """Asks for a QR code instead of a pairing code."""
        visitor, _ = self._find_acting_visitor(token)
        if visitor.tenant.state is TenantState.ACTIVE:
            self._services.placement.pair_with(visitor.tenant.id, None, self._services.clock())
        return self._redirect(visitor, "/status")

    def again(self, token: str) -> Response:
        """Tries again at once: to reconnect, to take the connection back, or to get a code without a passkey."""
        visitor, _ = self._find_acting_visitor(token)
        if visitor.tenant.state is TenantState.ACTIVE:
            self._services.placement.try_again(visitor.tenant.id, self._services.clock())
        return self._redirect(visitor, "/status")

    def answer(self, token: str) -> Response:
        """Answers the chats that wrote while the line was disconnected, if they are young enough."""
        visitor, _ = self._find_acting_visitor(token)
        answer_missed(self._services, visitor.tenant, self._services.clock())
        return self._redirect(visitor, "/status")

    # -- authentication ----------------------------------------------------------------------------------------

    def _find_visitor(self, token: str) -> Visitor:
        """Raises NotFound, after one read, for any token that is not a usable link's."""
        invite = self._services.invites.find(sha256(token), now=self._services.clock())
        tenant = self._services.tenants.get(invite.tenant)
        cookies = parse_cookies(self._pages.headers)
        holder = self._services.invites.holder_of_page(invite)
        holder_secret = cookies.get(cookie_name(holder), "") if holder is not None else ""
        return Visitor(token, invite, tenant, cookies.get(cookie_name(invite), ""), holder, holder_secret)

    def _find_posting_visitor(self, token: str) -> Visitor:
        visitor = self._find_visitor(token)
        counter = f"landing-{sha256(self._pages.client)[:16]}"
        self._limit_rate(visitor, counter, timedelta(minutes=1), POSTS_PER_ADDRESS_PER_MINUTE)
        if not is_same_origin(self._pages.headers, self._pages.origin):
            raise Forbidden
        return visitor

    def _find_acting_visitor(self, token: str) -> tuple[Visitor, dict[str, str]]:
        """Returns the bound browser and its form; another browser is redirected to the status page, which explains."""
        visitor = self._find_posting_visitor(token)
        form = self._pages.form(MAX_FORM_BYTES)
        if not visitor.bound:
            raise BrowserNotBound(visitor)
        require_csrf_token(self._pages.headers, self._pages.origin, form, visitor.csrf)
        return visitor, form

    def _limit_rate(self, visitor: Visitor, counter: str, within: timedelta, limit: int) -> None:
        if self._services.counters.count_in_window(visitor.tenant.id, counter, within, self._services.clock()) > limit:
            raise TooMany

    # -- the session -------------------------------------------------------------------------------------------

    def _keep_awake(self, visitor: Visitor) -> None:
        if visitor.tenant.state is TenantState.ACTIVE:
            self._services.placement.keep_awake(visitor.tenant.id, self._services.clock())

    def _awake_session(self, visitor: Visitor, now: int) -> Session:
        """Returns the session, kept awake while a code is needed; after a logout only the owner's action wakes it."""
        session = self._services.sessions.get(visitor.tenant.id)
        logged_out = session.phase is Phase.LOGGED_OUT and not session.is_awake(now)
        if visitor.tenant.paused or session.linked or logged_out:
            return session
        return self._services.placement.keep_awake(visitor.tenant.id, now)

    def _view(self, visitor: Visitor) -> LandingView:
        now = self._services.clock()
        session = self._awake_session(visitor, now)
        return landing_view(visitor.tenant, session, now, missed_chats(self._services, visitor.tenant, session, now))

    def _log_refusal(self, error: AnswerlineError) -> None:
        """Logs a refusal; a link that is unknown or has ended is one, too."""
        if isinstance(error, NotFound):
            log.info(LogEvent.TOKEN_REFUSED, extra={"error": error.code, "client": pseudonym(self._pages.client)})
        else:
            self._pages.log_refusal(error)

    # -- responses ---------------------------------------------------------------------------------------------

    def _render_bound(self, token: str, name: str, **context: Any) -> Response:
        visitor = self._find_visitor(token)
        if not visitor.bound:
            raise BrowserNotBound(visitor)
        return self._render(name, visitor, **context)

    def _render(self, name: str, visitor: Visitor, *, status: int = 200, **context: Any) -> Response:
        return self._pages.render(
            f"landing/{name}.html",
            status=status,
            headers=NO_INDEX,
            language=visitor.tenant.language,
            name=visitor.tenant.name,
            here=self._pages.url_for(f"/join/{visitor.token}"),
            csrf=visitor.csrf if visitor.bound else "",
            **context,
        )

    def _redirect(self, visitor: Visitor, path: str, *cookies: str) -> Response:
        return self._pages.redirect(f"/join/{visitor.token}{path}", cookies=cookies)

    def handle_errors(self, view: Callable[[str], Response]) -> Callable[..., Response]:
        """Wraps a view: an expected error is a page in the reader's language that reveals nothing about the link."""

        @wraps(view)
        def handled(token: str) -> Response:
            try:
                return view(token)
            except BrowserNotBound as error:
                return self._redirect(error.visitor, "/status")
            except AnswerlineError as error:
                self._log_refusal(error)
                about = {404: "gone", 429: "busy"}.get(error.status, "trouble")
                return self._pages.render(
                    "landing/error.html",
                    status=error.status,
                    headers=NO_INDEX,
                    language=preferred_language(self._pages.headers.get("accept-language", "")),
                    about=about,
                )

        return handled
