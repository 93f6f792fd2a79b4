"""Verifies AWS Signature Version 4, and the rule of every local door: no page of a browser reaches what is behind it.

Pure: the caller gives the received request, the access key and the time. The signature is made anew, with botocore,
from what was received, and compared in constant time. MiniStack's own virtual environment imports this module, too.

Guaranteed for a request that passes: the holder of the key signed the method, the path, the query, Host, every
``x-amz-`` header and (except S3's UNSIGNED-PAYLOAD) the body, at most 15 minutes ago or as long ago as its link allows.
NOT guaranteed: that it is the first with this signature (a replay passes while it is fresh); anything about other
headers.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

#: How far a request's date may be from now, as AWS has it.
MAX_SKEW = timedelta(minutes=15)
#: The longest life of a presigned link, as AWS has it.
MAX_LINK_SECONDS = 7 * 24 * 3600
ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
#: The only service whose bodies may be unsigned, and whose requests may be presigned.
S3 = "s3"

#: What browsers add to a request and no SDK does; names that begin with ``sec-fetch-`` too.
_BROWSER_HEADERS = frozenset({"origin", "referer"})
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Credential=(?P<credential>[^\s,]+), *SignedHeaders=(?P<names>[^\s,]+),"
    r" *Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_NAMES = re.compile(r"[a-z0-9-]+(;[a-z0-9-]+)*")
#: A digest or a signature, in hex.
_HASH = re.compile(r"[0-9a-f]{64}")
_SIGNATURE_PARAMETER = "X-Amz-Signature"
_CONTENT_HASH = "x-amz-content-sha256"

#: (name, value) of each header, in any case
Headers = Sequence[tuple[str, str]]


class Refused(Exception):
    """The request is not let in; the message is one sentence without secrets."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of AWS: the public id, and the secret that signs."""

    identifier: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """A received request, before its body: ``path`` and ``query`` percent-encoded, exactly as sent."""

    method: str
    path: str
    query: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Signed:
    """The parts of a request that a valid signature covers."""

    service: str
    #: the signed headers, in lower case
    headers: frozenset[str]
    #: SHA-256 of the signed body, in hex; ``None``: the body is not signed (S3's UNSIGNED-PAYLOAD)
    payload: str | None


@dataclass(frozen=True, slots=True)
class _Claim:
    """The parts of a signature, as the request states them."""

    credential: str
    #: the signed headers, separated by semicolons
    names: str
    signature: str
    date: str
    #: what of the query is signed
    query: str
    #: the life of a presigned link; ``None``: the signature is in a header
    link_seconds: int | None = None


def refuse_foreign(headers: Headers, hosts: Collection[str]) -> None:
    """Raises :class:`Refused` for what a page could make a browser send; ``hosts`` are this door's names with its port.

    A page of another origin sends Origin, Referer or Sec-Fetch-*. A page whose name was rebound to this machine may
    send none of them, but its own name as Host.
    """
    given = [(name.lower(), value) for name, value in headers]
    if any(name in _BROWSER_HEADERS or name.startswith("sec-fetch-") for name, _ in given):
        raise Refused("This door is closed to browsers.")
    if [value.lower() for name, value in given if name == "host"] not in [[host] for host in hosts]:
        raise Refused("This door is known by another name: Host is not an address of this machine.")


def local_hosts(port: int) -> frozenset[str]:
    """Returns the Host headers that mean a port of this machine's loopback."""
    return frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})


def is_presigned(request: Request) -> bool:
    """Returns whether the signature is in the query, so that the body is not covered by it."""
    return any(part.partition("=")[0] == _SIGNATURE_PARAMETER for part in request.query.split("&"))


def needs_body(request: Request) -> bool:
    """Returns whether the signature can be verified only with the body: no header states the body's digest."""
    given = {name.lower() for name, _ in request.headers}
    return "authorization" in given and _CONTENT_HASH not in given and not is_presigned(request)


def verify(request: Request, body: bytes | None, key: AccessKey, now: datetime) -> Signed:
    """Returns what the signature covers; raises :class:`Refused`.

    Args:
        body: whole; ``None`` if it is not read yet, where :func:`needs_body` allows that. The caller must then compare
            it with :attr:`Signed.payload`.
        now: with a time zone.
    """
    if not request.path.startswith("/") or "#" in request.path + request.query:
        raise Refused("The request's target is not a path.")
    given = _headers(request.headers)
    claim = _link(request, given) if is_presigned(request) else _authorization(request, given)
    access_key, date, region, service, *rest = (*claim.credential.split("/"), "", "", "", "")
    if rest[:1] != ["aws4_request"] or any(rest[1:]) or not region or date != claim.date[:8]:
        raise Refused("The signature's scope is not access-key/date/region/service/aws4_request.")
    if access_key != key.identifier:
        raise Refused("The access key is not that of this start.")
    _check_time(claim, now)
    signed = _signed_headers(given, claim.names)
    payload = _payload(signed, service, claim, body)
    signer = (_S3Signer if service == S3 else _Signer)(key, service, region, payload)
    # Host is among the signed headers; the address only carries the path and the query.
    anew = AWSRequest(request.method, f"http://host{request.path}?{claim.query}", signed)
    anew.context["timestamp"] = claim.date
    signature = signer.signature(signer.string_to_sign(anew, signer.canonical_request(anew)), anew)
    if not hmac.compare_digest(signature, claim.signature):
        raise Refused("The signature does not match the request.")
    return Signed(service, frozenset(signed), None if payload == UNSIGNED_PAYLOAD else payload)


