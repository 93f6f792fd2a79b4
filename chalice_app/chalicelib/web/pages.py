"""HTML and forms for the doors that browsers use: pages, security headers, static files, and errors as answers.

Chalice makes a 500 of every exception of a view before any middleware sees it; so every view is wrapped in
``Pages.guarded`` or ``guarded_json``, the one place where trouble becomes HTTP.
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from chalice.app import Chalice, Request, Response

from chalicelib.errors import AnswerlineError, BadRequest, NotDeployed, NotFound, TooLarge, TransientError
from chalicelib.log_context import trace
from chalicelib.log_events import LogEvent
from chalicelib.rendering.languages import DEFAULT_LANGUAGE, speaker
from chalicelib.rendering.qr import qr_svg
from chalicelib.rendering.static_files import static_file
from chalicelib.rendering.templating import environment
from wire import Refusal

if TYPE_CHECKING:
    from chalicelib.wiring import Services

log = logging.getLogger(__name__)

View = Callable[..., Response]

FORM: Final = "application/x-www-form-urlencoded"
FORM_AT_MOST_BYTES: Final = 400_000
FORM_FIELDS_AT_MOST: Final = 100
#: A static file's address carries its content's hash, so a browser need never ask again.
STATIC_KEPT_FOR: Final = "public, max-age=31536000, immutable"
TEMPLATES: Final = Path(__file__).parents[1] / "rendering" / "templates"

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Pages:
    """What a door needs to answer a browser.

    Args:
        app: whose requests these are; one per thread.
        services: for the stage, the commit and the public address.
    """

    def __init__(self, app: Chalice, services: "Services") -> None:
        self._app = app
        self._services = services

    # -- the request -------------------------------------------------------------------------------------------

    @property
    def request(self) -> Request:
        request = self._app.current_request
        if request is None:
            raise RuntimeError("a page is only rendered while a request is answered")
        return request

    @property
    def headers(self) -> Mapping[str, str]:
        headers: Mapping[str, str] = self.request.headers
        return headers

    @property
    def address(self) -> str:
        """The caller's IP address as the gateway saw it; a header could say anything."""
        context: Mapping[str, Any] = self.request.context
        return str((context.get("identity") or {}).get("sourceIp") or "unknown")

    def query(self, name: str) -> str:
        parameters = cast(Mapping[str, str], self.request.query_params or {})
        return parameters.get(name, "")

    def form(self, at_most: int = FORM_AT_MOST_BYTES) -> dict[str, str]:
        """The fields of a posted form (of a repeated one the last). Its route needs ``content_types=[FORM]``."""
        raw = self.request.raw_body
        body = raw.encode() if isinstance(raw, str) else raw
        if len(body) > at_most:
            raise TooLarge("This form is longer than allowed.")
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS_AT_MOST
            )
        except ValueError:
            raise BadRequest("This form could not be read.") from None
        return dict(pairs)

    # -- addresses ---------------------------------------------------------------------------------------------

    def url_for(self, path: str) -> str:
        """The address of one of our paths on this host, under the stage's prefix."""
        return urlsplit(self._services.base_url()).path.rstrip("/") + path

    def link(self, path: str) -> str:
        """The whole address, for a mail."""
        return self._services.base_url() + path

    def static(self, name: str) -> str:
        return self.url_for(f"/static/{name}?v={static_file(name).version}")

    # -- answers -----------------------------------------------------------------------------------------------

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
        """A page (or a fragment of one) from ``templates/``; ``say`` speaks its language."""
        html = fill(
            template,
            language=language,
            say=speaker(language),
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
        return _response(html, status, {"Content-Type": "text/html; charset=utf-8", **(headers or {})}, cookies)

    def redirect(self, path: str, *, cookies: Sequence[str] = ()) -> Response:
        """To one of our own paths, as a GET."""
        return _response("", 303, {"Content-Type": "text/plain", "Location": self.url_for(path)}, cookies)

    def trouble(self, trouble: AnswerlineError) -> Response:
        """The same look for everything that went wrong; what is not there looks the same whatever it was."""
        _note(trouble)
        return self.render(
            "trouble.html",
            status=trouble.status,
            headers=_retry_after(trouble),
            title=TITLES.get(trouble.status, "That did not work"),
            sentence=GONE if isinstance(trouble, NotFound) else trouble.message,
            way_back=self._way_back(),
            request_id=None,
        )

    def guarded(self, view: View) -> View:
        """The view with every exception turned into a page."""

        @functools.wraps(view)
        def guard(*args: Any, **path: Any) -> Response:
            try:
                return self._shown(view, args, path)
            except NotDeployed as trouble:  # no page can be drawn without our own address
                _note(trouble)
                return _response(trouble.message, trouble.status, {"Content-Type": "text/plain; charset=utf-8"}, ())

        return guard

    def _shown(self, view: View, args: tuple[Any, ...], path: Mapping[str, Any]) -> Response:
        try:
            return view(*args, **path)
        except NotDeployed:
            raise
        except AnswerlineError as trouble:
            return self.trouble(trouble)
        except Exception as error:
            request_id = report(self._app, error)
            return self.render(
                "trouble.html",
                status=500,
                title="Something went wrong on our side",
                sentence="It was noted, with the number below. Try again in a moment.",
                way_back=self._way_back(),
                request_id=request_id,
            )

    def _way_back(self) -> str | None:
        """Only an operator has somewhere to go back to."""
        return self.url_for("/admin") if self.request.path.startswith("/admin") else None


GONE: Final = "The address may be incomplete, or what was here is gone."
TITLES: Final[Mapping[int, str]] = {
    400: "That did not work",
    401: "Sign in first",
    403: "Not like this",
    404: "There is nothing here",
    409: "Somebody else was faster",
    413: "That was too much",
    429: "A little too fast",
    503: "Not just now",
}


def guarded_json(app: Chalice, view: View) -> View:
    """For programs: the same, with a ``wire.Refusal`` as body.

    Whoever reads a request says ``BadRequest`` itself; pydantic's complaint about anything else is our mistake.
    """

    @functools.wraps(view)
    def guard(*args: Any, **path: Any) -> Response:
        try:
            return view(*args, **path)
        except AnswerlineError as trouble:
            _note(trouble)
            return json_response(
                Refusal(code=trouble.code, message=trouble.message).model_dump_json(),
                status=trouble.status,
                headers=_retry_after(trouble),
            )
        except Exception as error:
            message = f"Something went wrong on our side ({report(app, error)})."
            return json_response(Refusal(code="internal", message=message).model_dump_json(), status=500)

    return guard


def json_response(body: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return _response(body, status, {"Content-Type": "application/json", **(headers or {})}, ())


def _note(trouble: AnswerlineError) -> None:
    """Trouble on our side is ours to know about; its message is our own sentence."""
    if trouble.status >= 500:
        log.warning(LogEvent.REQUEST_FAILED, extra={"error": trouble.code, "error_message": trouble.message})


def report(app: Chalice, error: BaseException) -> str:
    """Logs an exception nobody expected under the request's id, which is returned.

    Types and places, not others' messages: a message may quote what it did not like, and that may be a secret.
    """
    context = app.current_request.context if app.current_request is not None else {}
    request_id = str(context.get("requestId") or "unknown")
    log.error(
        LogEvent.UNEXPECTED_ERROR, extra={"error": type(error).__name__, "request": request_id, "trace": trace(error)}
    )
    return request_id


def mount(app: Chalice, services: "Services") -> None:
    """Static files, for every door."""
    pages = Pages(app, services)

    @app.route("/static/{name}", methods=["GET"])
    @pages.guarded
    def static(name: str) -> Response:
        file = static_file(name)
        kept = STATIC_KEPT_FOR if pages.query("v") == file.version else "no-cache"
        return _response(file.text, 200, {"Content-Type": file.type, "Cache-Control": kept}, ())


def fill(template: str, **context: Any) -> str:
    """A template of ``templates/`` with its values, which are escaped."""
    return environment(TEMPLATES, qr_svg=qr_svg).get_template(template).render(context)


def _response(body: str, status: int, headers: Mapping[str, str], cookies: Sequence[str]) -> Response:
    named: dict[str, str | list[str]] = {**SECURITY_HEADERS, **headers}
    if cookies:
        named["Set-Cookie"] = list(cookies)
    return Response(body=body, status_code=status, headers=named)


def _retry_after(trouble: AnswerlineError) -> dict[str, str]:
    if isinstance(trouble, TransientError) and trouble.retry_after_seconds is not None:
        return {"Retry-After": str(max(1, round(trouble.retry_after_seconds)))}
    return {}
