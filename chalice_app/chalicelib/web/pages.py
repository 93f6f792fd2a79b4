"""Renders HTML pages, reads posted forms, serves static files, and turns the errors of a page into pages.

Chalice makes a 500 of every exception of a view before any middleware runs; so every view is wrapped in
``Pages.handle_errors`` or ``responses.handle_json_errors``, the one place where errors become HTTP.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from chalice.app import Chalice, Request, Response

from chalicelib.errors import AnswerlineError, BadRequest, NotDeployed, NotFound, TooLarge, Unauthorised
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, translator
from chalicelib.rendering.static_files import static_file
from chalicelib.rendering.templating import render_page
from chalicelib.web.client_address import pseudonym
from chalicelib.web.responses import (
    READING,
    View,
    client_of_request,
    log_refusal,
    log_unexpected,
    respond,
    retry_after,
)

if TYPE_CHECKING:
    from chalicelib.wiring import Services

FORM: Final = "application/x-www-form-urlencoded"
MAX_FORM_BYTES: Final = 400_000
MAX_FORM_FIELDS: Final = 100
#: The address of a static file carries its content's hash, so a browser may keep the file for good.
STATIC_CACHE_CONTROL: Final = "public, max-age=31536000, immutable"


class Pages:
    """Requests from and responses to a browser.

    Args:
        app: the application that receives the requests; one per thread.
        services: for the stage, the commit and the public address.
    """

    def __init__(self, app: Chalice, services: "Services") -> None:
        self._app = app
        self._services = services

    # -- the request -------------------------------------------------------------------------------------------

    @property
    def request(self) -> Request:
        """The request that is being answered."""
        request = self._app.current_request
        if request is None:
            raise RuntimeError("a page is only rendered while a request is answered")
        return request

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, by lower-case name."""
        headers: Mapping[str, str] = self.request.headers
        return headers

    @property
    def client(self) -> str:
        """The client as rate limits count it: an IPv4 address, or a /64 of IPv6."""
        return client_of_request(self.request, lambda: self._services.proxies)

    @property
    def origin(self) -> str:
        """The origin of our own pages, as browsers write it."""
        parts = urlsplit(self._services.base_url())
        return f"{parts.scheme}://{parts.netloc}".lower()

    def query(self, name: str) -> str:
        """Returns a parameter of the query; empty when it is missing."""
        parameters = cast(Mapping[str, str], self.request.query_params or {})
        return parameters.get(name, "")

    def form(self, max_bytes: int = MAX_FORM_BYTES) -> dict[str, str]:
        """Parses the fields of a posted form; of a repeated field the last value counts.

        The route needs ``content_types=[FORM]``. Raises TooLarge and BadRequest.
        """
        raw = self.request.raw_body
        body = raw.encode() if isinstance(raw, str) else raw
        if len(body) > max_bytes:
            raise TooLarge("This form is longer than allowed.")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
        except ValueError:
            raise BadRequest("This form could not be read.") from None
        return dict(pairs)

    # -- addresses ---------------------------------------------------------------------------------------------

    def url_for(self, path: str) -> str:
        """Returns the address of a path on this host, under the stage's prefix."""
        return urlsplit(self._services.base_url()).path.rstrip("/") + path

    def static(self, name: str) -> str:
        """Returns the address of a static file, with its version."""
        return self.url_for(f"/static/{name}?v={static_file(name).version}")

    # -- responses -----------------------------------------------------------------------------------------------

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        cookies: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        language: str = DEFAULT_LANGUAGE,
        **context: Any,
    ) -> Response:
        """Renders a page or a fragment of ``templates/``; there ``translate`` has the texts of ``language``."""
        html = render_page(
            template,
            language=language,
            translate=translator(language),
            url_for=self.url_for,
            static=self.static,
            stage=self._services.stage,
            commit=self._services.commit,
            base_url=self._services.base_url(),
            **context,
        )
        return self.html(html, status=status, cookies=cookies, headers=headers)

    def html(
        self, html: str, *, status: int = 200, cookies: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> Response:
        """Returns HTML that is rendered already."""
        content = {"Content-Type": "text/html; charset=utf-8", **(headers or {})}
        return respond(html, status=status, headers=content, cookies=cookies)

    def redirect(self, path: str, *, cookies: Sequence[str] = ()) -> Response:
        """Redirects to one of our own paths, as a GET."""
        location = {"Content-Type": "text/plain", "Location": self.url_for(path)}
        return respond("", status=303, headers=location, cookies=cookies)

    def error(self, error: AnswerlineError, *, back: str | None = None, label: str = "Back to the tenants") -> Response:
        """Renders any error as a page of the same form; every kind of NotFound reads the same.

        Args:
            back: the path of the page to go on with, instead of the list of tenants.
            label: of the button that leads there.
        """
        self.log_refusal(error)
        return self.render(
            "error.html",
            status=error.status,
            headers=retry_after(error),
            title=ERROR_TITLES.get(error.status, "That did not work"),
            sentence=NOT_FOUND if isinstance(error, NotFound) else error.message,
            back_link=self._back_link() if back is None else self.url_for(back),
            back_label=label,
            request_id=None,
        )

    def log_refusal(self, error: AnswerlineError) -> None:
        """Logs an error that is ours, or a refusal of this request. A script's poll after the sign-out is none."""
        if not isinstance(error, Unauthorised):
            log_refusal(error, pseudonym(self.client))

    def handle_errors(self, view: View) -> View:
        """Wraps a view: every exception becomes a page."""

        @functools.wraps(view)
        def handled(*args: Any, **path: Any) -> Response:
            try:
                return self._with_error_pages(view, args, path)
            except NotDeployed as error:  # no page can be rendered without our own address
                self.log_refusal(error)
                return respond(
                    error.message, status=error.status, headers={"Content-Type": "text/plain; charset=utf-8"}
                )

        return handled

    def _with_error_pages(self, view: View, args: tuple[Any, ...], path: Mapping[str, Any]) -> Response:
        try:
            return view(*args, **path)
        except NotDeployed:
            raise
        except AnswerlineError as error:
            return self.error(error)
        except Exception as error:
            request_id = log_unexpected(self._app, error)
            return self.render(
                "error.html",
                status=500,
                title="Something went wrong on our side",
                sentence="It was noted, with the number below. Try again in a moment.",
                back_link=self._back_link(),
                request_id=request_id,
            )

    def _back_link(self) -> str | None:
        """The address to go back to: only an operator has one."""
        return self.url_for("/admin") if self.request.path.startswith("/admin") else None


NOT_FOUND: Final = "The address may be incomplete, or what was here is gone."
ERROR_TITLES: Final[Mapping[int, str]] = {
    400: "That did not work",
    401: "Sign in first",
    403: "Not like this",
    404: "There is nothing here",
    409: "Somebody else was faster",
    413: "That was too much",
    429: "A little too fast",
    503: "Not just now",
}


def mount(app: Chalice, services: "Services") -> None:
    """Registers the route of static files."""
    pages = Pages(app, services)

    @app.route("/static/{name}", methods=READING)
    @pages.handle_errors
    def static(name: str) -> Response:
        file = static_file(name)
        cache_control = STATIC_CACHE_CONTROL if pages.query("v") == file.version else "no-cache"
        return respond(file.text, headers={"Content-Type": file.type, "Cache-Control": cache_control})