class _Signer(SigV4Auth):
    """Botocore's signer with the digest of a body that it need not read again."""

    def __init__(self, key: AccessKey, service: str, region: str, payload: str) -> None:
        super().__init__(Credentials(key.identifier, key.secret), service, region)
        self._payload = payload

    def payload(self, request: AWSRequest) -> str:
        return self._payload


class _S3Signer(_Signer, S3SigV4Auth):
    """The same for S3, which signs a path as it was sent."""


def _headers(given: Headers) -> dict[str, str]:
    """Returns the headers by their names in lower case; none may come twice, since one reader may take the other."""
    headers: dict[str, str] = {}
    for name, value in given:
        lower = name.lower()
        if lower in headers:
            raise Refused("A header comes twice.")
        headers[lower] = value
    return headers


def _authorization(request: Request, headers: dict[str, str]) -> _Claim:
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise Refused("The request is not signed with AWS Signature Version 4.")
    return _Claim(match["credential"], match["names"], match["signature"], headers.get("x-amz-date", ""), request.query)


def _link(request: Request, headers: dict[str, str]) -> _Claim:
    if "authorization" in headers:
        raise Refused("The request is signed twice, in a header and in its query.")
    parts = [part.partition("=") for part in request.query.split("&")]
    names = [unquote(name).lower() for name, _, _ in parts]
    own = {name: unquote(value) for name, (_, _, value) in zip(names, parts, strict=True) if name.startswith("x-amz-")}
    if len(own) != sum(name.startswith("x-amz-") for name in names):
        raise Refused("A part of the link's signature comes twice.")
    seconds = own.get("x-amz-expires", "")
    counted = seconds.isascii() and seconds.isdigit() and len(seconds) <= 6
    if own.get("x-amz-algorithm") != ALGORITHM or not counted or not _HASH.fullmatch(own["x-amz-signature"]):
        raise Refused("The link is not signed with AWS Signature Version 4.")
    return _Claim(
        own.get("x-amz-credential", ""),
        own.get("x-amz-signedheaders", ""),
        own["x-amz-signature"],
        own.get("x-amz-date", ""),
        "&".join("".join(part) for part in parts if part[0] != _SIGNATURE_PARAMETER),
        int(seconds),
    )


def _check_time(claim: _Claim, now: datetime) -> None:
    if not _DATE.fullmatch(claim.date):
        raise Refused("X-Amz-Date is missing or is no date.")
    try:
        signed_at = datetime.strptime(claim.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("X-Amz-Date is missing or is no date.") from None
    if signed_at > now + MAX_SKEW:
        raise Refused("The signature is of a time to come.")
    if claim.link_seconds is None:
        if signed_at < now - MAX_SKEW:
            raise Refused("The signature is older than 15 minutes.")
    elif not 1 <= claim.link_seconds <= MAX_LINK_SECONDS or now > signed_at + timedelta(seconds=claim.link_seconds):
        raise Refused("The link has expired.")


def _signed_headers(headers: dict[str, str], names: str) -> dict[str, str]:
    if not _NAMES.fullmatch(names):
        raise Refused("The list of signed headers cannot be read.")
    listed = names.split(";")
    if "host" not in listed:
        raise Refused("Host is not signed.")
    if missing := [name for name in listed if name not in headers]:
        raise Refused(f"A signed header is missing: {missing[0][:40]}.")
    if any(name.startswith("x-amz-") and name not in listed for name in headers):
        raise Refused("An x-amz- header is not signed.")
    return {name: headers[name] for name in listed}


def _payload(signed: dict[str, str], service: str, claim: _Claim, body: bytes | None) -> str:
    """Returns the digest of the body as it was signed; raises :class:`Refused` if the body has another."""
    if claim.link_seconds is not None and service != S3:
        raise Refused("Only S3 has links.")
    default = UNSIGNED_PAYLOAD if claim.link_seconds is not None else ""
    stated = signed.get(_CONTENT_HASH, default)
    if stated == UNSIGNED_PAYLOAD and service == S3:
        return stated
    if stated and not _HASH.fullmatch(stated):
        raise Refused("The body is not signed as a whole.")
    if body is None:
        if not stated:
            raise Refused("The signature cannot be verified without the body.")
        return stated
    digest = hashlib.sha256(body).hexdigest()
    if stated and stated != digest:
        raise Refused("The body is not the one that was signed.")
    return digest
