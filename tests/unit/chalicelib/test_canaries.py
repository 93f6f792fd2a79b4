"""What policy leaves unanswered is kept nowhere: canaries in every text of such messages are looked for everywhere."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

import app
from chalicelib.aws.sqs import Jobs
from chalicelib.llm.client import LlmClient
from chalicelib.model import Audience, GroupAnswers, Policies, TenantState
from chalicelib.notifications.invites import renew_invite
from infrastructure.local.lambda_runtime.events import LambdaContext
from tests.simulation.memory_table import MemoryTable
from tests.unit.conftest import SESSION
from tests.unit.support.admin_browser import OLGA, FakeIdentity, FakeMailer
from tests.unit.support.headless_browser import Browser
from tests.unit.support.lambda_stage import CHAT, Stage, T
from tests.unit.support.online_line import UNCAPPED
from tests.unit.support.openai_calls import response_body

pytestmark = pytest.mark.thorough

CANARY = "canary"
GROUP = "4917-1234@g.us"

#: By reason: the policies, and what is particular about the message.
UNANSWERED: dict[str, tuple[Policies, dict[str, Any]]] = {
    "ignored contact": (replace(UNCAPPED, ignored_phones=("491700000001",)), {}),
    "not an allowed contact": (replace(UNCAPPED, allowed_phones=("491700000002",)), {}),
    "group": (UNCAPPED, {"chat": GROUP, "sender": "canarysender@lid"}),
    "not mentioned": (
        replace(UNCAPPED, groups=GroupAnswers.MENTIONED),
        {"chat": GROUP, "sender": "canarysender@lid"},
    ),
    "saved contact": (replace(UNCAPPED, audience=Audience.UNSAVED), {"saved_contact": True}),
    "chat from before the linking": (replace(UNCAPPED, audience=Audience.NEW_CHATS), {"chat_since_ms": 1}),
    "paused": (UNCAPPED, {}),
    "not a person": (UNCAPPED, {"chat": "13135550002@c.us"}),
    "broadcast": (UNCAPPED, {"chat": "status@broadcast"}),
    "history": (UNCAPPED, {"sent_at_ms": 1_600_000_000_000}),
}
#: Every field that holds somebody's words, in messages of different kinds.
SHAPES: tuple[dict[str, Any], ...] = (
    {"kind": "text", "text": "canary of a text"},
    {"kind": "image", "caption": "canary of a caption", "media": {"mime": "image/canary", "size_bytes": 9}},
    {"kind": "document", "media": {"mime": "application/pdf", "file_name": "canary of a file.pdf"}},
    {"kind": "other", "variant": "poll", "summary": "canary of a poll"},
    {"kind": "contact_card", "summary": "canary of a card"},
    {"kind": "voice", "media": {"mime": "audio/canary", "seconds": 7}},
    {"kind": "text", "text": "canary of an edit", "edited_at_ms": 1_790_000_000_000},
)
QUOTE = {"id": "Q1", "from_me": False, "sender": "canaryquoted@lid", "text": "canary of a quote"}


class OpenAI:
    """The requests that were sent, as they left."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.content.decode())
        return httpx2.Response(200, json=response_body())


@pytest.fixture
def openai(stage: Stage) -> OpenAI:
    """The client of OpenAI with a transport that keeps what it sends, and a real queue."""
    openai = OpenAI()
    SESSION.client("sqs").create_queue(QueueName="jobs")
    stage.services.__dict__.update(
        llm=LlmClient("https://api.openai.com/v1", transport=httpx2.MockTransport(openai)),
        jobs=Jobs(SESSION.client("sqs"), "jobs"),
        identity=FakeIdentity(),
    )
    stage.come_online()
    return openai


@pytest.mark.parametrize("reason", UNANSWERED)
def test_a_message_that_policy_leaves_unanswered_is_kept_nowhere(stage: Stage, openai: OpenAI, reason: str) -> None:
    policies, particular = UNANSWERED[reason]
    _edit(stage, policies, paused=reason == "paused")
    chat = particular.get("chat", CHAT)
    contacts = [{"id": f"C{number}", "author": "canary of a name", **shape} for number, shape in enumerate(SHAPES)]
    owners = [{"id": f"O{number}", "from_me": True, **shape} for number, shape in enumerate(SHAPES)]
    outcomes = _hand_in(stage, *({"quote": QUOTE, **each, **particular} for each in contacts))
    assert outcomes == [f"skipped: {reason}"] * len(SHAPES)
    own = _hand_in(stage, *({**particular, **each, "sender": None} for each in owners))
    in_group = reason == "not mentioned"  # the owner takes the group over, but writes for its people
    assert own == [f"takeover: {reason}" if in_group else f"skipped: {reason}"] * len(SHAPES)
    _hand_in(stage, *({"quote": QUOTE, **each, **particular} for each in contacts))
    stage.think(chat)
    _answer_everybody(stage)
    found = {place: text for place, text in _everything(stage, openai) if CANARY in text}
    assert not found
    assert len(openai.bodies) == 2, "only what came afterwards was answered"


