"""A program of the stack is ready as soon as it answers anything, whatever lies behind it."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from infrastructure.local.programs import answers


class Redirecting(http.server.BaseHTTPRequestHandler):
    """Sends visitors to a page that needs a store, and the store is away."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(302 if self.path == "/" else 503)
        self.send_header("Location", "/api/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    Redirecting.seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["", "/", "/refused"])
def test_any_answer_is_one_and_a_redirect_is_not_followed(server: http.server.HTTPServer, path: str) -> None:
    assert answers(f"http://127.0.0.1:{server.server_port}{path}")
    assert Redirecting.seen == [path or "/"]


def test_a_port_without_a_listener_answers_nothing(server: http.server.HTTPServer) -> None:
    server.shutdown()
    server.server_close()
    assert not answers(f"http://127.0.0.1:{server.server_port}/")
