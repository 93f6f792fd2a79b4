"""A browser in front of the landing page, and the table behind it."""

import json
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from chalice.app import Chalice

from chalicelib.model import (
    Session,
    Tenant,
    TenantState,
)
from chalicelib.rendering.qr import qr_svg
from chalicelib.store.table import Update
from chalicelib.wiring import Services
from tests.unit.conftest import Clock

BASE_URL = "https://lines.agency.example/api"
TOKEN = "Zk3_-9aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789-"
OTHER_TOKEN = "x" + TOKEN[1:]
REVOKED_TOKEN = "r" + TOKEN[1:]
EXPIRED_TOKEN = "e" + TOKEN[1:]
QR = "2@" + "Ab3dEf9/" * 24
BAKERY, FLORIST = "bakery0001", "florist0001"


def tenant(id: str, **changes: Any) -> Tenant:
    made = {"name": "Corner <b>Bakery</b>", "language": "en", "state": TenantState.ACTIVE, **changes}
    return Tenant(
        id=id,
        owner_email="inge@bakery.example",
        revision=1,
        created_at=0,
        assistant_version=1,
        key_ciphertext="",
        key_last4="abcd",
        **made,
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: str

    @property
    def shown(self) -> str:
        found = re.search(r'data-shown="(\w+)"', self.body)
        return found[1] if found else ""

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    def goes_to(self, path: str) -> bool:
        return (self.status, self.headers.get("Location")) == (303, f"/api/join/{TOKEN}{path}")


@dataclass
class Browser:
    """A browser that keeps cookies and sends what browsers send, through the gateway's own event."""

    app: Chalice
    language: str = "en"
    address: str = "203.0.113.9"
    site: str | None = "same-origin"
    #: what a browser that names no site sends with a form
    origin: str | None = "https://lines.agency.example"
    jar: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, token: str = TOKEN, **query: str) -> Answer:
        return self._send("GET", path, token, "", query)

    def head(self, path: str, token: str = TOKEN) -> Answer:
        return self._send("HEAD", path, token, "", {})

    def post(self, path: str, token: str = TOKEN, **form: str) -> Answer:
        return self._send("POST", path, token, urlencode(form), {})

    def opened(self) -> "Browser":
        assert self.post("/open").goes_to("/status")
        return self

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', self.get("/code").body)
        assert found
        return found[1]

    def _send(self, method: str, path: str, token: str, body: str, query: dict[str, str]) -> Answer:
        headers = {"accept-language": self.language}
        if method == "POST":
            headers["content-type"] = "application/x-www-form-urlencoded"
        if self.site is not None:
            headers["sec-fetch-site"] = self.site
        if self.origin is not None and method == "POST":
            headers["origin"] = self.origin
        if self.jar:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        resource = "/join/{token}" + path
        event = {
            "resource": resource,
            "path": f"/join/{token}{path}",
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": query or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
            "pathParameters": {"token": token},
            "stageVariables": None,
            "requestContext": {
                "httpMethod": method,
                "resourcePath": resource,
                "identity": {"sourceIp": self.address},
                "requestId": "request-1",
            },
            "body": body or None,
            "isBase64Encoded": False,
        }
        answer = self.app(event, None)
        set_cookies = answer.get("multiValueHeaders", {}).get("Set-Cookie", [])
        for line in set_cookies:
            for name, morsel in SimpleCookie(line).items():
                self.jar[name] = morsel.value
        return Answer(answer["statusCode"], answer["headers"], set_cookies, answer["body"])


@dataclass
class Lines:
    """Two tenants with living links, a revoked and an expired one, and what the table was asked."""

    services: Services
    app: Chalice
    clock: Clock
    operations: list[str]

    def browser(self, **settings: Any) -> Browser:
        return Browser(self.app, **settings)

    def session(self, **changes: Any) -> None:
        """Changes the session as a runner's report would."""
        for name in ("qr", "pairing"):
            if changes.get(name) is not None:
                code, seconds = changes[name]
                changes[name] = {"code": code, "expires_at": self.clock.now + seconds * 1000}
        self.services.table.update(Update(f"TENANT#{BAKERY}", "SESSION", set=changes))

    def tenant(self, **changes: Any) -> None:
        self.services.table.update(Update(f"TENANT#{BAKERY}", "TENANT", set=changes))

    @property
    def seen(self) -> Session:
        return self.services.sessions.get(BAKERY)

    @property
    def writes(self) -> list[str]:
        return [operation for operation in self.operations if operation not in ("GetItem", "Query")]

    def awake(self) -> bool:
        return self.seen.is_awake(self.clock.now)


def shows_qr(answer: Answer, code: str = QR) -> bool:
    """Its drawing, wherever it stands."""
    drawing = re.search(r'd="(M[^"]+)"', str(qr_svg(code, "")))
    assert drawing
    return drawing[1] in answer.body or json.dumps(drawing[1])[1:-1] in answer.body
