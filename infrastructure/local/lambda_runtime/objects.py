"""The gateway's route ``/objects/…``: a runner stores and fetches one object by its presigned link, without AWS's key.

The application signs links for MiniStack, which only this machine reaches. The gateway gives each runner its links at
the address by which that runner came, so they work for processes, for containers and behind a public name alike, and
no request leaves the machine to come back. The signature is verified for MiniStack's address, whatever the way was.
"""

import http.client
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from infrastructure.local.signature import AccessKey, Refused, Request, is_presigned, verify
from infrastructure.local.wsgi import StartResponse, request_headers

PREFIX = "/objects"
#: The largest object: a snapshot, as the wire bounds it.
MAX_OBJECT_BYTES = 2 * 1024**3
#: Most transfers at once; the rest of the gateway's threads stays with the API. A runner retries after 503.
MAX_TRANSFERS = 16
#: The time without a byte after which a transfer is given up.
STALL_TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 256 * 1024
METHODS = ("GET", "PUT")

#: The headers of MiniStack's answer that a runner gets.
_ANSWERED = ("content-type", "content-length", "content-range", "etag", "last-modified")
#: What is stored is nobody's page, whatever its type says: this address has the operator's cookie.
_GUARDING = (
    ("Content-Disposition", "attachment"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


class Objects:
    """A WSGI application that streams between a runner and MiniStack; no object is ever whole in memory here.

    Args:
        endpoint: MiniStack's URL, for which links are signed.
        max_bytes: of one object.
        clock: returns now, with a time zone.
    """

    def __init__(self, endpoint: str, key: AccessKey, max_bytes: int, clock: Callable[[], datetime]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._host = urlsplit(endpoint).netloc
        self._key = key
        self._max_bytes = max_bytes
        self._clock = clock
        self._free = threading.BoundedSemaphore(MAX_TRANSFERS)

    @staticmethod
    def owns(raw_path: str) -> bool:
        """Returns whether a request is for this route."""
        return raw_path.startswith(f"{PREFIX}/")

    def at(self, body: str, scheme: str, host: str) -> str:
        """Returns an answer of the API with its links at the address by which the runner came."""
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            return body
        return body.replace(f'"{self._endpoint}/', json.dumps(f"{scheme}://{host}{PREFIX}/")[:-1])

    def admit(self, method: str, target: str, headers: Mapping[str, str], *, length: int | None) -> None:
        """Raises :class:`Refused` before any body is read.

        Args:
            target: the raw path with its query.
            headers: names in lower case.
            length: of the body; ``None`` if the request does not say it.
        """
        if method not in METHODS:
            raise Refused("An object is only fetched or stored here.")
        if length is None or length > (self._max_bytes if method == "PUT" else 0):
            raise Refused(f"The size of an object must be stated, and at most {self._max_bytes} bytes.")
        path, _, query = target.removeprefix(PREFIX).partition("?")
        request = Request(method, path, query, tuple({**headers, "host": self._host}.items()))
        if not is_presigned(request):
            raise Refused("An object is only reached by a link.")
        verify(request, None, self._key, self._clock())

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        method, target = environ["REQUEST_METHOD"], str(environ["REQUEST_URI"])
        headers = request_headers(environ)
        try:
            self.admit(method, target, headers, length=int(environ.get("CONTENT_LENGTH") or 0))
        except Refused as refusal:
            return _answer(start_response, "403 Forbidden", str(refusal))
        if not self._free.acquire(blocking=False):
            return _answer(start_response, "503 Service Unavailable", "Too many transfers at once.")
        transfer = _Transfer(self._host, self._free.release)
        try:
            body = environ["wsgi.input"] if method == "PUT" else None
            found = transfer.send(method, target.removeprefix(PREFIX), body, {**headers, "host": self._host})
        except (OSError, http.client.HTTPException):
            transfer.close()
            return _answer(start_response, "502 Bad Gateway", "The store does not answer just now.")
        answered = [(name, value) for name in _ANSWERED if (value := found.headers[name]) is not None]
        start_response(f"{found.status} {found.reason}", [*answered, *_GUARDING])
        return transfer


class _Transfer:
    """One request to MiniStack, whose answer is iterated in chunks; WSGI closes it in any case."""

    def __init__(self, host: str, release: Callable[[], None]) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=STALL_TIMEOUT_SECONDS, blocksize=CHUNK_BYTES)
        self._release: Callable[[], None] | None = release
        self._response: http.client.HTTPResponse | None = None

    def send(self, method: str, target: str, body: Any, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        self._connection.request(method, target, body, dict(headers))
        self._response = self._connection.getresponse()
        return self._response

    def __iter__(self) -> Iterator[bytes]:
        assert self._response is not None
        while chunk := self._response.read(CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        self._connection.close()
        if self._release is not None:
            self._release()
        self._release = None


def _answer(start_response: StartResponse, status: str, sentence: str) -> list[bytes]:
    body = sentence.encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *_GUARDING]
    start_response(status, headers)
    return [body]
