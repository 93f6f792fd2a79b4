"""The played Internet: known names are answered under their own certificate, and all others refused."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.rehearsal.certificate import Certificate, certificate
from tests.rehearsal.internet import Internet, Target


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("certificate"), ["api.example.com", "*.example.com"], datetime.now(UTC))


@pytest.fixture
def server() -> Iterator[int]:
    class Greeting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeting) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving.server_port
        serving.shutdown()


@pytest.fixture
def internet(signed: Certificate, server: int) -> Iterator[Internet]:
    places = {"api.example.com": Target(server, speaks_tls=False), ".sub.example.com": Target(server, speaks_tls=False)}
    with Internet(places, signed.public, signed.key) as internet:
        yield internet


def client(internet: Internet, signed: Certificate) -> httpx.Client:
    trusted = ssl.create_default_context(cafile=signed.public)
    return httpx.Client(proxy=internet.proxy, verify=trusted, timeout=5)


def test_a_played_name_is_answered_under_its_own_certificate(internet: Internet, signed: Certificate) -> None:
    with client(internet, signed) as visitor:
        assert visitor.get("https://api.example.com/").text == "hello"
    assert internet.visited == {"api.example.com"}
    assert internet.strangers == set()


def test_a_client_that_does_not_trust_the_certificate_is_not_served(internet: Internet) -> None:
    with httpx.Client(proxy=internet.proxy, timeout=5) as visitor, pytest.raises(httpx.ConnectError):
        visitor.get("https://api.example.com/")


@pytest.mark.parametrize("name", ["example.org", "api.example.com.evil.example", "sub.example.com"])
def test_an_unknown_name_is_refused_and_noted(internet: Internet, signed: Certificate, name: str) -> None:
    with client(internet, signed) as visitor, pytest.raises(httpx.ProxyError, match="403"):
        visitor.get(f"https://{name}/")
    assert internet.strangers == {name}


def test_only_tls_is_forwarded(internet: Internet, signed: Certificate) -> None:
    with client(internet, signed) as visitor:
        assert visitor.get("http://api.example.com/").status_code == 403
    assert internet.visited == set()
