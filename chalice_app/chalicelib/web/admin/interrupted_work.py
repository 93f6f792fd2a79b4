"""Brings operators back to where they were going when they had to sign in, with the form that they had filled in."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chalice.app import Response

from chalicelib.store.operators import PATH_KEPT_FOR, Interruptions, OperatorSession
from chalicelib.tokens import secrets_match, sha256
from chalicelib.web.browser_auth import CSRF_FIELD, is_same_origin, parse_cookies, set_cookie
from chalicelib.web.pages import Pages

if TYPE_CHECKING:
    from chalicelib.wiring import Services

#: Names the place to go to, until the form of the sign-in carries it: another tab may be on its way elsewhere.
PLACE_COOKIE: Final = "__Host-place"
PLACE_FIELD: Final = "place"
SHAPE_OF_PLACE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
#: Signing in leads to these anyway.
FIRST_PAGES: Final = frozenset({"", "/admin"})
#: An operator's forms are kept so often; more are a mistake or an attack.
FORMS_PER_HOUR: Final = 20
HOUR: Final = timedelta(hours=1)
#: The key of their counter: no tenant's id has this form.
FORMS: Final = "kept-forms"


class InterruptedWork:
    """The pages and forms that operators wanted when their session had ended.

    Args:
        pages: the request that is being answered.
        services: the store of what waits for a sign-in.
    """

    def __init__(self, pages: Pages, services: "Services") -> None:
        self._pages = pages
        self._services = services

    @property
    def _store(self) -> Interruptions:
        return Interruptions(self._services.table)

    # -- before the sign-in ------------------------------------------------------------------------------------

    def ask_to_sign_in(self, path: str) -> Response:
        """Redirects to the sign-in, which will lead to this page."""
        if path in FIRST_PAGES or self._pages.request.method == "HEAD":
            return self._pages.redirect("/admin/sign-in")
        place = self._services.token()
        self._store.keep_path(sha256(place), path, now=self._services.clock())
        return self._pages.redirect("/admin/sign-in", cookies=[set_cookie(PLACE_COOKIE, place, PATH_KEPT_FOR)])

    def keep_of_ended_session(self, former: OperatorSession, path: str, fields: Mapping[str, str]) -> None:
        """Keeps the form that a page of an ended session posted, for the operator who had it."""
        if self._is_from_our_page() and secrets_match(fields.get(CSRF_FIELD, ""), former.csrf):
            self._keep(former.email, path, fields)

    def keep_of_former_page(self, operator: OperatorSession, path: str, fields: Mapping[str, str]) -> bool:
        """Keeps the form that a page from before the last sign-in posted; False if it came from elsewhere."""
        return self._is_from_our_page() and bool(fields.get(CSRF_FIELD)) and self._keep(operator.email, path, fields)

    def _is_from_our_page(self) -> bool:
        return is_same_origin(self._pages.headers, self._pages.origin)

    def _keep(self, email: str, path: str, fields: Mapping[str, str]) -> bool:
        services, now = self._services, self._services.clock()
        counter = sha256(email.strip().lower())[:32]
        if services.counters.count_in_window(FORMS, counter, HOUR, now) > FORMS_PER_HOUR:
            return False
        return self._store.keep_form(email, path, fields, now=now)

    # -- the sign-in -------------------------------------------------------------------------------------------

    def place_of_browser(self) -> str:
        """Returns the secret name of the place that this browser was sent from last; empty without one."""
        place = parse_cookies(self._pages.headers).get(PLACE_COOKIE, "")
        return place if SHAPE_OF_PLACE.fullmatch(place) else ""

    def path_of(self, place: str) -> str | None:
        """Returns the path of the page with this secret name; None if there is none."""
        if not SHAPE_OF_PLACE.fullmatch(place):
            return None
        return self._store.find_path(sha256(place), now=self._services.clock())

    # -- afterwards --------------------------------------------------------------------------------------------

    def form_of(self, operator: OperatorSession, path: str) -> dict[str, str] | None:
        """Returns what this operator had filled in on this page and could not save; None if nothing, or not wanted."""
        if self._pages.query("fresh"):
            return None
        return self._store.find_form(operator.email, path, now=self._services.clock())

    def forget_form(self, operator: OperatorSession, path: str) -> None:
        """Deletes what was kept of this page's form, which is saved now."""
        self._store.delete_form(operator.email, path)
