"""Serves Chalice apps over HTTP as API Gateway and Lambda do: real events, the stage prefix, the limits.

Deliberate differences: calls of one process share its memory (Lambda gives each its own), and a call that takes more
than 29 s gets its 504 only when it ends, because a thread cannot be stopped.
"""

import base64
import json
import re
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from infrastructure.local.lambda_runtime.events import STAGE, LambdaContext, Request, is_binary, rest_event
from infrastructure.local.lambda_runtime.objects import Objects
from infrastructure.local.wsgi import StartResponse

#: API Gateway's limit for a request body.
MAX_REQUEST_BYTES = 10 * 1024 * 1024
#: Lambda's limit for an event and for a response, both as JSON.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
#: API Gateway's integration timeout.
INTEGRATION_TIMEOUT_SECONDS = 29.0
#: The calls of the runners' API whose answers hold presigned links.
SNAPSHOTS_PATH = "/runner/snapshots/"

_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 302: "Found", 303: "See Other", 304: "Not Modified",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    409: "Conflict", 413: "Payload Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content",
    429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip


class ThreadLocalState:
    """Mixin that makes a Chalice app's request and context thread-local; a plain app mixes concurrent calls up."""

    _own = threading.local()

    @property
    def current_request(self) -> Any:
        """Returns the request that this thread handles."""
        return getattr(self._own, "request", None)

    @current_request.setter
    def current_request(self, request: Any) -> None:
        self._own.request = request

    @property
    def lambda_context(self) -> Any:
        """Returns the Lambda context of the call that this thread handles."""
        return getattr(self._own, "context", None)

    @lambda_context.setter
    def lambda_context(self, context: Any) -> None:
        self._own.context = context


def make_thread_safe(app: Any) -> Any:
    """Changes the app in place so that many threads may call it at once; returns it."""
    if not isinstance(app, ThreadLocalState):
        for name in ("current_request", "lambda_context"):
            app.__dict__.pop(name, None)
        app.__class__ = type("ThreadLocalChalice", (ThreadLocalState, type(app)), {})
    return app


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def from_gateway(cls, status: int, message: str) -> "Response":
        """Builds an error response of the gateway itself."""
        return cls(status, (("Content-Type", "application/json"),), json.dumps({"message": message}).encode())


class Gateway:
    """The WSGI application in front of Chalice apps, and of the objects that their presigned links lead to.

    Each app stands for a function of its own behind one API. There is no Lambda authorizer: it only keeps strangers
    away from a public API, and every endpoint authenticates by itself.

    Args:
        apps: a Chalice app or several, none of which has a path of another.
    """

    def __init__(self, apps: Any, objects: Objects | None = None) -> None:
        self._objects = objects
        self._apps = [make_thread_safe(each) for each in (apps if isinstance(apps, list | tuple) else [apps])]
        self._binary_types = tuple(self._apps[0].api.binary_types)
        self._routes = _Routes({path: methods for app in self._apps for path, methods in app.routes.items()})
        for app in self._apps:
            for path, methods in app.routes.items():
                for method, entry in methods.items():
                    if entry.authorizer is not None:
                        raise NotImplementedError(
                            f"{method} {path} has an authorizer, which the local gateway does not run"
                        )

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if self._objects is not None and self._objects.owns(str(environ.get("REQUEST_URI") or environ["PATH_INFO"])):
            return self._objects(environ, start_response)
        response = self._respond(environ)
        start_response(f"{response.status} {_REASONS.get(response.status, 'Other')}", list(response.headers))
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    def _respond(self, environ: Mapping[str, Any]) -> Response:
        if environ["PATH_INFO"] == "/":
            return Response(302, (("Location", f"/{STAGE}/"),), b"")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_REQUEST_BYTES:
            return Response.from_gateway(413, "Request Too Long")
        return self.handle(_request(environ, environ["wsgi.input"].read(length) if length else b""))

    def handle(self, request: Request) -> Response:
        """Routes a request, calls the app's Lambda handler and translates its result."""
        stage, _, rest = request.path.removeprefix("/").partition("/")
        path = "/" + rest
        found = self._routes.find(request.method, path) if stage == STAGE else None
        if found is None:
            return Response.from_gateway(403, "Missing Authentication Token" if stage == STAGE else "Forbidden")
        resource, parameters, cors_only = found
        if cors_only is not None:
            return Response(200, tuple(cors_only.items()), b"")
        request_id = str(uuid.uuid4())
        event = rest_event(
            request,
            resource=resource,
            path=path,
            path_parameters=parameters,
            binary_types=self._binary_types,
            request_id=request_id,
            now=time.time(),
        )
        payload = json.dumps(event)
        if len(payload) > MAX_PAYLOAD_BYTES:
            return Response.from_gateway(413, "Request Too Long")
        context = LambdaContext("APIHandler", INTEGRATION_TIMEOUT_SECONDS + 1)
        try:
            result = self._app_of(resource)(json.loads(payload), context)
            returned = json.dumps(result)
        except Exception as error:
            print(f"{request.method} {resource}: {error!r}", file=sys.stderr, flush=True)
            return Response.from_gateway(502, "Internal server error")
        if time.monotonic() - context.started_at > INTEGRATION_TIMEOUT_SECONDS:
            return Response.from_gateway(504, "Endpoint request timed out")
        if len(returned) > MAX_PAYLOAD_BYTES:
            return Response.from_gateway(502, "Internal server error")
        if self._objects is not None and path.startswith(SNAPSHOTS_PATH):
            own = _header(request, "X-Forwarded-Proto"), _header(request, "Host")
            result = {**result, "body": self._objects.at(str(result.get("body") or ""), *own)}
        return self._translate(result, _header(request, "Accept"))

    def _app_of(self, resource: str) -> Any:
        return next(app for app in self._apps if resource in app.routes)

    def _translate(self, result: Mapping[str, Any], accept: str) -> Response:
        headers = [(name, str(value)) for name, value in (result.get("headers") or {}).items()]
        several = result.get("multiValueHeaders") or {}
        headers = [(name, value) for name, value in headers if name not in several]
        headers += [(name, str(value)) for name, values in several.items() for value in values]
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
        text = result.get("body") or ""
        # API Gateway decodes only if Accept names a binary type first; `<img>` and `*/*` get base64.
        if result.get("isBase64Encoded") and is_binary(accept, self._binary_types):
            body = base64.b64decode(text)
        else:
            body = text.encode()
        headers = [(name, value) for name, value in headers if name.lower() not in ("content-length", "connection")]
        headers.append(("Content-Length", str(len(body))))
        return Response(int(result["statusCode"]), tuple(headers), body)


