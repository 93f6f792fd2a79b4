"""An answer to a change leaves once the change is on the disk; while it is not, nobody may act on it."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from infrastructure.local import durable_file
from infrastructure.local.emulator.asgi import Message, Receive, Send
from infrastructure.local.emulator.objects import ObjectFiles
from infrastructure.local.emulator.state import State
from infrastructure.local.emulator.write_through import WriteThrough

GET_PARAMETER, PUT_PARAMETER = "AmazonSSM.GetParameter", "AmazonSSM.PutParameter"
OF_S3 = "AWS4-HMAC-SHA256 Credential=A/20261128/eu-central-1/s3/aws4_request, Signature=0"


class Emulated:
    """One parameter, and objects; each answers 200."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.value = 0
        self.asked: list[str] = []
        self.s3: Any = ModuleType("s3")

    def dump(self, state: str) -> bytes | None:
        return (
            json.dumps({"__ministack_format__": 3, "payload": {"n": self.value}}).encode() if state == "ssm" else None
        )

    def load(self, state: str, content: bytes) -> None:
        self.value = json.loads(content)["payload"]["n"]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        if (b"x-amz-target", PUT_PARAMETER.encode()) in scope["headers"]:
            self.value += 1
        if scope["method"] == "PUT":
            self.s3._atomic_write(str(self.directory / "object"), b"body")
        if scope["path"] == "/fails":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


class World:
    """The middleware, a disk that may be full, and what was sent when."""

    def __init__(self, directory: Path) -> None:
        self.full = False
        self.directory = directory
        self.emulated = Emulated(directory)
        objects = ObjectFiles(self._sync)
        objects.install(self.emulated.s3)
        self.middleware = WriteThrough(self.emulated, State(directory / "state", self.emulated, self._write), objects)
        #: the value on the disk when an answer left
        self.sent: list[tuple[int, int | None]] = []

    def _write(self, path: Path, content: bytes) -> None:
        self._refuse()
        durable_file.write(path, content)

    def _sync(self, path: Path) -> None:
        self._refuse()

    def _refuse(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")

    def on_disk(self) -> int | None:
        file = self.directory / "state" / "ssm.json"
        return int(json.loads(file.read_bytes())["payload"]["n"]) if file.exists() else None

    async def ask(self, target: str = "", *, method: str = "POST", path: str = "/") -> int:
        """Sends a request; returns the status."""
        header = (b"x-amz-target", target.encode()) if target else (b"authorization", OF_S3.encode())
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [header]}

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.sent.append((message["status"], self.on_disk()))

        await self.middleware(scope, receive, send)
        return self.sent[-1][0]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_the_answer_to_a_change_leaves_after_the_change_is_on_the_disk(world: World) -> None:
    for _ in range(3):
        await world.ask(PUT_PARAMETER)
    assert world.sent == [(200, 1), (200, 2), (200, 3)]


async def test_a_call_that_changes_nothing_writes_nothing(world: World) -> None:
    assert await world.ask(GET_PARAMETER) == 200
    assert world.on_disk() is None


async def test_while_the_disk_takes_nothing_the_service_is_closed_and_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.full = True
    assert await world.ask(PUT_PARAMETER) == 503
    assert await world.ask(PUT_PARAMETER) == 503
    assert await world.ask(GET_PARAMETER) == 503, "nobody reads what a restart would forget"
    assert await world.ask("TrentService.Decrypt") == 200, "other services go on"
    assert await world.ask("", method="GET", path="/_ministack/health") == 200
    assert world.emulated.value == 1, "a refused call reaches nothing"
    assert capsys.readouterr().err.count("the disk takes no changes") == 1
    world.full = False
    assert await world.ask(GET_PARAMETER) == 200
    assert world.on_disk() == 1


async def test_an_object_is_acknowledged_once_it_is_synced(world: World) -> None:
    world.full = True
    assert await world.ask(method="PUT", path="/bucket/object") == 503
    assert await world.ask(method="GET", path="/bucket/object") == 503
    world.full = False
    assert await world.ask(method="GET", path="/bucket/object") == 200


async def test_a_change_whose_call_fails_is_written_before_the_next_answer(world: World) -> None:
    with pytest.raises(RuntimeError):
        await world.ask(PUT_PARAMETER, path="/fails")
    assert world.on_disk() is None
    assert await world.ask(GET_PARAMETER) == 200
    assert world.sent == [(200, 1)]
