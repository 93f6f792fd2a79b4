"""A small HTTP proxy that can be slow, half-failing or dead: what lies between runners and what they call."""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator
from enum import Enum
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

HOST = "127.0.0.1"
LARGEST_REQUEST_BYTES = 256 * 1024 * 1024
SLOW_SECONDS = (1.0, 4.0)
READY_WITHIN_SECONDS = 10.0
#: Headers of one connection, not of the request that travels over it.
_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


class Mood(Enum):
    """How the door behaves; calls that wait in it are cut off when it changes."""

    FINE = "fine"  #: hands everything through
    SLOW = "slow"  #: one to four seconds before each call
    HALF = "half"  #: of four calls one is refused with 503, one is done and its answer lost, two pass
    REFUSING = "refusing"  #: 503 to everybody
    DEAD = "dead"  #: connections are reset
    SILENT = "silent"  #: calls are taken and never answered


class FaultyDoor:
    """Runs in a thread of its own; a context manager. Only for loopback."""

    def __init__(self, target: str, chance: random.Random) -> None:
        self._target = target.rstrip("/")
        self._chance = chance
        self._mood = Mood.FINE
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"door to {target}", daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        """Where to knock instead of at the target."""
        return f"http://{HOST}:{self.port}"

    def set(self, mood: Mood) -> None:
        """From now on; from any thread."""
        self._loop.call_soon_threadsafe(self._set, mood)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(READY_WITHIN_SECONDS):
            raise TimeoutError(f"the door to {self._target} does not open")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(READY_WITHIN_SECONDS)

    # -- in its thread ------------------------------------------------------------------------------------------

    def _set(self, mood: Mood) -> None:
        self._mood = mood
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        application = web.Application(client_max_size=LARGEST_REQUEST_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.cleanup_ctx.append(self._client)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        self.port = int(runner.addresses[0][1])
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _client(self, _application: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            yield

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        mood = self._mood
        body = await request.read()
        fate = self._chance.randrange(4) if mood is Mood.HALF else -1
        if mood is Mood.DEAD:
            return self._cut(request)
        if mood is Mood.REFUSING or fate == 0:
            return web.json_response({"message": "Service Unavailable"}, status=503)
        if mood is Mood.SILENT:
            await self._changed.wait()
            return self._cut(request)
        if mood is Mood.SLOW:
            await asyncio.sleep(self._chance.uniform(*SLOW_SECONDS))
        try:
            answer = await self._forward(request, body)
        except aiohttp.ClientError:
            return self._cut(request)
        return self._cut(request) if fate == 1 else answer

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        call = self._session.request(
            request.method,
            URL(f"{self._target}{request.raw_path}", encoded=True),
            headers=headers,
            data=body or None,
            allow_redirects=False,
        )
        async with call as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION]
            if request.method == "HEAD":
                # Its length speaks of what was not sent.
                kept += [("Content-Length", answer.headers.get("Content-Length", "0"))]
                return web.StreamResponse(status=answer.status, headers=dict(kept))
            response = web.Response(status=answer.status, body=await answer.read())
            response.headers.clear()
            for name, value in kept:
                response.headers.add(name, value)
            return response

    def _cut(self, request: web.Request) -> web.StreamResponse:
        """Nobody hears anything: the line is reset."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
