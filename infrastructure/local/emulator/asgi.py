"""ASGI's types, and a request's body read whole and given again; runs inside MiniStack's own virtual environment."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class BodyTooLarge(Exception):
    """A body exceeds the limit of its reader."""


async def read_body(receive: Receive, max_bytes: int | None = None) -> bytes:
    """Returns the whole body, or what came of it before the client left; raises :class:`BodyTooLarge`."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if max_bytes is not None and len(body) > max_bytes:
            raise BodyTooLarge
    return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Returns a ``receive`` that gives the body again, once, and then what else comes."""
    buffered: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replay() -> Message:
        return buffered.pop() if buffered else await receive()

    return receive_replay
