"""ASGI middleware in front of MiniStack: spools mails, and emulates ECS calls that MiniStack lacks.

Runs inside MiniStack's own virtual environment.
"""

import asyncio
import json
import time
from pathlib import Path

from infrastructure.local.ecs.task_protection import TARGET, Protections
from infrastructure.local.ecs.tasks import Tasks
from infrastructure.local.emulator.asgi import Application, Message, Receive, Send, read_body, replay
from infrastructure.local.mail import spool


class EmulatorMiddleware:
    """Forwards requests, and spools every mail before SES acknowledges it."""

    def __init__(self, application: Application, outbox: Path) -> None:
        self._application = application
        self._outbox = outbox
        self._protections = Protections()
        self._tasks = Tasks()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == "/v2/email/outbound-emails":
            await self._mail(scope, receive, send)
        elif scope["type"] == "http" and (target := _amz_target(scope)).startswith(TARGET):
            await self._ecs(target, scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _ecs(self, target: str, scope: Message, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        answer = self._protections.answer(target, body) or self._tasks.answer(target, body)
        if answer is None:
            await self._application(scope, replay(body, receive), send)
            return
        headers = [(b"content-type", b"application/x-amz-json-1.1"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _mail(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        answer: list[Message] = []

        async def buffer_response(message: Message) -> None:
            answer.append(message)

        await self._application(scope, replay(body, receive), buffer_response)
        if answer and answer[0].get("status") == 200:
            answered = b"".join(message.get("body", b"") for message in answer)
            identifier = str(json.loads(answered)["MessageId"])
            await asyncio.to_thread(spool.write, self._outbox, identifier, json.loads(body), time.time())
        for message in answer:
            await send(message)


def _amz_target(scope: Message) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-amz-target"), "")
