"""ASGI middleware in front of MiniStack: refuses browsers, spools mails, and emulates ECS calls that MiniStack lacks.

Runs inside MiniStack's own virtual environment.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from infrastructure.local.ecs.task_protection import TARGET, Protections
from infrastructure.local.ecs.tasks import Tasks
from infrastructure.local.mail import spool

#: The health check: the only one of MiniStack's own paths that is open.
HEALTH_PATH = "/_ministack/health"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class EmulatorMiddleware:
    """Forwards requests, counts them, and spools every mail before SES acknowledges it.

    Refuses (403) every request that a web page could make a browser on this machine send: MiniStack checks no
    signature, and one POST to ``/_ministack/reset`` would erase all data.
    """

    def __init__(self, application: Application, outbox: Path) -> None:
        self._application = application
        self._outbox = outbox
        self._protections = Protections()
        self._tasks = Tasks()
        #: Requests since the start; a checkpoint is due when the number has grown.
        self.requests = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.requests += 1
        if scope["type"] != "lifespan" and _is_from_browser(scope):
            await _refuse(scope, send)
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == "/v2/email/outbound-emails":
            await self._mail(scope, receive, send)
        elif scope["type"] == "http" and (target := _amz_target(scope)).startswith(TARGET):
            await self._ecs(target, scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _ecs(self, target: str, scope: Message, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        answer = self._protections.answer(target, body) or self._tasks.answer(target, body)
        if answer is None:
            await self._application(scope, _replay(body, receive), send)
            return
        headers = [(b"content-type", b"application/x-amz-json-1.1"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _mail(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        answer: list[Message] = []

        async def buffer_response(message: Message) -> None:
            answer.append(message)

        await self._application(scope, _replay(body, receive), buffer_response)
        if answer and answer[0].get("status") == 200:
            answered = b"".join(message.get("body", b"") for message in answer)
            identifier = str(json.loads(answered)["MessageId"])
            await asyncio.to_thread(spool.write, self._outbox, identifier, json.loads(body), time.time())
        for message in answer:
            await send(message)


async def _read_body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    buffered = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replay() -> Message:
        return buffered.pop() if buffered else await receive()

    return receive_replay


def _amz_target(scope: Message) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-amz-target"), "")


def _is_from_browser(scope: Message) -> bool:
    path = str(scope["path"])
    if path.startswith("/_") and path != HEALTH_PATH:
        return True
    names = {name.lower() for name, _ in scope["headers"]}
    return bool(names & {b"origin", b"referer", b"sec-fetch-site"})


async def _refuse(scope: Message, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
