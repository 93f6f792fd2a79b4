"""Stands before MiniStack: keeps web pages out and mails whole; runs inside MiniStack's own virtual environment."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from infrastructure.local import mail_spool

#: The only one of MiniStack's own paths that is open.
HEALTH = "/_ministack/health"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Door:
    """Passes requests on, remembers that there were any, and spools every mail before SES acknowledges it.

    Whatever a web page could make a browser on this machine send is refused: MiniStack checks no signature, and one
    POST to ``/_ministack/reset`` would erase everything.
    """

    def __init__(self, application: Application, outbox: Path) -> None:
        self._application = application
        self._outbox = outbox
        self.requests = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.requests += 1
        if scope["type"] != "lifespan" and _from_a_browser(scope):
            await _refuse(scope, send)
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == "/v2/email/outbound-emails":
            await self._mail(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _mail(self, scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        replay = [{"type": "http.request", "body": body, "more_body": False}]
        answer: list[Message] = []

        async def receive_again() -> Message:
            return replay.pop() if replay else await receive()

        async def hold_back(message: Message) -> None:
            answer.append(message)

        await self._application(scope, receive_again, hold_back)
        if answer and answer[0].get("status") == 200:
            answered = b"".join(message.get("body", b"") for message in answer)
            identifier = str(json.loads(answered)["MessageId"])
            await asyncio.to_thread(mail_spool.write, self._outbox, identifier, json.loads(body), time.time())
        for message in answer:
            await send(message)


def _from_a_browser(scope: Message) -> bool:
    path = str(scope["path"])
    if path.startswith("/_") and path != HEALTH:
        return True
    names = {name.lower() for name, _ in scope["headers"]}
    return bool(names & {b"origin", b"referer", b"sec-fetch-site"})


async def _refuse(scope: Message, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
