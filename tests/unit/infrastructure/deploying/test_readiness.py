"""The health check of a stage, over HTTP."""

import json
import threading
import time as wall
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from infrastructure.deploying import readiness
from infrastructure.deploying.readiness import Health
from tests.unit.infrastructure.conftest import Time


class Server(BaseHTTPRequestHandler):
    """Answers as the test asks."""

    answer: ClassVar[tuple[int, bytes, str]] = (200, b"{}", "")

    def do_GET(self) -> None:
        status, body, date = self.answer if self.path == "/api/health" else (404, b"", "")
        self.send_response_only(status)
        if date:
            self.send_header("Date", date)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def answers() -> Iterator[Callable[..., Health]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def ask(status: int, body: object, date: str = "") -> Health:
        Server.answer = (status, body if isinstance(body, bytes) else json.dumps(body).encode(), date)
        return readiness.check_health(f"http://127.0.0.1:{server.server_port}/api")

    yield ask
    server.shutdown()
    server.server_close()


def test_health_is_read_with_the_clocks_difference(answers: Callable[..., Health]) -> None:
    health = answers(200, {"commit": "abc"}, formatdate(wall.time() + 100, usegmt=True))
    assert (health.commit, health.error) == ("abc", "")
    assert health.ahead_seconds is not None
    assert 95 < health.ahead_seconds < 105
    assert answers(200, {"commit": "abc"}).ahead_seconds is None


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (503, {"problem": "The parameter /x/public-base-url is missing"}, "public-base-url is missing"),
        (403, {"message": "Forbidden"}, "HTTP 403: Forbidden"),
        (500, b"<html>", "HTTP 500"),
        (502, ["x"], "HTTP 502"),
        (200, b"<html>a parking page</html>", "something else answers"),
        (200, [1], "something else answers"),
    ],
)
def test_an_unusable_answer_is_an_error_in_its_own_words(
    answers: Callable[..., Health], status: int, body: object, says: str
) -> None:
    health = answers(status, body)
    assert says in health.error
    assert health.commit == ""


def test_an_unreachable_address_is_an_error_and_raises_nothing() -> None:
    assert readiness.check_health("http://127.0.0.1:9/api").error
    assert readiness.check_health("http://[broken/api").error


def test_it_waits_until_control_plane_and_a_runner_are_at_the_commit(time: Time) -> None:
    answers = [
        Health({}, "HTTP 403"),
        Health({"commit": "old"}),
        *[Health({"commit": "new"})] * 3,
    ]
    commits = [[], ["old"], ["new", "old"]]
    _, there = readiness.wait_until_ready(
        "https://x",
        "new",
        runners=lambda: commits.pop(0),
        check=lambda _: answers.pop(0),
        clock=time,
        pause=time.pause,
    )
    assert there
    assert not answers and not commits


def test_it_waits_for_no_runner_where_none_should_run(time: Time) -> None:
    answers = [Health({"commit": "new"})]
    _, there = readiness.wait_until_ready(
        "https://x", "new", runners=None, check=lambda _: answers.pop(0), clock=time, pause=time.pause
    )
    assert there


def test_waiting_has_a_time_limit(time: Time) -> None:
    health, there = readiness.wait_until_ready(
        "https://x", "new", runners=list, check=lambda _: Health({}, "unreachable"), clock=time, pause=time.pause
    )
    assert (health.error, there) == ("unreachable", False)
    assert readiness.READY_WITHIN_SECONDS <= time.now < readiness.READY_WITHIN_SECONDS + 30
