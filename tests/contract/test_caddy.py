"""The Caddyfile in a real Caddy: TLS in front, and of a request what the gateway may trust."""

import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from infrastructure.local.lambda_runtime.gateway import MAX_REQUEST_BYTES
from infrastructure.local.service.caddyfile import caddyfile
from infrastructure.local.settings import Ports, parse

CADDY = shutil.which("caddy")
pytestmark = pytest.mark.skipif(CADDY is None, reason="missing: caddy, of Debian's package caddy")


class Upstream(http.server.BaseHTTPRequestHandler):
    """Stands for the gateway: answers with the headers that it got, or with the size of the body."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._answer(json.dumps(dict(self.headers.items())).encode())

    def do_PUT(self) -> None:
        size, expected = 0, int(self.headers["Content-Length"])
        while size < expected and (part := self.rfile.read(min(65_536, expected - size))):
            size += len(part)
        if size == expected:
            self._answer(str(size).encode())

    def _answer(self, body: bytes) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert CADDY is not None
    directory = tmp_path_factory.mktemp("caddy")
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = parse([], {"BASE_URL": f"https://localhost:{port}"})
    settings = replace(settings, ports=replace(Ports.from_first(4700), gateway=upstream.server_port))
    (directory / "Caddyfile").write_text(caddyfile(settings))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [CADDY, "run", "--adapter", "caddyfile", "--config", directory / "Caddyfile"],
            env={"HOME": str(directory), "PATH": "/usr/bin:/bin"},
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 30
        while not _listens(port):
            assert process.poll() is None and time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.05)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)
        upstream.shutdown()
        upstream.server_close()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def ask(
    address: str, path: str, *, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # an authority of Caddy's own
    request = urllib.request.Request(
        address + path, data=body, headers=headers or {}, method="GET" if body is None else "PUT"
    )
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_what_a_client_claims_about_itself_does_not_reach_the_gateway(address: str) -> None:
    claimed = {
        **{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"},
        **{"X-Forwarded-Port": "1", "Forwarded": "for=203.0.113.9"},
    }
    status, body = ask(address, "/api/health", headers=claimed)
    headers = {name.lower(): value for name, value in json.loads(body).items()}
    host = address.removeprefix("https://")
    assert status == 200
    assert headers["x-forwarded-for"] in ("127.0.0.1", "::1")
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == headers["host"] == host
    assert not {"forwarded", "x-forwarded-port"} & headers.keys()


@pytest.mark.parametrize(
    ("path", "size", "passes"),
    [
        ("/api/admin", MAX_REQUEST_BYTES, True),
        ("/api/admin", MAX_REQUEST_BYTES + 1, False),
        ("/api/join/x", MAX_REQUEST_BYTES + 1, False),
    ],
)
def test_a_body_is_as_large_as_the_gateway_takes_it(address: str, path: str, size: int, passes: bool) -> None:
    status, answer = ask(address, path, body=bytes(size))
    if passes:
        assert (status, answer) == (200, str(size).encode())
    else:
        assert status in (413, 502)  # older releases break the body off: then the gateway's answer is none


@pytest.mark.parametrize(
    "path",
    [
        *("/api/runner", "/api/runner/sync", "/api/%72unner/sync", "/api/x/../runner/sync", "/api/./runner/sync"),
        *("/objects", "/objects/bucket/key?X-Amz-Signature=x", "/%6fbjects/x", "//objects/x"),
    ],
)
def test_what_runners_call_is_not_public(address: str, path: str) -> None:
    Upstream.asked.clear()
    assert ask(address, path)[0] == 404
    assert ask(address, "/api/runners-of-a-tenant")[0] == 200  # not one of theirs
    assert Upstream.asked == ["/api/runners-of-a-tenant"]
