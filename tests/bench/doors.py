"""What the doors cost each request: the rule alone, the door before MiniStack, and the table with and without its own.

Medians of five runs, with and without the door in turn, in one process of the same machine.
"""

import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infrastructure.local.aws import Aws
from infrastructure.local.emulator.asgi import Application, Message, Receive, Send, read_body
from infrastructure.local.emulator.door import Door
from infrastructure.local.environment import plain_environment
from infrastructure.local.signature import AccessKey, Request, local_hosts, refuse_foreign, verify
from infrastructure.local.table.program import find_dynoxide

RUNS = 5
REQUESTS = 1000
TABLE_REQUESTS = 300
#: A message of a chat, and a long instruction.
SIZES = (1_000, 100_000)
TABLE = "bench"
AWS = Aws("http://127.0.0.1:1", "http://127.0.0.1:1", "AKIABENCH", "a secret")
KEY = AccessKey(AWS.key_id, AWS.secret)
HOST = "127.0.0.1:4705"


def microseconds(run: Callable[[], object], times: int, clock: Callable[[], float] = time.process_time) -> float:
    """Returns the time of one run, in microseconds, by this clock."""
    began = clock()
    for _ in range(times):
        run()
    return (clock() - began) / times * 1e6


def signed(size: int) -> tuple[Request, bytes]:
    """Returns a request as boto3 sends it to a JSON service."""
    body = b"x" * size
    sent = AWSRequest("POST", f"http://{HOST}/", {"X-Amz-Target": "AmazonSSM.GetParameter"}, body)
    for name, value in (("Content-Type", "application/x-amz-json-1.1"), ("amz-sdk-invocation-id", "0" * 36)):
        sent.headers[name] = value
    SigV4Auth(Credentials(KEY.identifier, KEY.secret), "ssm", "eu-central-1").add_auth(sent)
    return Request(
        "POST", "/", "", (("Host", HOST), *((name, str(value)) for name, value in sent.headers.items()))
    ), body


def rule(size: int) -> float:
    """Returns the processor time of the rule alone."""
    request, body = signed(size)
    hosts, now = local_hosts(4705), datetime.now(UTC)

    def check() -> None:
        refuse_foreign(request.headers, hosts)
        verify(request, body, KEY, now)

    return statistics.median(microseconds(check, REQUESTS) for _ in range(RUNS))


async def answer(scope: Message, receive: Receive, send: Send) -> None:
    """Answers at once; stands for what is behind a door."""
    await read_body(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def ministack_door(size: int) -> tuple[float, float]:
    """Returns the processor time of one request without and with the door before MiniStack."""
    request, body = signed(size)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
    }
    loop = asyncio.new_event_loop()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    def through(application: Application) -> Callable[[], object]:
        return lambda: loop.run_until_complete(application(dict(scope), receive, send))

    door = through(Door(answer, KEY, local_hosts(4705), lambda: datetime.now(UTC)))
    bare = through(answer)
    pairs = [(microseconds(bare, REQUESTS), microseconds(door, REQUESTS)) for _ in range(RUNS)]
    loop.close()
    return statistics.median(without for without, _ in pairs), statistics.median(with_door for _, with_door in pairs)


def table_door() -> dict[str, tuple[float, float]]:
    """Returns the time of a read and of a write by boto3, at dynoxide itself and by its guarded proxy."""
    dynoxide = str(find_dynoxide(None))
    with tempfile.TemporaryDirectory() as directory:
        bare_port, guarded_port = free_port(), free_port()
        bare = [dynoxide, "--port", str(bare_port), "--db-path", f"{directory}/bare.db"]
        server = [sys.executable, "-m", "infrastructure.local.table.server", "--port", str(guarded_port)]
        guarded = [*server, "--dynoxide", dynoxide, "--database", f"{directory}/guarded.db"]
        with running(bare, bare_port), running(guarded, guarded_port):
            clients = [table(port) for port in (bare_port, guarded_port)]
            key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
            calls: dict[str, Callable[[Any], Callable[[], object]]] = {
                "read": lambda client: lambda: client.get_item(TableName=TABLE, Key=key, ConsistentRead=True),
                "write": lambda client: (
                    lambda: client.put_item(TableName=TABLE, Item={**key, "text": {"S": "x" * 700}})
                ),
            }
            return {name: side_by_side([call(client) for client in clients]) for name, call in calls.items()}


def side_by_side(calls: list[Callable[[], object]]) -> tuple[float, float]:
    """Returns the medians of both calls, each run beside the other."""
    for call in calls:
        call()
    runs = [[microseconds(call, TABLE_REQUESTS, time.perf_counter) for call in calls] for _ in range(RUNS)]
    without, with_door = (statistics.median(each) for each in zip(*runs, strict=True))
    return without, with_door


def table(port: int) -> Any:
    """Returns a client of a new table."""
    client = Aws(AWS.endpoint, f"http://127.0.0.1:{port}", AWS.key_id, AWS.secret).client("dynamodb")
    names = ("pk", "sk")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ],
    )
    return client


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Runs a server until it is no longer needed."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env={**plain_environment(), **AWS.key}, stdout=quiet, stderr=quiet)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(15)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Prints a line for each door."""
    for size in SIZES:
        without, with_door = ministack_door(size)
        print(
            f"doors: a body of {size:,} bytes: the rule takes {rule(size):.0f} µs; the door before MiniStack adds "
            f"{with_door - without:.0f} µs ({without:.0f} without, {with_door:.0f} with)"
        )
    for name, (without, with_door) in table_door().items():
        print(
            f"doors: a {name} of the table takes {without / 1000:.2f} ms at dynoxide, {with_door / 1000:.2f} ms guarded"
        )


if __name__ == "__main__":
    main()
