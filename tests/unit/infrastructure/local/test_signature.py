"""The rule of every local door: what is signed with the key of this start passes, and nothing a page can send does."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from infrastructure.local.signature import (
    AccessKey,
    Headers,
    Refused,
    Request,
    is_presigned,
    local_hosts,
    needs_body,
    refuse_foreign,
    verify,
)

KEY = AccessKey("AKIALINE", "a secret of this start")
ENDPOINT = "http://127.0.0.1:4705"
#: what urllib3 and a proxy add after signing
UNSIGNED = (("Host", "127.0.0.1:4705"), ("Accept-Encoding", "identity"), ("User-Agent", "Boto3"))


class _Sent(Exception):
    """Stops a request of boto3 before it leaves."""


@cache
def _client(service: str, key: AccessKey = KEY) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=ENDPOINT,
        region_name="eu-central-1",
        aws_access_key_id=key.identifier,
        aws_secret_access_key=key.secret,
        config=Config(signature_version="s3v4") if service == "s3" else None,
    )


def _sent(service: str, operation: str, key: AccessKey = KEY, **arguments: Any) -> tuple[Request, bytes]:
    """Returns what boto3 sends for an operation."""
    client = _client(service, key)
    caught: list[AWSPreparedRequest] = []

    def catch(request: AWSPreparedRequest, **_: object) -> None:
        caught.append(request)
        raise _Sent

    client.meta.events.register("before-send", catch)
    with pytest.raises(_Sent):
        getattr(client, operation)(**arguments)
    client.meta.events.unregister("before-send", catch)
    request = caught[0]
    parts = urlsplit(request.url)
    given: list[tuple[str, Any]] = [pair for pair in request.headers.items() if pair[0] != "User-Agent"]
    text = ((name, value.decode() if isinstance(value, bytes) else value) for name, value in given)
    headers = (*text, *UNSIGNED)
    body: Any = request.body or b""
    return Request(request.method, parts.path, parts.query, headers), body if isinstance(body, bytes) else body.read()


def _link(operation: str, seconds: int = 900, key: AccessKey = KEY, **arguments: object) -> Request:
    url = _client("s3", key).generate_presigned_url(operation, Params=arguments, ExpiresIn=seconds)
    parts = urlsplit(url)
    return Request("GET" if operation == "get_object" else "PUT", parts.path, parts.query, UNSIGNED)


def _without(headers: Headers, name: str) -> Headers:
    return tuple(pair for pair in headers if pair[0].lower() != name.lower())


def _with(request: Request, name: str, value: str) -> Request:
    return replace(request, headers=(*_without(request.headers, name), (name, value)))


def _now() -> datetime:
    return datetime.now(UTC)


# -- what passes ------------------------------------------------------------------------------------------------

CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "json in the body": ("dynamodb", "get_item", {"TableName": "table", "Key": {"pk": {"S": "é ü"}}}),
    "a target of its own": ("ssm", "get_parameter", {"Name": "/a/b", "WithDecryption": True}),
    "a path with names": ("sesv2", "get_email_identity", {"EmailIdentity": "line@example.com"}),
    "a list with a query": ("s3", "list_objects_v2", {"Bucket": "bucket", "Prefix": "a b/ü+%&=", "MaxKeys": 7}),
    "an object with an odd key": ("s3", "get_object", {"Bucket": "bucket", "Key": "a/../b//c d/é~+%2F"}),
    "an object's body": ("s3", "put_object", {"Bucket": "bucket", "Key": "k", "Body": b"\x00\xff" * 99}),
    "no body": ("s3", "delete_object", {"Bucket": "bucket", "Key": "k"}),
    "a queue": ("sqs", "send_message", {"QueueUrl": f"{ENDPOINT}/0/q", "MessageBody": "hello"}),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_boto3_signs_passes(name: str) -> None:
    service, operation, arguments = CALLS[name]
    request, body = _sent(service, operation, **arguments)
    signed = verify(request, body, KEY, _now())
    assert (signed.service, signed.payload) == (service if service != "sesv2" else "ses", _hash(body))
    assert "host" in signed.headers
    assert {header.lower() for header, _ in request.headers if header.lower().startswith("x-amz-")} <= signed.headers
    refuse_foreign(request.headers, local_hosts(4705))


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("operation", ["get_object", "put_object"])
def test_a_presigned_link_passes_with_any_body(operation: str) -> None:
    request = _link(operation, Bucket="bucket", Key="profiles/a b/ü.zst")
    assert is_presigned(request)
    assert not needs_body(request)
    signed = verify(request, None, KEY, _now())
    assert (signed.service, signed.payload) == ("s3", None)
    assert verify(request, b"anything", KEY, _now()) == signed


def test_a_link_states_headers_that_must_come() -> None:
    request = _link("put_object", Bucket="bucket", Key="k", ContentLength=3, IfNoneMatch="*")
    with pytest.raises(Refused, match="signed header is missing"):
        verify(request, None, KEY, _now())
    complete = _with(_with(request, "content-length", "3"), "if-none-match", "*")
    assert verify(complete, None, KEY, _now()).headers == {"host", "content-length", "if-none-match"}
    with pytest.raises(Refused, match="does not match"):
        verify(_with(complete, "content-length", "4"), None, KEY, _now())


def test_a_body_may_be_compared_later_only_where_its_digest_is_signed() -> None:
    request, body = _sent("s3", "put_object", Bucket="bucket", Key="k", Body=b"body")
    assert not needs_body(request)
    assert verify(request, None, KEY, _now()).payload == _hash(body)
    request, _ = _sent("sqs", "send_message", QueueUrl=f"{ENDPOINT}/0/q", MessageBody="hello")
    assert needs_body(request)
    with pytest.raises(Refused, match="without the body"):
        verify(request, None, KEY, _now())


# -- what does not ----------------------------------------------------------------------------------------------

Change = Callable[[Request], Request]


def _authorization(request: Request, old: str, new: str) -> Request:
    value = dict(request.headers)["Authorization"]
    assert old in value
    return _with(request, "Authorization", value.replace(old, new))


CHANGES: dict[str, Change] = {
    "not signed": lambda r: replace(r, headers=_without(r.headers, "Authorization")),
    "another scheme": lambda r: _with(r, "Authorization", "Bearer AKIALINE"),
    "an empty signature": lambda r: _with(r, "Authorization", "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature="),
    "another algorithm": lambda r: _authorization(r, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    "another method": lambda r: replace(r, method="DELETE"),
    "another path": lambda r: replace(r, path=r.path + "x"),
    "another query": lambda r: replace(r, query="x=1"),
    "a fragment": lambda r: replace(r, path=r.path + "#x"),
    "a whole address as target": lambda r: replace(r, path=f"http://127.0.0.1:4705{r.path}"),
    "another host": lambda r: _with(r, "Host", "rebind.evil.example"),
    "no host": lambda r: replace(r, headers=_without(r.headers, "Host")),
    "two hosts": lambda r: replace(r, headers=(*r.headers, ("host", "127.0.0.1:4705"))),
    "another target": lambda r: _with(r, "X-Amz-Target", "AmazonSSM.DeleteParameter"),
    "two targets": lambda r: replace(r, headers=(*r.headers, ("x-amz-target", "AmazonSSM.DeleteParameter"))),
    "an unsigned x-amz- header": lambda r: _with(r, "x-amz-acl", "public-read"),
    "an unsigned date": lambda r: _authorization(r, ";x-amz-date", ""),
    "another date": lambda r: _with(r, "X-Amz-Date", _now().strftime("%Y%m%dT000000Z")),
    "no date": lambda r: replace(r, headers=_without(r.headers, "X-Amz-Date")),
    "no date in its form": lambda r: _with(r, "X-Amz-Date", "20261399T996199Z"),
    "host left out": lambda r: _authorization(r, "host;", ""),
    "another region": lambda r: _authorization(r, "eu-central-1", "us-east-1"),
    "another service": lambda r: _authorization(r, "/ssm/", "/s3/"),
    "another day in the scope": lambda r: _authorization(r, f"/{_now():%Y%m%d}/", "/20200101/"),
    "a scope with a part more": lambda r: _authorization(r, "/aws4_request", "/aws4_request/x"),
    "a scope with a part less": lambda r: _authorization(r, "/aws4_request", ""),
    "another key": lambda r: _authorization(r, "AKIALINE", "test"),
    "an unsigned body": lambda r: _with(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_request_changed_after_signing_is_refused(name: str) -> None:
    request, body = _sent("ssm", "get_parameter", Name="/a/b")
    verify(request, body, KEY, _now())
    with pytest.raises(Refused):
        verify(CHANGES[name](request), body, KEY, _now())


LINK_CHANGES: dict[str, Change] = {
    "another method": lambda r: replace(r, method="DELETE"),
    "another object": lambda r: replace(r, path="/bucket/other"),
    "a longer life": lambda r: replace(r, query=r.query.replace("Expires=900", "Expires=9000")),
    "a life without end": lambda r: replace(r, query=r.query.replace("Expires=900", "Expires=9000000")),
    "no life": lambda r: replace(r, query=r.query.replace("X-Amz-Expires=900", "x=1")),
    "a life below zero": lambda r: replace(r, query=r.query.replace("Expires=900", "Expires=-1")),
    "a life twice": lambda r: replace(r, query=r.query + "&X-Amz-Expires=9000"),
    "a life twice, once in small letters": lambda r: replace(r, query=r.query + "&x-amz-expires=9000"),
    "another host": lambda r: _with(r, "Host", "rebind.evil.example"),
    "an unsigned x-amz- header": lambda r: _with(r, "x-amz-copy-source", "/bucket/other"),
    "a header's signature too": lambda r: _with(r, "Authorization", "AWS4-HMAC-SHA256 x"),
    "one more parameter": lambda r: replace(r, query=r.query + "&tagging="),
    "one parameter less": lambda r: replace(r, query=r.query.replace("X-Amz-Algorithm=AWS4-HMAC-SHA256&", "")),
    "another algorithm": lambda r: replace(r, query=r.query.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
    "no signature": lambda r: replace(r, query=r.query.partition("&X-Amz-Signature")[0]),
    "an empty signature": lambda r: replace(r, query=r.query.partition("X-Amz-Signature=")[0] + "X-Amz-Signature="),
    "for another service": lambda r: replace(r, query=r.query.replace("%2Fs3%2F", "%2Fsqs%2F")),
}


@pytest.mark.parametrize("name", LINK_CHANGES)
def test_a_changed_link_is_refused(name: str) -> None:
    request = _link("get_object", Bucket="bucket", Key="k")
    verify(request, None, KEY, _now())
    with pytest.raises(Refused):
        verify(LINK_CHANGES[name](request), None, KEY, _now())


def test_another_secret_is_refused() -> None:
    other = AccessKey(KEY.identifier, "another secret")
    request, body = _sent("ssm", "get_parameter", other, Name="/a/b")
    for each, content in ((request, body), (_link("get_object", key=other, Bucket="bucket", Key="k"), None)):
        with pytest.raises(Refused, match="does not match"):
            verify(each, content, KEY, _now())


@pytest.mark.parametrize("service", ["ssm", "s3"])
def test_another_body_is_refused(service: str) -> None:
    _, operation, arguments = CALLS["a target of its own" if service == "ssm" else "an object's body"]
    request, _ = _sent(service, operation, **arguments)
    with pytest.raises(Refused):
        verify(request, b"another body", KEY, _now())


@pytest.mark.parametrize(
    ("seconds", "passes"), [(0, True), (890, True), (-890, True), (910, False), (-910, False), (86_400, False)]
)
def test_a_signature_is_fresh_for_15_minutes(seconds: int, passes: bool) -> None:
    request, body = _sent("ssm", "get_parameter", Name="/a/b")
    _expect(passes, request, body, _now() + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("seconds", "passes"), [(0, True), (1790, True), (1810, False), (-890, True), (-910, False), (86_400, False)]
)
def test_a_link_lives_as_long_as_it_says(seconds: int, passes: bool) -> None:
    _expect(passes, _link("get_object", 1800, Bucket="b", Key="k"), None, _now() + timedelta(seconds=seconds))


def test_no_link_lives_longer_than_a_week() -> None:
    _expect(True, _link("get_object", 604_800, Bucket="b", Key="k"), None, _now())
    _expect(False, _link("get_object", 604_801, Bucket="b", Key="k"), None, _now())


def _expect(passes: bool, request: Request, body: bytes | None, now: datetime) -> None:
    if passes:
        verify(request, body, KEY, now)
    else:
        with pytest.raises(Refused):
            verify(request, body, KEY, now)


# -- whatever is sent -------------------------------------------------------------------------------------------

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(key=KEYS, body=st.binary(max_size=200), query=st.dictionaries(st.sampled_from("abc"), KEYS), data=st.data())
def test_what_was_signed_passes_and_nothing_else(
    key: str, body: bytes, query: dict[str, str], data: st.DataObject
) -> None:
    for signer, service in ((S3SigV4Auth, "s3"), (SigV4Auth, "ssm")):
        address = f"{ENDPOINT}/{quote(key, safe='/~')}?{urlencode(query, quote_via=quote)}".rstrip("?")
        sent = AWSRequest("POST", address, {"X-Amz-Target": "a.b", "Content-Type": "x/y"}, body)
        signer(Credentials(KEY.identifier, KEY.secret), service, "eu-central-1").add_auth(sent)
        parts = urlsplit(address)
        headers = (("Host", parts.netloc), *((name, str(value)) for name, value in sent.headers.items()))
        request = Request("POST", parts.path, parts.query, headers)
        assert verify(request, body, KEY, _now()).payload == _hash(body)
        place = data.draw(st.integers(0, len(parts.path) - 1))
        with pytest.raises(Refused):
            verify(replace(request, path=parts.path[:place] + "x!" + parts.path[place:]), body, KEY, _now())
        with pytest.raises(Refused):
            verify(replace(request, query=f"{parts.query}&z=1"), body, KEY, _now())
        with pytest.raises(Refused):
            verify(request, body + b"x", KEY, _now())
        name, value = data.draw(st.sampled_from(headers))
        with pytest.raises(Refused):
            verify(_with(request, name, value[:-1] + ("0" if value[-1] != "0" else "1")), body, KEY, _now())
        with pytest.raises(Refused):
            verify(replace(request, headers=_without(headers, name)), body, KEY, _now())


PARTS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")


@settings(max_examples=100, deadline=None)
@given(part=st.sampled_from(PARTS), value=st.text(max_size=20) | st.text("0123456789²٣/;-", max_size=8))
def test_a_link_with_anything_else_in_one_part_is_refused(part: str, value: str) -> None:
    request = _link("get_object", Bucket="bucket", Key="k")
    pairs = [pair.partition("=")[::2] for pair in request.query.split("&")]
    changed = "&".join(f"{name}={quote(value, safe='') if name == part else old}" for name, old in pairs)
    with pytest.raises(Refused):
        verify(replace(request, query=changed), None, KEY, _now())


@settings(max_examples=100, deadline=None)
@given(part=st.sampled_from(["Credential=", "SignedHeaders=", "Signature="]), value=st.text(max_size=20))
def test_a_header_with_anything_else_in_one_part_is_refused(part: str, value: str) -> None:
    request, body = _sent("ssm", "get_parameter", Name="/a/b")
    before, _, after = dict(request.headers)["Authorization"].partition(part)
    changed = f"{before}{part}{value}{after[after.find(',') :] if ',' in after else ''}"
    with pytest.raises(Refused):
        verify(_with(request, "Authorization", changed), body, KEY, _now())


@settings(max_examples=200, deadline=None)
@given(
    path=st.text(max_size=30),
    query=st.text(max_size=60) | st.builds("X-Amz-Signature={}&{}".format, st.text(), st.text()),
    headers=st.lists(
        st.tuples(st.sampled_from(["Host", "Authorization", "X-Amz-Date", "x-amz-content-sha256", "a"]), st.text())
    ),
    body=st.none() | st.binary(),
)
def test_what_is_no_request_of_ours_is_refused_and_nothing_else_happens(
    path: str, query: str, headers: list[tuple[str, str]], body: bytes | None
) -> None:
    for given_headers in (headers, [*headers, ("Authorization", dict(headers).get("Authorization", ""))]):
        request = Request("GET", path, query, given_headers)
        needs_body(request)
        with pytest.raises(Refused):
            verify(request, body, KEY, _now())


# -- the door ---------------------------------------------------------------------------------------------------

ACCEPTED: dict[str, Headers] = {
    "by number": [("Host", "127.0.0.1:4705")],
    "by name": [("host", "localhost:4705"), ("User-Agent", "Boto3")],
    "in capitals": [("HOST", "LOCALHOST:4705")],
}
FOREIGN: dict[str, Headers] = {
    "a rebound name": [("Host", "rebind.evil.example")],
    "a rebound name with our port": [("Host", "rebind.evil.example:4705")],
    "a name that begins like ours": [("Host", "127.0.0.1.evil.example:4705")],
    "a name that ends like ours": [("Host", "evil.localhost:4705")],
    "another port": [("Host", "127.0.0.1:4706")],
    "no port": [("Host", "127.0.0.1")],
    "a user before the name": [("Host", "x@127.0.0.1:4705")],
    "another loopback": [("Host", "127.0.0.2:4705")],
    "ipv6": [("Host", "[::1]:4705")],
    "an empty host": [("Host", "")],
    "no host": [("User-Agent", "curl")],
    "two hosts": [("Host", "127.0.0.1:4705"), ("Host", "evil.example")],
    "twice the same": [("Host", "127.0.0.1:4705"), ("Host", "127.0.0.1:4705")],
    "an origin": [("Host", "127.0.0.1:4705"), ("Origin", "https://evil.example")],
    "an origin without name": [("Host", "127.0.0.1:4705"), ("ORIGIN", "null")],
    "our own origin": [("Host", "127.0.0.1:4705"), ("Origin", "http://127.0.0.1:4705")],
    "a referrer": [("Host", "127.0.0.1:4705"), ("Referer", "https://evil.example/")],
    "a fetch": [("Host", "127.0.0.1:4705"), ("Sec-Fetch-Site", "same-origin")],
    "a fetch of an image": [("Host", "127.0.0.1:4705"), ("sec-fetch-dest", "image")],
    "a navigation": [("Host", "127.0.0.1:4705"), ("Sec-Fetch-User", "?1")],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_door_is_open_by_its_own_names(name: str) -> None:
    refuse_foreign(ACCEPTED[name], local_hosts(4705))


@pytest.mark.parametrize("name", FOREIGN)
def test_a_door_is_closed_to_pages(name: str) -> None:
    with pytest.raises(Refused):
        refuse_foreign(FOREIGN[name], local_hosts(4705))


def test_no_refusal_and_no_key_tells_the_secret() -> None:
    request, body = _sent("ssm", "get_parameter", Name="/a/b")
    with pytest.raises(Refused) as refusal:
        verify(replace(request, path="/x"), body, KEY, _now())
    assert KEY.secret not in str(refusal.value) + repr(KEY)
