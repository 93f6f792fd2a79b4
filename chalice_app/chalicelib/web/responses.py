"""Builds HTTP responses with our security headers, and turns the errors of a JSON endpoint into responses."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from chalice.app import Chalice, Request, Response

from chalicelib.errors import AnswerlineError, Forbidden, TooMany, TransientError, Unauthorised
from chalicelib.log_context import trace
from chalicelib.log_events import LogEvent
from chalicelib.web.client_address import client_of, pseudonym
from wire import Refusal

log = logging.getLogger(__name__)

View = Callable[..., Response]

#: The methods of a route that reads: what checks links and health asks with HEAD, for which gateways drop the body.
READING: Final = ["GET", "HEAD"]

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Without it, the forms of a browser that sends no Sec-Fetch-Site would carry `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def client_of_request(request: Request | None, proxies: Callable[[], int]) -> str:
    """Returns the client as rate limits and the log count it: an IPv4 address, or a /64 of IPv6.

    Args:
        proxies: returns the number of our own proxies in front of the gateway.
    """
    context: Mapping[str, Any] = request.context if request is not None else {}
    source = str((context.get("identity") or {}).get("sourceIp") or "")
    forwarded = request.headers.get("x-forwarded-for", "") if request is not None else ""
    return client_of(source, forwarded, proxies() if forwarded else 0)


def respond(
    body: str, *, status: int = 200, headers: Mapping[str, str] | None = None, cookies: Sequence[str] = ()
) -> Response:
    """Returns a response with the security headers, which ``headers`` may replace.

    Args:
        cookies: values of ``Set-Cookie``.
    """
    named: dict[str, str | list[str]] = {**SECURITY_HEADERS, **(headers or {})}
    if cookies:
        named["Set-Cookie"] = list(cookies)
    return Response(body=body, status_code=status, headers=named)


def json_response(body: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns JSON that is encoded already."""
    return respond(body, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def handle_json_errors(app: Chalice, view: View, proxies: Callable[[], int] = lambda: 0) -> View:
    """Wraps a view for programs: every exception becomes a ``wire.Refusal``.

    A view raises ``BadRequest`` itself for a body it cannot read; any other error of pydantic is a mistake of ours.

    Args:
        proxies: as for ``client_of_request``: a refusal is logged with its client, not with our proxy.
    """

    @functools.wraps(view)
    def handled(*args: Any, **path: Any) -> Response:
        try:
            return view(*args, **path)
        except AnswerlineError as error:
            log_refusal(error, pseudonym(client_of_request(app.current_request, proxies)))
            return json_response(
                Refusal(code=error.code, message=error.message).model_dump_json(),
                status=error.status,
                headers=retry_after(error),
            )
        except Exception as error:
            message = f"Something went wrong on our side ({log_unexpected(app, error)})."
            return json_response(Refusal(code="internal", message=message).model_dump_json(), status=500)

    return handled


def log_refusal(error: AnswerlineError, client: str) -> None:
    """Logs an error that is the control plane's own (5xx), whose message is one of our sentences, and each refusal.

    Args:
        client: its pseudonym.
    """
    if error.status >= 500:
        log.warning(LogEvent.REQUEST_FAILED, extra={"error": error.code, "error_message": error.message})
        return
    who = {"error": error.code, "client": client}
    match error:
        case Unauthorised():
            log.info(LogEvent.TOKEN_REFUSED, extra=who)
        case Forbidden():
            log.info(LogEvent.FORM_REFUSED, extra=who)
        case TooMany():
            log.info(LogEvent.REQUEST_THROTTLED, extra=who)


def log_unexpected(app: Chalice, error: BaseException) -> str:
    """Logs an exception that no code expected; returns the request's id, under which the line is found.

    The line has types and places but no message of other code: a message may quote a secret.
    """
    context = app.current_request.context if app.current_request is not None else {}
    request_id = str(context.get("requestId") or "unknown")
    log.error(
        LogEvent.UNEXPECTED_ERROR, extra={"error": type(error).__name__, "request": request_id, "trace": trace(error)}
    )
    return request_id


def retry_after(error: AnswerlineError) -> dict[str, str]:
    """Returns the ``Retry-After`` header of an error that names a wait; else no header."""
    if isinstance(error, TransientError) and error.retry_after_seconds is not None:
        return {"Retry-After": str(max(1, round(error.retry_after_seconds)))}
    return {}
