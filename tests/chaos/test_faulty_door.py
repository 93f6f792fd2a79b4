"""The faulty door hands everything through when it is fine, and fails as its mood says."""

import http.server
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.chaos.faulty_door import FaultyDoor, Mood


class _Echo(http.server.BaseHTTPRequestHandler):
    calls = 0

    def do_POST(self) -> None:
        type(self).calls += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("X-Path", self.path)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "77")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def door() -> Iterator[FaultyDoor]:
    _Echo.calls = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with FaultyDoor(f"http://127.0.0.1:{server.server_port}", random.Random(1)) as opened:
        yield opened
    server.shutdown()
    server.server_close()


def test_a_fine_door_changes_nothing(door: FaultyDoor) -> None:
    answer = httpx.post(f"{door.url}/a%2Fb?c=d%20e", content=b"abc")
    assert (answer.status_code, answer.content, answer.headers["x-path"]) == (201, b"cba", "/a%2Fb?c=d%20e")
    assert httpx.head(f"{door.url}/a").headers["content-length"] == "77"


def test_a_refusing_door_says_503_and_a_dead_one_nothing(door: FaultyDoor) -> None:
    door.set(Mood.REFUSING)
    assert httpx.post(door.url, content=b"abc").status_code == 503
    door.set(Mood.DEAD)
    with pytest.raises(httpx.HTTPError):
        httpx.post(door.url, content=b"abc")
    assert _Echo.calls == 0


def test_a_silent_door_lets_go_when_its_mood_changes(door: FaultyDoor) -> None:
    door.set(Mood.SILENT)
    timer = threading.Timer(0.2, door.set, [Mood.FINE])
    timer.start()
    began = time.monotonic()
    with pytest.raises(httpx.HTTPError):
        httpx.post(door.url, content=b"abc", timeout=10)
    assert 0.1 < time.monotonic() - began < 5
    assert httpx.post(door.url, content=b"abc").status_code == 201


def test_a_half_failing_door_refuses_some_and_loses_the_answers_of_others(door: FaultyDoor) -> None:
    door.set(Mood.HALF)
    answered = refused = lost = 0
    for _ in range(40):
        try:
            answer = httpx.post(door.url, content=b"abc")
            answered += answer.status_code == 201
            refused += answer.status_code == 503
        except httpx.HTTPError:
            lost += 1
    assert answered and refused and lost
    assert _Echo.calls == answered + lost
