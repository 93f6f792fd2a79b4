"""The proxy forwards every call when it is fine, and fails as its mode says."""

import http.server
import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from infrastructure.local.aws import Aws
from infrastructure.local.signature import AccessKey, Request, verify
from tests.chaos.faults_mail import signer
from tests.chaos.faulty_proxy import FaultMode, FaultyProxy


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
def proxy() -> Iterator[FaultyProxy]:
    _Echo.calls = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with FaultyProxy(f"http://127.0.0.1:{server.server_port}", random.Random(1)) as opened:
        yield opened
    server.shutdown()
    server.server_close()


def test_a_fine_proxy_changes_nothing(proxy: FaultyProxy) -> None:
    answer = httpx.post(f"{proxy.url}/a%2Fb?c=d%20e", content=b"abc")
    assert (answer.status_code, answer.content, answer.headers["x-path"]) == (201, b"cba", "/a%2Fb?c=d%20e")
    assert httpx.head(f"{proxy.url}/a").headers["content-length"] == "77"


def test_a_refusing_proxy_answers_503_and_a_dead_one_resets(proxy: FaultyProxy) -> None:
    proxy.set(FaultMode.REFUSING)
    assert httpx.post(proxy.url, content=b"abc").status_code == 503
    proxy.set(FaultMode.DEAD)
    with pytest.raises(httpx.HTTPError):
        httpx.post(proxy.url, content=b"abc")
    assert _Echo.calls == 0


def test_a_part_of_the_calls_fails_apart_from_the_others(proxy: FaultyProxy) -> None:
    part = proxy.part("/objects")
    part.set(FaultMode.REFUSING)
    assert [httpx.post(f"{proxy.url}{path}", content=b"a").status_code for path in ("/objects/a", "/api")] == [503, 201]
    part.set(FaultMode.FINE)
    proxy.set(FaultMode.REFUSING)
    assert [httpx.post(f"{proxy.url}{path}", content=b"a").status_code for path in ("/objects/a", "/api")] == [201, 503]


def test_a_silent_proxy_drops_its_calls_when_its_mode_changes(proxy: FaultyProxy) -> None:
    proxy.set(FaultMode.SILENT)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(httpx.post, proxy.url, content=b"abc", timeout=60)
        while not proxy.silenced and not call.done():
            time.sleep(0.01)
        assert not call.done()
        proxy.set(FaultMode.FINE)
        assert isinstance(call.exception(timeout=60), httpx.HTTPError)
    assert httpx.post(proxy.url, content=b"abc").status_code == 201


def test_a_half_failing_proxy_refuses_some_and_loses_the_answers_of_others(proxy: FaultyProxy) -> None:
    proxy.set(FaultMode.HALF)
    answered = refused = lost = 0
    for _ in range(40):
        try:
            answer = httpx.post(proxy.url, content=b"abc")
            answered += answer.status_code == 201
            refused += answer.status_code == 503
        except httpx.HTTPError:
            lost += 1
    assert answered and refused and lost
    assert _Echo.calls == answered + lost


def test_a_call_that_was_signed_for_the_proxy_is_signed_anew_for_the_target() -> None:
    aws = Aws.with_new_key("http://127.0.0.1:1", "http://127.0.0.1:2")
    seen: list[Request] = []

    class Door(_Echo):
        def do_POST(self) -> None:
            seen.append(Request(self.command, self.path, "", list(self.headers.items())))
            super().do_POST()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    body = json.dumps({"FromEmailAddress": "line@example.com"}).encode()
    with FaultyProxy(f"http://127.0.0.1:{server.server_port}", random.Random(1)) as opened:
        opened.sign = signer(aws)
        httpx.post(f"{opened.url}/v2/email/outbound-emails", content=body, headers={"Authorization": "for the proxy"})
    server.shutdown()
    server.server_close()
    signed = verify(seen[0], body, AccessKey(aws.key_id, aws.secret), datetime.now(UTC))
    assert (signed.service, "host" in signed.headers) == ("ses", True)
    assert dict(seen[0].headers)["Host"] == f"127.0.0.1:{server.server_port}"
