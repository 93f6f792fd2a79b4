"""The pages that are for people: not for other sites, and only for operators where something is real."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infrastructure.local.signature import Headers, Refused, local_hosts
from infrastructure.local.visitors import get_status_by_http, refuse_other_sites, refuse_strangers

HOST = ("Host", "localhost:4701")
ADMIN = "http://localhost:4700/api/admin"


def navigation(site: str, dest: str = "document", mode: str = "navigate") -> Headers:
    return [HOST, ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]


WELCOME: dict[str, tuple[str, Headers]] = {
    "a program": ("GET", [HOST, ("User-Agent", "curl")]),
    "a program that writes": ("POST", [("Host", "127.0.0.1:4701"), ("Content-Type", "application/json")]),
    "an address typed in": ("GET", navigation("none")),
    "the page itself": ("GET", navigation("same-origin", "empty", "cors")),
    "the page's own form": ("POST", [*navigation("same-origin", "empty", "cors"), ("Origin", "http://localhost:4701")]),
    "the page's own frame": ("GET", navigation("same-origin", "iframe")),
    "a link from elsewhere": ("GET", navigation("cross-site")),
    "a link from the admin": ("GET", navigation("same-site")),
    "an old browser on the page": ("GET", [HOST, ("Referer", "http://localhost:4701/mails/x")]),
}
REFUSED: dict[str, tuple[str, Headers]] = {
    "a rebound name": ("GET", [("Host", "rebind.evil.example:4701")]),
    "a rebound name that is its own origin": (
        "POST",
        [("Host", "rebind.evil.example:4701"), ("Origin", "http://rebind.evil.example:4701")],
    ),
    "another port": ("GET", [("Host", "localhost:4700")]),
    "no host": ("GET", []),
    "two hosts": ("GET", [HOST, HOST]),
    "a fetch from elsewhere": ("GET", navigation("cross-site", "empty", "cors")),
    "a fetch without cors": ("GET", navigation("cross-site", "empty", "no-cors")),
    "a fetch from another port": ("GET", navigation("same-site", "empty", "cors")),
    "a script tag": ("GET", navigation("cross-site", "script", "no-cors")),
    "a picture": ("GET", navigation("cross-site", "image", "no-cors")),
    "a frame elsewhere": ("GET", navigation("cross-site", "iframe")),
    "an object elsewhere": ("GET", navigation("cross-site", "object")),
    "a form from elsewhere": ("POST", navigation("cross-site")),
    "a form with an origin alone": ("POST", [HOST, ("Origin", "https://evil.example")]),
    "a form without an origin": ("POST", [HOST, ("Origin", "null")]),
    "a form from the admin's port": ("POST", [HOST, ("Origin", "http://localhost:4700")]),
    "a form with tls of that name": ("POST", [HOST, ("Origin", "https://localhost:4701")]),
    "the other name of this machine": ("POST", [HOST, ("Origin", "http://127.0.0.1:4701")]),
    "an old browser elsewhere": ("GET", [HOST, ("Referer", "https://evil.example/")]),
    "a deletion by a link": ("DELETE", navigation("cross-site")),
}


@pytest.mark.parametrize("name", WELCOME)
def test_people_and_programs_of_this_machine_are_welcome(name: str) -> None:
    method, headers = WELCOME[name]
    refuse_other_sites(method, headers, local_hosts(4701))


@pytest.mark.parametrize("name", REFUSED)
def test_other_sites_are_refused(name: str) -> None:
    method, headers = REFUSED[name]
    with pytest.raises(Refused):
        refuse_other_sites(method, headers, local_hosts(4701))


@pytest.mark.parametrize(("status", "passes"), [(200, True), (401, False), (303, False), (403, False), (502, False)])
def test_only_an_operator_passes(status: int, passes: bool) -> None:
    asked: list[tuple[str, str]] = []

    def get_status(url: str, cookie: str) -> int:
        asked.append((url, cookie))
        return status

    headers = [HOST, ("Cookie", "__Host-operator=token")]
    if passes:
        refuse_strangers(headers, ADMIN, get_status)
    else:
        with pytest.raises(Refused, match=f"Sign in at {ADMIN} "):
            refuse_strangers(headers, ADMIN, get_status)
    assert asked == [(f"{ADMIN}/live", "__Host-operator=token")]


def test_without_a_cookie_the_application_is_not_asked() -> None:
    def get_status(url: str, cookie: str) -> int:
        raise AssertionError

    for headers in ([HOST], [HOST, ("Cookie", "")]):
        with pytest.raises(Refused, match="Sign in at"):
            refuse_strangers(headers, ADMIN, get_status)


def test_nobody_passes_while_the_application_is_away() -> None:
    def get_status(url: str, cookie: str) -> int:
        raise ConnectionRefusedError

    with pytest.raises(Refused, match="does not answer just now"):
        refuse_strangers([HOST, ("Cookie", "a=b")], ADMIN, get_status)


def test_a_redirect_to_the_sign_in_is_no_session() -> None:
    class Admin(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(303 if self.path == "/live" else 200)
            self.send_header("Location", "/sign-in")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Admin) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert get_status_by_http(f"{address}/sign-in", "a=b") == 200
        with pytest.raises(Refused, match="Sign in at"):
            refuse_strangers([HOST, ("Cookie", "a=b")], address)
        server.shutdown()
