"""The application behind its Lambda entries: what it answers, and what it prints."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import app
from chalicelib.aws.sqs import TurnCheck
from chalicelib.wiring import Services
from infrastructure.local.lambda_runtime.events import LambdaContext, Request, schedule_event, sqs_event
from infrastructure.local.lambda_runtime.gateway import Gateway
from tests.unit.conftest import Clock, FakeLlmClient

T = "tenantaaaa"
CHAT, PHONE, TEXT, KEY = "491700000001@c.us", "491700000001", "Where is my parcel 4711?", "sk-test-bakery"
QR, OWN_NUMBER = "2@qr-secret-of-the-session", "491709999999"
SECRETS = (PHONE, "parcel", KEY, QR, OWN_NUMBER, "owner@example.com", "bootstrap-token", "You said")
#: The handlers that `import app` has set up; the fixture of all tests removes them.
HANDLERS = tuple(logging.getLogger("chalicelib").handlers)

Line = dict[str, Any]


class Stdout:
    """The standard output of a function, as pytest has replaced it by then."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@dataclass
class Stage:
    """The application behind its Lambda entries, with services of a test, and what it has printed."""

    services: Services
    clock: Clock
    read: Callable[[], str]
    token: str = "bootstrap-token"
    sequence: int = 0

    def __post_init__(self) -> None:
        self.gateway = Gateway(app.app)
        self.told: list[Line] = []

    @property
    def llm(self) -> FakeLlmClient:
        return cast(FakeLlmClient, self.services.llm)

    def lines(self) -> list[Line]:
        """Returns the lines since the last call; each line is JSON."""
        return [line for line in self._new() if "_aws" not in line]

    def metrics(self) -> list[Line]:
        return [line for line in self._new() if "_aws" in line]

    def _new(self) -> list[Line]:
        found = [json.loads(line) for line in self.read().splitlines()]
        self.told += found
        return found

    # -- as Lambda calls ----------------------------------------------------------------------------------------

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        headers = (("Content-Type", "application/json"), ("Authorization", f"Bearer {self.token}"), ("Host", "h"))
        answer = self.gateway.handle(
            Request("POST", f"/api{path}", "", headers, json.dumps(body).encode(), "203.0.113.7")
        )
        return {"status": answer.status, **json.loads(answer.body)}

    def sync(self, *sessions: Line) -> dict[str, Any]:
        self.sequence += 1
        answer = self.post("/runner/sync", sequence=self.sequence, capacity=3, task="t", sessions=sessions)
        if "identity" in answer:
            self.token = answer["identity"]["token"]
        return answer

    def think(self, chat: str = CHAT) -> None:
        job = TurnCheck(tenant=T, chat=chat).model_dump_json()
        message = {"MessageId": "1", "ReceiptHandle": "r", "Body": job}
        app.think(sqs_event(message, "jobs"), LambdaContext("think", 120))

    def reconcile(self) -> None:
        app.every_minute(schedule_event("reconcile", 0), LambdaContext("reconcile", 60))

    # -- steps -------------------------------------------------------------------------------------------------

    def come_online(self) -> None:
        self.sync()
        self.services.placement.keep_awake(T, self.clock())
        (hold,) = self.sync()["hold"]
        told = {"tenant": T, "epoch": hold["epoch"], "probed_ms_ago": 0}
        qr = {"code": QR, "expires_in_ms": 20_000}
        self.sync({**told, "sequence": 1, "phase": "qr", "qr": qr})
        self.sync({**told, "sequence": 2, "phase": "online", "number": OWN_NUMBER})
        self.clock.pass_seconds(30)

    def write(self, id: str) -> None:
        message = {"id": id, "chat": CHAT, "from_me": False, "sent_at_ms": self.clock() // 1000 * 1000}
        epoch = self.services.sessions.get(T).epoch
        answer = self.post(
            "/runner/messages", tenant=T, epoch=epoch, messages=[{**message, "kind": "text", "text": TEXT}]
        )
        assert answer["acknowledged"][0]["outcome"] == "queued", answer
        self.clock.pass_seconds(3)

    def deliver(self) -> None:
        (delivery,) = self.sync()["deliver"]
        delivery.pop("revision")
        taken = self.post("/runner/take", **delivery)
        self.clock.pass_seconds(1)
        part = {"part": 0, "message": taken["parts"][0]["id"]}
        for _ in range(2):  # a runner that got no answer reports again
            assert self.post("/runner/sent", **delivery, **part)["done"]