def test_the_places_that_are_looked_at_hold_what_is_answered(stage: Stage, openai: OpenAI) -> None:
    _edit(stage, replace(UNCAPPED, groups=GroupAnswers.ALWAYS))
    shapes = ({"id": f"C{number}", "author": "canary name", "quote": QUOTE, **s} for number, s in enumerate(SHAPES))
    _hand_in(stage, *({"chat": GROUP, "sender": "canarysender@lid", **shape} for shape in shapes))
    stage.clock.pass_seconds(3)
    stage.think(GROUP)
    found = {place for place, text in _everything(stage, openai) if CANARY in text}
    assert found == {"table", "requests"}, "and neither log, page nor queue"
    for words in ("text", "caption", "file", "poll", "quote"):
        assert any(f"canary of a {words}" in body for body in openai.bodies), words


def _edit(stage: Stage, policies: Policies, *, paused: bool = False) -> None:
    tenants, now = stage.services.tenants, stage.clock()
    revision = tenants.get(T).revision
    tenants.edit(T, {"policies": policies}, expected_revision=revision, now=now, by=OLGA)
    tenants.set_state(T, TenantState.PAUSED if paused else TenantState.ACTIVE, now=now, by=OLGA)


def _hand_in(stage: Stage, *messages: dict[str, Any]) -> list[str]:
    sent_at = stage.clock() // 1000 * 1000
    whole = [{"chat": CHAT, "from_me": False, "sent_at_ms": sent_at, **each} for each in messages]
    epoch = stage.services.sessions.get(T).epoch
    answer = stage.post("/runner/messages", tenant=T, epoch=epoch, messages=whole)
    return [f"{each['outcome']}: {each['reason']}" for each in answer["acknowledged"]]


def _answer_everybody(stage: Stage) -> None:
    """Lets the line answer in the same chats later, so that it reads their history."""
    _edit(stage, replace(UNCAPPED, groups=GroupAnswers.ALWAYS, takeover_minutes=0))
    stage.clock.pass_seconds(2 * 3600)
    assert _hand_in(stage, {"id": "A1", "kind": "text", "text": "Are you open?"}) == ["queued: "]
    group = {"id": "A2", "chat": GROUP, "sender": "4713@lid", "kind": "text", "text": "Are you open?"}
    assert _hand_in(stage, group) == ["queued: "]
    stage.clock.pass_seconds(3)
    stage.think(CHAT)
    stage.think(GROUP)
    stage.reconcile()


def _everything(stage: Stage, openai: OpenAI) -> Iterator[tuple[str, str]]:
    """Yields all that is stored, enqueued, requested, printed and shown."""
    table = stage.services.table
    assert isinstance(table, MemoryTable)
    yield "table", json.dumps(table.partitions, default=str, ensure_ascii=False)
    s3 = SESSION.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        for item in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ()):
            yield "objects", s3.get_object(Bucket=bucket["Name"], Key=item["Key"])["Body"].read().decode()
    sqs = SESSION.client("sqs")
    url = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
    yield "queue", json.dumps(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []))
    yield "requests", "".join(openai.bodies)
    yield "log", json.dumps((stage.lines(), stage.told), ensure_ascii=False)
    yield from _pages(stage)


def _pages(stage: Stage) -> Iterator[tuple[str, str]]:
    browser = Browser(stage.gateway)
    form = browser.get("/admin/sign-in")
    fields = {"csrf": form.hidden("csrf"), "email": OLGA, "password": "right"}
    assert browser.post("/admin/sign-in", fields).status == 303
    for path in (
        "/admin",
        "/admin/live",
        f"/admin/tenants/{T}",
        f"/admin/tenants/{T}/live",
        f"/admin/tenants/{T}/edit",
    ):
        page = browser.get(path)
        assert page.status == 200, path
        yield path, page.html
    mailer = FakeMailer()
    stage.services.__dict__["mailer"] = mailer
    assert renew_invite(stage.services, stage.services.tenants.get(T), by=OLGA)
    owner, path = Browser(stage.gateway), mailer.sent[0][1].partition("/api")[2]
    assert owner.post(f"{path}/open", {}).status == 303
    shown = owner.get(f"{path}/status")
    assert shown.status == 200
    yield "the owner's page", shown.html
    yield "dashboard", app.overview_widget({}, LambdaContext("overview", 60))
