"""The gateway's route for objects: only by a valid link, of a bounded size, in chunks, and never at the API's cost."""

import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from chalice.app import Chalice

from infrastructure.local.lambda_runtime import http_server
from infrastructure.local.lambda_runtime.gateway import MAX_REQUEST_BYTES, Gateway
from infrastructure.local.lambda_runtime.objects import CHUNK_BYTES, MAX_OBJECT_BYTES, MAX_TRANSFERS, Objects
from infrastructure.local.signature import AccessKey, Refused
from wire import MAX_SNAPSHOT_BYTES

KEY = AccessKey("AKIALINE", "a secret of this start")
MAX_BYTES = 64 * 1024 * 1024


class Store(ThreadingHTTPServer):
    """Stands for MiniStack: keeps what is stored, and remembers the headers of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _StoreHandler)
        self.objects: dict[str, bytes] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _StoreHandler(BaseHTTPRequestHandler):
    server: Store

    def do_PUT(self) -> None:
        self._note()
        self.server.objects[urlsplit(self.path).path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        self._note()
        found = self.server.objects.get(urlsplit(self.path).path)
        self._answer(404 if found is None else 200, found or b"")

    def _note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", "text/html"), ("Set-Cookie", "a=b"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.shutdown()
    store.server_close()


@pytest.fixture
def objects(store: Store) -> Objects:
    return Objects(store.endpoint, KEY, MAX_BYTES, lambda: datetime.now(UTC))


@pytest.fixture
def server(objects: Objects, store: Store) -> Iterator[Any]:
    app = Chalice("small", configure_logs=False)

    @app.route("/runner/snapshots/upload", methods=["POST"])
    def upload() -> Any:
        return {"url": link(store, "put_object"), "key": store.endpoint}

    @app.route("/echo", methods=["POST"])
    def echo() -> Any:
        return {"url": f"{store.endpoint}/bucket"}

    server = http_server.create(Gateway(app, objects), objects, MAX_BYTES, ["127.0.0.1"], 0, behind_proxy=False)
    threading.Thread(target=server.run, daemon=True).start()
    yield server
    server.task_dispatcher.shutdown()
    server.close()


def link(store: Store, operation: str, key: str = "k", **more: Any) -> str:
    client: Any = boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=KEY.identifier,
        aws_secret_access_key=KEY.secret,
        config=Config(signature_version="s3v4"),
    )
    return str(client.generate_presigned_url(operation, Params={"Bucket": "bucket", "Key": key, **more}))


def target(url: str) -> str:
    parts = urlsplit(url)
    return f"/objects{parts.path}?{parts.query}"


def call(server: Any, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.effective_port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Host": "line.example.com", **named})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, {name.lower(): value for name, value in answer.headers.items()}


def test_an_object_is_stored_and_fetched_by_links_whatever_host_the_runner_calls(server: Any, store: Store) -> None:
    content = bytes(range(256)) * 4096
    put = link(store, "put_object", "profiles/a b/ü", ContentLength=len(content), IfNoneMatch="*")
    assert call(server, "PUT", target(put), content, If_None_Match="*")[0] == 200
    assert list(store.objects.values()) == [content]
    status, fetched, headers = call(server, "GET", target(link(store, "get_object", "profiles/a b/ü")))
    assert (status, fetched) == (200, content)
    assert headers["content-security-policy"].startswith("sandbox")
    assert headers["content-disposition"] == "attachment"
    assert "set-cookie" not in headers
    assert call(server, "GET", target(link(store, "get_object", "other")))[0] == 404


def test_a_link_in_an_answer_leads_to_the_address_by_which_the_runner_came(server: Any, store: Store) -> None:
    for host in ("localhost:4700", "gateway.answerline.internal:4700", "[fd00::1]:4700"):
        _, body, _ = call(server, "POST", "/api/runner/snapshots/upload", Host=host, Content_Type="application/json")
        url = json.loads(body)["url"]
        assert url.startswith(f"http://{host}/objects/bucket/k?")
        parts = urlsplit(url)
        assert call(server, "PUT", f"{parts.path}?{parts.query}", b"x", Host=host)[0] == 200
    assert json.loads(body)["key"] == store.endpoint
    _, body, _ = call(server, "POST", "/api/echo", Content_Type="application/json")
    assert json.loads(body) == {"url": f"{store.endpoint}/bucket"}


@pytest.mark.parametrize("host", ["", 'a"b', "a/b", "a@b", "a b", "x" * 256])
def test_a_host_that_is_none_changes_no_answer(objects: Objects, store: Store, host: str) -> None:
    body = json.dumps({"url": f"{store.endpoint}/bucket/k"})
    assert objects.at(body, "http", host) == body
    assert objects.at(body, "javascript", "line.example.com") == body
    assert json.loads(objects.at(body, "https", "line.example.com"))["url"] == (
        "https://line.example.com/objects/bucket/k"
    )


REFUSED = {
    "no signature": ("GET", "/objects/bucket/k"),
    "a list": ("GET", "/objects/bucket?list-type=2"),
    "a list of buckets": ("GET", "/objects/"),
    "a deletion": ("DELETE", "delete_object"),
    "a look": ("HEAD", "head_object"),
    "another method than signed": ("PUT", "get_object"),
    "a form": ("POST", "put_object"),
    "a link for its own route": ("GET", "itself"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_link_is_refused(server: Any, store: Store, name: str) -> None:
    method, path = REFUSED[name]
    if path == "itself":
        path = target(link(store, "get_object")).replace("/objects/", "/objects/objects/")
    elif not path.startswith("/"):
        path = target(link(store, path))
    assert call(server, method, path)[0] == 403
    assert store.seen == []


@pytest.mark.parametrize("path", ["//objects/bucket/k", "/Objects/bucket/k", "/%6fbjects/bucket/k", "/objects"])
def test_another_spelling_of_the_route_is_none(server: Any, store: Store, path: str) -> None:
    query = urlsplit(link(store, "get_object")).query
    assert call(server, "GET", f"{path}?{query}")[0] == 403
    assert store.seen == []


def answer_to_headers(server: Any, head: str) -> bytes:
    """Returns what the server answers to headers alone, whose body never comes."""
    with socket.create_connection(("127.0.0.1", server.effective_port), timeout=10) as connection:
        connection.sendall(head.encode())
        return connection.recv(4096)


def test_a_body_is_refused_before_it_is_read(server: Any, store: Store) -> None:
    put = target(link(store, "put_object"))
    for path, length, status in ((put, MAX_BYTES + 1, 413), ("/objects/bucket/k", 1000, 403), (put + "x", 1000, 403)):
        answer = answer_to_headers(server, f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    endless = answer_to_headers(server, f"PUT {put} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert endless.startswith(b"HTTP/1.1 403 ")
    expecting = f"PUT {put} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    assert answer_to_headers(server, expecting).startswith(b"HTTP/1.1 100 ")
    assert store.seen == []


def test_no_other_route_takes_a_larger_body(server: Any) -> None:
    length = MAX_REQUEST_BYTES + 2048
    head = f"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    assert answer_to_headers(server, head).startswith(b"HTTP/1.1 413 ")


class Reads(io.BytesIO):
    """A body that remembers how much of it was asked for at once."""

    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.largest = max(self.largest, self.getbuffer().nbytes if size is None or size < 0 else size)
        return super().read(size)


def environ(method: str, path: str, body: io.BytesIO, length: int) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "REQUEST_URI": path,
        "CONTENT_LENGTH": str(length),
        "HTTP_HOST": "line.example.com",
        "wsgi.input": body,
    }


def test_an_object_goes_through_in_chunks(objects: Objects, store: Store) -> None:
    statuses: list[str] = []

    def start(status: str, _: Any) -> None:
        statuses.append(status)

    content = b"x" * (3 * CHUNK_BYTES + 5)
    body = Reads(content)
    stored: Any = objects(environ("PUT", target(link(store, "put_object")), body, len(content)), start)
    assert b"".join(stored) == b""
    stored.close()  # as WSGI servers do
    assert body.largest <= CHUNK_BYTES
    fetched: Any = objects(environ("GET", target(link(store, "get_object")), io.BytesIO(), 0), start)
    sizes = [len(chunk) for chunk in fetched]
    fetched.close()
    assert (sum(sizes), max(sizes) <= CHUNK_BYTES) == (len(content), True)
    assert statuses == ["200 OK", "200 OK"]


def test_a_second_address_has_the_same_door(objects: Objects, store: Store) -> None:
    gateway = Gateway(Chalice("small", configure_logs=False), objects)
    server = http_server.create(gateway, objects, MAX_BYTES, ["127.0.0.1", "127.0.0.2"], 0, behind_proxy=False)
    threading.Thread(target=server.run, daemon=True).start()
    for address, port in server.effective_listen:
        head = f"PUT /objects/bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_REQUEST_BYTES + 2048}\r\n\r\n"
        with socket.create_connection((address, port), timeout=10) as connection:
            connection.sendall(head.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
        with socket.create_connection((address, port), timeout=10) as connection:
            connection.sendall(f"GET {target(link(store, 'get_object'))} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 404 ")
    server.task_dispatcher.shutdown()
    server.close()


def test_every_snapshot_fits() -> None:
    assert MAX_OBJECT_BYTES == MAX_SNAPSHOT_BYTES


def test_transfers_never_take_all_threads(objects: Objects, store: Store) -> None:
    statuses: list[str] = []

    def fetch() -> Any:
        path = target(link(store, "get_object"))
        return objects(environ("GET", path, io.BytesIO(), 0), lambda status, _: statuses.append(status))

    assert MAX_TRANSFERS < http_server.THREADS / 4
    open_ones: list[Any] = [fetch() for _ in range(MAX_TRANSFERS)]
    fetch()
    assert statuses[-1] == "503 Service Unavailable"
    for each in open_ones:
        each.close()
        each.close()
    fetch().close()
    assert statuses[-1] == "404 Not Found"


def test_a_store_that_is_away_is_said_and_its_place_is_free_again(objects: Objects, store: Store) -> None:
    get = target(link(store, "get_object"))
    store.shutdown()
    store.server_close()
    statuses: list[str] = []
    for _ in range(MAX_TRANSFERS + 1):
        objects(environ("GET", get, io.BytesIO(), 0), lambda status, _: statuses.append(status))
    assert set(statuses) == {"502 Bad Gateway"}


def test_a_link_for_another_store_is_refused(store: Store) -> None:
    other = Objects("http://127.0.0.1:9", KEY, MAX_BYTES, lambda: datetime.now(UTC))
    with pytest.raises(Refused):
        other.admit("GET", target(link(store, "get_object")), {"host": "x"}, length=0)
