"""Fault-injecting HTTP proxy between the runners and the services that they call: slow, half-failing or dead."""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
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

#: (method, URL, headers, body) → the headers with which the call goes on
Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]


class FaultMode(Enum):
    """The behaviour of the proxy; a change cuts off the calls that wait in it."""

    FINE = "fine"  #: forwards every call
    SLOW = "slow"  #: one to four seconds before each call
    HALF = "half"  #: of four calls one gets 503, one loses its answer, two pass
    REFUSING = "refusing"  #: answers every call with 503
    DEAD = "dead"  #: connections are reset
    SILENT = "silent"  #: calls are accepted and never answered


class FaultyProxy:
    """The proxy, in a thread of its own; a context manager, for loopback only."""

    def __init__(self, target: str, rng: random.Random) -> None:
        self._target = target.rstrip("/")
        self._rng = rng
        #: the mode of all calls whose path begins so; the longest counts
        self._modes = {"": FaultMode.FINE}
        #: The calls that were met with silence.
        self.silenced = 0
        #: signs a call for the target, where the caller's signature names the proxy
        self.sign: Sign | None = None
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy to {target}", daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        """The address to call instead of the target's."""
        return f"http://{HOST}:{self.port}"

    def set(self, mode: FaultMode, prefix: str = "") -> None:
        """Changes the behaviour for the calls whose path begins so; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._set, mode, prefix)

    def part(self, prefix: str) -> "ProxyPart":
        """Returns the calls whose path begins so, which fail apart from the others."""
        self.set(FaultMode.FINE, prefix)
        return ProxyPart(self, prefix)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(READY_WITHIN_SECONDS):
            raise TimeoutError(f"the proxy to {self._target} did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(READY_WITHIN_SECONDS)

    # -- in its thread ------------------------------------------------------------------------------------------

    def _set(self, mode: FaultMode, prefix: str) -> None:
        self._modes[prefix] = mode
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
        mode = self._modes[max((prefix for prefix in self._modes if request.raw_path.startswith(prefix)), key=len)]
        body = await request.read()
        draw = self._rng.randrange(4) if mode is FaultMode.HALF else -1
        if mode is FaultMode.DEAD:
            return self._reset_connection(request)
        if mode is FaultMode.REFUSING or draw == 0:
            return web.json_response({"message": "Service Unavailable"}, status=503)
        if mode is FaultMode.SILENT:
            self.silenced += 1
            await self._changed.wait()
            return self._reset_connection(request)
        if mode is FaultMode.SLOW:
            await asyncio.sleep(self._rng.uniform(*SLOW_SECONDS))
        try:
            answer = await self._forward(request, body)
        except aiohttp.ClientError:
            return self._reset_connection(request)
        return self._reset_connection(request) if draw == 1 else answer

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        url = f"{self._target}{request.raw_path}"
        call = self._session.request(
            request.method,
            URL(url, encoded=True),
            headers=self.sign(request.method, url, headers, body) if self.sign is not None else headers,
            data=body or None,
            allow_redirects=False,
        )
        async with call as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION]
            if request.method == "HEAD":
                # The header has the length of the body that HEAD omits.
                kept += [("Content-Length", answer.headers.get("Content-Length", "0"))]
                return web.StreamResponse(status=answer.status, headers=dict(kept))
            response = web.Response(status=answer.status, body=await answer.read())
            response.headers.clear()
            for name, value in kept:
                response.headers.add(name, value)
            return response

    def _reset_connection(self, request: web.Request) -> web.StreamResponse:
        """Resets the connection, so that the caller gets no answer."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


@dataclass(frozen=True)
class ProxyPart:
    """The calls through a proxy whose path begins with ``prefix``."""

    proxy: FaultyProxy
    prefix: str

    def set(self, mode: FaultMode) -> None:
        """Changes their behaviour; may be called from any thread."""
        self.proxy.set(mode, self.prefix)
