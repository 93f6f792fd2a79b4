"""Plays the Internet: a proxy that maps the real names of AWS and OpenAI to this machine, and refuses all others."""

import asyncio
import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: The limits of a request's head.
MAX_HEAD_BYTES = 16_384
HEAD_WITHIN_SECONDS = 10.0
STARTED_WITHIN_SECONDS = 10.0
CHUNK_BYTES = 65_536

_CONNECT = re.compile(rb"CONNECT ([A-Za-z0-9.-]+):443 HTTP/1\.[01]\r\n")


@dataclass(frozen=True)
class Target:
    """The server of a name, on this machine; if it speaks no TLS, the proxy terminates TLS before it."""

    port: int
    speaks_tls: bool


class Internet:
    """An HTTPS proxy in a thread of its own. ``with Internet({"api.openai.com": Target(…)}, …) as internet: …``

    A key that begins with a dot matches every name that ends so. Unknown names are refused and added to ``strangers``,
    which must be empty in the end.
    """

    def __init__(self, targets: Mapping[str, Target], certificate: Path, key: Path) -> None:
        self.strangers: set[str] = set()
        self.visited: set[str] = set()
        self.port = 0
        self._targets = dict(targets)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._stop: Callable[[], object] = lambda: None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="internet")

    @property
    def proxy(self) -> str:
        """The value of ``HTTPS_PROXY``."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(STARTED_WITHIN_SECONDS):
            raise TimeoutError("the rehearsal's proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(STARTED_WITHIN_SECONDS)

    async def _serve(self) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        async with asyncio.TaskGroup() as connections:
            open_ones: set[asyncio.Task[None]] = set()

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connection = connections.create_task(self._answer(reader, writer))
                open_ones.add(connection)
                connection.add_done_callback(open_ones.discard)

            server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
            self.port = int(server.sockets[0].getsockname()[1])
            self._started.set()
            await stop.wait()
            server.close()
            for connection in open_ones:
                connection.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_WITHIN_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            target = self._target(head)
            if target is None:
                writer.write(b"HTTP/1.1 403 Unknown name\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                await self._forward(target, reader, writer)
        except* (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the caller notices that the connection is cut
        finally:
            writer.close()

    async def _forward(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target.port)
        try:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            if not target.speaks_tls:
                await writer.drain()
                await writer.start_tls(self._context, ssl_handshake_timeout=HEAD_WITHIN_SECONDS)
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, server_writer))
                both.create_task(_copy(server_reader, writer))
        finally:
            server_writer.close()

    def _target(self, head: bytes) -> Target | None:
        asked = _CONNECT.match(head)
        name = asked[1].decode("ascii").lower() if asked else head.partition(b"\r\n")[0].decode("latin-1")
        for known, target in self._targets.items():
            if name == known or (known.startswith(".") and name.endswith(known)):
                self.visited.add(name)
                return target
        self.strangers.add(name)
        return None


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copies one direction of a connection, until its end."""
    while chunk := await source.read(CHUNK_BYTES):
        target.write(chunk)
        await target.drain()
    with contextlib.suppress(OSError):  # the connection was cut while the last chunk was sent
        target.write_eof() if target.can_write_eof() else target.close()
