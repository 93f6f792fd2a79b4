"""ASGI door before MiniStack: lets in what is signed with the key of this start, and nothing that a page can send.

Runs inside MiniStack's own virtual environment. MiniStack checks no signature by itself, and one POST to
``/_ministack/reset`` would erase all data.
"""

import hashlib
from collections.abc import Callable, Collection
from datetime import datetime

from infrastructure.local.emulator.asgi import Application, BodyTooLarge, Message, Receive, Send, read_body, replay
from infrastructure.local.signature import AccessKey, Refused, Request, needs_body, refuse_foreign, verify

#: The health check: open without a signature, and the only one of MiniStack's own paths that is open.
HEALTH_PATH = "/_ministack/health"
#: The operations of Cognito that a sign-in consists of: no SDK signs them, since they are anybody's on AWS, too.
SIGN_IN_TARGETS = frozenset(
    f"AWSCognitoIdentityProviderService.{operation}"
    for operation in ("InitiateAuth", "RespondToAuthChallenge", "AssociateSoftwareToken", "VerifySoftwareToken")
)
#: All that MiniStack gets of the headers of a sign-in.
SIGN_IN_HEADERS = frozenset({b"host", b"x-amz-target", b"content-type", b"content-length"})
#: The limit of a body that must be read before its signature can be verified: larger than any of a JSON service.
MAX_UNVERIFIED_BYTES = 48 * 1024 * 1024
#: The headers of a presigned request that MiniStack gets although nothing signs them: they choose no operation.
HARMLESS_HEADERS = frozenset({b"content-length", b"transfer-encoding", b"expect", b"range", b"user-agent"})


class Door:
    """Answers 403 with one sentence, before the application sees anything of the request.

    Args:
        hosts: the Host headers that mean this server.
        clock: returns now, with a time zone.
    """

    def __init__(
        self, application: Application, key: AccessKey, hosts: Collection[str], clock: Callable[[], datetime]
    ) -> None:
        self._application = application
        self._key = key
        self._hosts = hosts
        self._clock = clock

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # no part of the stack opens one
            return
        try:
            admitted = await self._admit(scope, receive)
        except Refused as refusal:
            await _refuse(send, str(refusal))
            return
        await self._application(*admitted, send)

    async def _admit(self, scope: Message, receive: Receive) -> tuple[Message, Receive]:
        """Returns what the application may see of the request; raises :class:`Refused`."""
        request = _request(scope)
        refuse_foreign(request.headers, self._hosts)
        if str(scope["path"]).startswith("/_"):
            if (request.method, scope["path"]) != ("GET", HEALTH_PATH):
                raise Refused("MiniStack's own paths are closed.")
            return scope, receive
        if _is_sign_in(request):
            return _with_headers(scope, SIGN_IN_HEADERS), receive
        if needs_body(request):
            try:
                body = await read_body(receive, MAX_UNVERIFIED_BYTES)
            except BodyTooLarge:
                raise Refused("The body is too large to be read before its signature is verified.") from None
            verify(request, body, self._key, self._clock())
            return scope, replay(body, receive)
        signed = verify(request, None, self._key, self._clock())
        if signed.payload is not None:
            return scope, _Compared(receive, signed.payload)
        return _with_headers(scope, {name.encode("latin-1") for name in signed.headers} | HARMLESS_HEADERS), receive


class _Compared:
    """Passes a body on as it comes; if it is not the signed one, its end never comes, and the request is void."""

    def __init__(self, receive: Receive, expected: str) -> None:
        self._receive = receive
        self._expected = expected
        self._digest = hashlib.sha256()

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        self._digest.update(message.get("body", b""))
        if not message.get("more_body", False) and self._digest.hexdigest() != self._expected:
            return {"type": "http.disconnect"}
        return message


def _request(scope: Message) -> Request:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return Request(
        scope["method"], scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1"), headers
    )


def _is_sign_in(request: Request) -> bool:
    targets = [value for name, value in request.headers if name.lower() == "x-amz-target"]
    whole = (request.method, request.path, request.query)
    return whole == ("POST", "/", "") and len(targets) == 1 and targets[0] in SIGN_IN_TARGETS


def _with_headers(scope: Message, names: Collection[bytes]) -> Message:
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() in names]}


async def _refuse(send: Send, sentence: str) -> None:
    body = sentence.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
