"""Serves the table: runs dynoxide where nobody else reaches it, and passes on only what our key has signed.

dynoxide itself takes any Host and any signature and allows every web page to read its answers. So it runs in a network
namespace of this process, whose one port outside is a guarded proxy: no browser (Host, Origin, Sec-Fetch), no request
without a signature of this start's access key. The proxy acknowledges a write when it is on the disk.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web

from infrastructure.local.signature import AccessKey, Refused, Request, local_hosts, refuse_foreign, verify
from infrastructure.local.table.flusher import Flusher
from infrastructure.local.table.namespace import enter_new_namespace, hidden_address

#: DynamoDB's limit for a request (BatchWriteItem, TransactWriteItems) and a margin.
MAX_REQUEST_BYTES = 17 * 1024 * 1024
#: Longer than any request of ours may take; boto3 gives up before.
REQUEST_TIMEOUT_SECONDS = 60.0
START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 10.0
#: The operations that change nothing begin so; when unsure, an operation is a write.
READS = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List")
TARGET = "DynamoDB_20120810."
#: The headers of a request that dynoxide reads begin so …
_SENT = ("content-type", "authorization", "x-amz-")
#: … and those of an answer that boto3 reads.
_PASSED_ON = ("Content-Type", "x-amz-crc32", "x-amzn-requestid")

_PARENT_DEATH = Path(__file__).parents[1] / "parent_death.py"


class Proxy:
    """The guarded proxy in front of dynoxide."""

    def __init__(self, port: int, key: AccessKey, upstream: str, flusher: Flusher) -> None:
        #: The disk did not take what was written: dynoxide must read it anew before it goes on.
        self.disk_failed = asyncio.Event()
        self._hosts = local_hosts(port)
        self._key = key
        self._upstream = upstream
        self._flusher = flusher
        self._session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """Checks one request, passes it on, and answers; a write that succeeded is flushed first."""
        body = await request.read()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        path, _, query = request.raw_path.partition("?")
        try:
            refuse_foreign(headers, self._hosts)
            verify(Request(request.method, path, query, headers), body, self._key, datetime.now(UTC))
        except Refused as error:
            return web.json_response({"__type": "AccessDeniedException", "message": str(error)}, status=403)
        # dynoxide wants the shape of a signature, and checks none.
        sent = [(name, value) for name, value in headers if name.lower().startswith(_SENT)]
        async with self._client().post(self._upstream, data=body, headers=sent) as answer:
            content = await answer.read()
            if answer.status == 200 and is_write(request.headers.get("X-Amz-Target", "")):
                try:
                    await self._flusher.flush()
                except OSError as error:
                    print(f"the disk did not take a write: {error}", file=sys.stderr, flush=True)
                    self.disk_failed.set()
                    return web.json_response({"__type": "InternalServerError", "message": str(error)}, status=500)
            passed = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
            return web.Response(status=answer.status, body=content, headers=passed)

    async def close(self) -> None:
        """Closes the connections to dynoxide."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=64))
        return self._session


def is_write(target: str) -> bool:
    """Returns whether the operation in an X-Amz-Target header may change the table."""
    return not target.removeprefix(TARGET).startswith(READS)


async def serve(listener: socket.socket, dynoxide: Path, database: Path, host: str, key: AccessKey) -> int:
    """Serves until SIGTERM; returns 1 if dynoxide ended by itself."""
    upstream_port = _free_port(host)
    command = [str(dynoxide), "--host", host, "--port", str(upstream_port), "--db-path", str(database)]
    launcher = [sys.executable, "-I", "-S", str(_PARENT_DEATH), str(int(signal.SIGKILL)), str(os.getpid())]
    process = await asyncio.create_subprocess_exec(*launcher, *command, stdin=asyncio.subprocess.DEVNULL)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    flusher = Flusher(database.with_name(f"{database.name}-wal"))
    proxy = Proxy(listener.getsockname()[1], key, f"http://{host}:{upstream_port}/", flusher)
    application = web.Application(client_max_size=MAX_REQUEST_BYTES)
    application.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    ended = asyncio.create_task(process.wait())
    try:
        if not await _answers(host, upstream_port, ended):
            print(f"dynoxide did not start: {process.returncode}", file=sys.stderr, flush=True)
            return 1
        await web.SockSite(runner, listener).start()
        waits = {ended, *(asyncio.create_task(event.wait()) for event in (stop, proxy.disk_failed))}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            print(f"dynoxide ended with {process.returncode}", file=sys.stderr, flush=True)
        return 0 if stop.is_set() else 1
    finally:
        await runner.cleanup()
        await proxy.close()
        flusher.close()
        if not ended.done():
            process.terminate()
            try:
                await asyncio.wait_for(asyncio.shield(ended), STOP_TIMEOUT_SECONDS)
            except TimeoutError:
                process.kill()
                await ended


async def _answers(host: str, port: int, ended: "asyncio.Task[int]") -> bool:
    """Waits until dynoxide accepts connections; returns False if it ended or is too slow."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and not ended.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return True
    return False


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Binds the port on loopback, leaves the network, and serves; the access key is in the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dynoxide", type=Path, required=True)
    parser.add_argument("--database", type=Path, required=True)
    arguments = parser.parse_args()
    os.umask(0o077)
    arguments.database.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", arguments.port))
    host = "127.0.0.1" if enter_new_namespace() else hidden_address()
    key = AccessKey(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    return asyncio.run(serve(listener, arguments.dynoxide, arguments.database, host, key))


if __name__ == "__main__":
    sys.exit(main())
