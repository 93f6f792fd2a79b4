"""The door before MiniStack: what it lets in, what it refuses, and what of a request reaches MiniStack."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from infrastructure.local.emulator.asgi import Message, Receive, Send, read_body
from infrastructure.local.emulator.door import HEALTH_PATH, MAX_UNVERIFIED_BYTES, SIGN_IN_TARGETS, Door
from infrastructure.local.signature import AccessKey, local_hosts

KEY = AccessKey("AKIALINE", "a secret of this start")
ENDPOINT = "http://127.0.0.1:4705"
Pairs = Sequence[tuple[str, str]]


@dataclass
class MiniStack:
    """Stands for MiniStack: records what reaches it, and answers once the body is whole."""

    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self.seen.append(("lifespan", "", {}, b""))
            return
        ended = False

        async def watched() -> Message:
            nonlocal ended
            message = await receive()
            ended = ended or message["type"] == "http.disconnect"
            return message

        body = await read_body(watched)
        if ended:
            return  # as MiniStack: a request without its end is none
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers, body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@dataclass
class Scene:
    """A door before a recorder."""

    behind: MiniStack = field(default_factory=MiniStack)

    def send(self, method: str, target: str, headers: Pairs, *chunks: bytes) -> tuple[int, str]:
        """Returns the status, 0 without an answer, and the body of the answer."""
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        }
        return self.pass_on(scope, *chunks)

    def pass_on(self, scope: Message, *chunks: bytes) -> tuple[int, str]:
        coming = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        coming.append({"type": "http.request", "body": b"", "more_body": False})
        sent: list[Message] = []

        async def receive() -> Message:
            return coming.pop(0) if coming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        door = Door(self.behind, KEY, local_hosts(4705), lambda: datetime.now(UTC))
        asyncio.run(door(scope, receive, send))
        body = b"".join(message.get("body", b"") for message in sent)
        return int(sent[0].get("status") or sent[0]["code"]) if sent else 0, body.decode()


def signed(method: str, path: str, body: bytes, service: str = "ssm", **headers: str) -> Pairs:
    request = AWSRequest(
        method, ENDPOINT + path, {name.replace("_", "-"): text for name, text in headers.items()}, body
    )
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(KEY.identifier, KEY.secret), service, "eu-central-1").add_auth(request)
    return [("host", "127.0.0.1:4705"), *((name, str(value)) for name, value in request.headers.items())]


def link(operation: str = "put_object") -> str:
    client: Any = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="eu-central-1",
        aws_access_key_id=KEY.identifier,
        aws_secret_access_key=KEY.secret,
        config=Config(signature_version="s3v4"),
    )
    parts = urlsplit(client.generate_presigned_url(operation, Params={"Bucket": "bucket", "Key": "k"}))
    return f"{parts.path}?{parts.query}"


HOST = ("host", "127.0.0.1:4705")


def test_a_signed_request_passes_whole() -> None:
    scene = Scene()
    headers = signed("POST", "/", b"{} twice", x_amz_target="AmazonSSM.GetParameter")
    assert scene.send("POST", "/", headers, b"{} ", b"twice") == (200, "")
    [(method, path, seen, body)] = scene.behind.seen
    assert (method, path, body) == ("POST", "/", b"{} twice")
    assert seen["x-amz-target"] == "AmazonSSM.GetParameter"


def test_an_object_passes_as_it_comes_if_it_is_the_signed_one() -> None:
    scene = Scene()
    headers = signed("PUT", "/bucket/k", b"abc", "s3")
    assert scene.send("PUT", "/bucket/k", headers, b"a", b"bc") == (200, "")
    assert scene.behind.seen[0][3] == b"abc"


@pytest.mark.parametrize("chunks", [[b"a", b"bd"], [], [b"abc", b"d"], [b"ab"]])
def test_another_object_than_the_signed_one_has_no_end(chunks: list[bytes]) -> None:
    scene = Scene()
    assert scene.send("PUT", "/bucket/k", signed("PUT", "/bucket/k", b"abc", "s3"), *chunks)[0] != 200
    assert scene.behind.seen == []


def test_of_a_link_only_what_is_signed_passes() -> None:
    scene = Scene()
    harmful = [("content-type", "application/x-www-form-urlencoded"), ("smithy-protocol", "rpc-v2-cbor")]
    assert scene.send("PUT", link(), [HOST, ("Content-Length", "1"), *harmful], b"x") == (200, "")
    assert scene.behind.seen[0][2] == {"host": "127.0.0.1:4705", "content-length": "1"}


REFUSED: dict[str, tuple[str, str, Pairs]] = {
    "unsigned": ("POST", "/", [HOST, ("x-amz-target", "TrentService.Decrypt")]),
    "an unsigned object": ("GET", "/bucket/k", [HOST]),
    "a list of buckets": ("GET", "/", [HOST]),
    "a reset": ("POST", "/_ministack/reset", [HOST]),
    "a signed reset": ("POST", "/_ministack/reset", signed("POST", "/_ministack/reset", b"")),
    "a reset of old": ("POST", "/_localstack/state/reset", [HOST]),
    "a write to the health check": ("POST", HEALTH_PATH, [HOST]),
    "the health check for a rebound name": ("GET", HEALTH_PATH, [("host", "rebind.evil.example:4705")]),
    "the health check for a page": ("GET", HEALTH_PATH, [HOST, ("origin", "https://evil.example")]),
    "a link for a rebound name": ("GET", link("get_object"), [("host", "rebind.evil.example:4705")]),
    "a link on a page": ("GET", link("get_object"), [HOST, ("sec-fetch-site", "cross-site")]),
    "a link to read, to write": ("PUT", link("get_object"), [HOST]),
    "a link to write, to delete": ("DELETE", link(), [HOST]),
    "a sign-up": ("POST", "/", [HOST, ("x-amz-target", "AWSCognitoIdentityProviderService.SignUp")]),
    "a sign-in elsewhere": ("POST", "/x", [HOST, ("x-amz-target", min(SIGN_IN_TARGETS))]),
    "a sign-in with a query": ("POST", "/?Action=ListQueues", [HOST, ("x-amz-target", min(SIGN_IN_TARGETS))]),
    "a sign-in of two kinds": ("POST", "/", [HOST, *(("x-amz-target", each) for each in sorted(SIGN_IN_TARGETS))]),
    "a sign-in of a page": ("POST", "/", [HOST, ("x-amz-target", min(SIGN_IN_TARGETS)), ("referer", "http://x/")]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_else_reaches_ministack(name: str) -> None:
    scene, (method, target, headers) = Scene(), REFUSED[name]
    status, sentence = scene.send(method, target, headers)
    assert (status, scene.behind.seen) == (403, [])
    assert sentence.endswith(".")
    assert KEY.secret not in sentence


def test_the_health_check_and_the_sign_in_are_open() -> None:
    scene = Scene()
    assert scene.send("GET", HEALTH_PATH, [HOST])[0] == 200
    for target in SIGN_IN_TARGETS:
        assert scene.send("POST", "/", [HOST, ("x-amz-target", target), ("authorization", "x")], b"{}")[0] == 200
    assert all(set(headers) <= {"host", "x-amz-target"} for _, _, headers, _ in scene.behind.seen)


def test_a_body_is_bounded_before_its_signature_is_known() -> None:
    scene, chunk = Scene(), b"x" * (MAX_UNVERIFIED_BYTES // 2)
    status, sentence = scene.send("POST", "/", signed("POST", "/", b"{}"), chunk, chunk, b"x")
    assert (status, scene.behind.seen) == (403, [])
    assert "too large" in sentence


def test_a_websocket_is_closed_and_the_lifespan_passes() -> None:
    scene = Scene()
    assert scene.pass_on({"type": "websocket", "path": "/", "headers": []}) == (1008, "")
    assert scene.behind.seen == []
    scene.pass_on({"type": "lifespan"})
    assert scene.behind.seen == [("lifespan", "", {}, b"")]
