"""Plays the Internet: a proxy that leads the real names of AWS and OpenAI to this machine, and nobody anywhere else."""

import asyncio
import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: A request head that is larger, or slower, is none.
HEAD_AT_MOST_BYTES = 16_384
HEAD_WITHIN_SECONDS = 10.0
STARTED_WITHIN_SECONDS = 10.0
CHUNK_BYTES = 65_536

_CONNECT = re.compile(rb"CONNECT ([A-Za-z0-9.-]+):443 HTTP/1\.[01]\r\n")


@dataclass(frozen=True)
class Place:
    """Where a name is on this machine; without TLS of its own, the proxy answers the handshake for it."""

    port: int
    speaks_tls: bool


class Internet:
    """An HTTPS proxy in a thread of its own. ``with Internet({"api.openai.com": Place(…)}, …) as internet: …``

    A key that begins with a dot stands for every name that ends so. Names that nobody plays are refused, and noted in
    ``strangers``: whoever rehearses asks in the end that there were none.
    """

    def __init__(self, places: Mapping[str, Place], certificate: Path, key: Path) -> None:
        self.strangers: set[str] = set()
        self.visited: set[str] = set()
        self.port = 0
        self._places = dict(places)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._stop: Callable[[], object] = lambda: None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="internet")

    @property
    def proxy(self) -> str:
        """What ``HTTPS_PROXY`` says."""
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
        async with asyncio.TaskGroup() as lines:
            there: set[asyncio.Task[None]] = set()

            def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                line = lines.create_task(self._answer(reader, writer))
                there.add(line)
                line.add_done_callback(there.discard)

            server = await asyncio.start_server(come, "127.0.0.1", 0, limit=HEAD_AT_MOST_BYTES)
            self.port = int(server.sockets[0].getsockname()[1])
            self._started.set()
            await stop.wait()
            server.close()
            for line in there:
                line.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_WITHIN_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            place = self._place(head)
            if place is None:
                writer.write(b"HTTP/1.1 403 Nobody plays this name\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                await self._lead(place, reader, writer)
        except* (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever called notices that the line is cut
        finally:
            writer.close()

    async def _lead(self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", place.port)
        try:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            if not place.speaks_tls:
                await writer.drain()
                await writer.start_tls(self._context, ssl_handshake_timeout=HEAD_WITHIN_SECONDS)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pour(reader, there_writer))
                both.create_task(_pour(there_reader, writer))
        finally:
            there_writer.close()

    def _place(self, head: bytes) -> Place | None:
        asked = _CONNECT.match(head)
        name = asked[1].decode("ascii").lower() if asked else head.partition(b"\r\n")[0].decode("latin-1")
        for known, place in self._places.items():
            if name == known or (known.startswith(".") and name.endswith(known)):
                self.visited.add(name)
                return place
        self.strangers.add(name)
        return None


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """One direction of a connection, until its end."""
    while chunk := await source.read(CHUNK_BYTES):
        target.write(chunk)
        await target.drain()
    with contextlib.suppress(OSError):  # it was cut while the last piece left
        target.write_eof() if target.can_write_eof() else target.close()
