"""ASGI middleware in front of MiniStack: acknowledges a change once the state of its service is on the disk.

Runs inside MiniStack's own virtual environment.
"""

import asyncio
import sys

from infrastructure.local.emulator.asgi import Application, Message, Receive, Send
from infrastructure.local.emulator.calls import Service, call_of
from infrastructure.local.emulator.door import HEALTH_PATH
from infrastructure.local.emulator.objects import ObjectFiles
from infrastructure.local.emulator.state import State


class WriteThrough:
    """Forwards requests, and holds the answer to a change back until it is written.

    Refuses (503) every request to a service with a change that the disk did not take, reads too: nobody may act on what
    a restart would forget.
    """

    def __init__(self, application: Application, state: State, objects: ObjectFiles) -> None:
        self._application = application
        self._state = state
        self._objects = objects
        self._disk_works = True

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH_PATH:
            await self._application(scope, receive, send)
            return
        call = call_of(scope["method"], scope["query_string"].decode("latin-1"), scope["headers"])
        if not await self._save(call.service):
            await _answer_unavailable(send)
        elif call.changes:
            await self._forward(call.service, scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _forward(self, service: Service, scope: Message, receive: Receive, send: Send) -> None:
        answer: list[Message] = []

        async def buffer_response(message: Message) -> None:
            answer.append(message)

        try:
            await self._application(scope, receive, buffer_response)
        finally:
            self._state.note_change(service)
        if not await self._save(service):
            await _answer_unavailable(send)
            return
        for message in answer:
            await send(message)

    async def _save(self, service: Service) -> bool:
        """Returns whether all of the service's changes are on the disk; writes those that are not."""
        state_behind = self._state.is_behind(service)
        objects_behind = service in (Service.S3, Service.UNKNOWN) and self._objects.is_behind()
        if not state_behind and not objects_behind:
            return True
        try:
            await self._state.save(service)
            if objects_behind:
                await asyncio.to_thread(self._objects.flush)
        except OSError as error:
            if self._disk_works:
                print(f"the disk takes no changes ({error}); they are refused until it does", file=sys.stderr)
            self._disk_works = False
            return False
        self._disk_works = True
        return True


async def _answer_unavailable(send: Send) -> None:
    """Sends an answer that every client of AWS retries; its words are for a person."""
    body = b"The disk of this machine takes no changes: make room, or see data/logs/ministack.log."
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