class _Routes:
    """Finds the resource of a path; as in API Gateway, fixed parts take precedence over parameters."""

    def __init__(self, routes: Mapping[str, Mapping[str, Any]]) -> None:
        self._entries = [(resource, _pattern(resource), methods) for resource, methods in routes.items()]
        self._entries.sort(key=lambda entry: [part.startswith("{") for part in entry[0].split("/")])

    def find(self, method: str, path: str) -> tuple[str, dict[str, str], dict[str, str] | None] | None:
        """Returns resource, path parameters and, for a CORS preflight, its headers; ``None``: no such route."""
        trimmed = path.rstrip("/") or "/"
        for resource, pattern, methods in self._entries:
            match = pattern.fullmatch(trimmed)
            if match is None:
                continue
            parameters = {name: unquote(value) for name, value in match.groupdict().items()}
            if method in methods:
                return resource, parameters, None
            if method == "OPTIONS":
                for name, entry in methods.items():
                    if entry.cors is not None:
                        allowed = {"Access-Control-Allow-Methods": f"{name},OPTIONS"}
                        return resource, parameters, {**entry.cors.get_access_control_headers(), **allowed}
        return None


def _pattern(resource: str) -> re.Pattern[str]:
    parts = [f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part) for part in resource.split("/")]
    return re.compile("/".join(parts))


def _request(environ: Mapping[str, Any], body: bytes) -> Request:
    headers = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            headers.append((_name(key[5:]), value))
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            headers.append((_name(key), value))
    source = environ.get("REMOTE_ADDR", "127.0.0.1")
    present = {name for name, _ in headers}
    if "X-Forwarded-For" not in present:
        headers.append(("X-Forwarded-For", source))
    if "X-Forwarded-Proto" not in present:
        headers.append(("X-Forwarded-Proto", environ["wsgi.url_scheme"]))
    if "X-Forwarded-Port" not in present:
        headers.append(("X-Forwarded-Port", environ["SERVER_PORT"]))
    # WSGI decodes the path; waitress keeps the original in REQUEST_URI.
    raw_path = str(environ.get("REQUEST_URI") or environ["PATH_INFO"]).partition("?")[0]
    return Request(
        method=environ["REQUEST_METHOD"],
        path=raw_path,
        query=environ.get("QUERY_STRING", ""),
        headers=tuple(headers),
        body=body,
        source=source,
    )


def _name(key: str) -> str:
    return "-".join(part.capitalize() for part in key.split("_"))


def _header(request: Request, name: str) -> str:
    return next((value for key, value in request.headers if key == name), "")
