"""Records a client's month: what people write goes through the control plane's own code, on a table in memory.

The wire's endpoints are called as a runner calls them, the queue's checks are made when they are due, and the model's
answers are made up. So the items are those of the product, each with its expiry; only the clock is driven.
"""

import hashlib
import heapq
import itertools
import json
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from chalicelib.aws.ses import Mailer
from chalicelib.aws.sqs import TurnCheck
from chalicelib.model import Assistant, Audience, Policies, SnapshotVersion, Tenant, TenantState, snapshot_key
from chalicelib.notifications import notices
from chalicelib.replies import turn_taking
from chalicelib.store.table import Item
from chalicelib.web import runner_api
from chalicelib.wiring import Services
from tests.simulation.memory_table import MemoryTable
from tests.soak.plan import (
    CHROMIUM,
    DAY_MS,
    NIGHT,
    WA_JS,
    Size,
    Written,
    client_id,
    contact_number,
    phone_number,
    write_month,
    write_text,
)
from wire import (
    Message,
    MessagesRequest,
    Phase,
    ReleaseRequest,
    SentRequest,
    SessionReport,
    SyncRequest,
    TakeRequest,
)

BOOTSTRAP_TOKEN = "bootstrap-token"
#: How long the model and the runner take.
MODEL_MS, TAKE_MS, SEND_MS = 3_500, 300, 1_200
#: A reply is longer than a question.
MEDIAN_REPLY_CHARACTERS = 220
SNAPSHOTS_PER_NIGHT = 2
#: Stand for what the seeding puts in their place, of the client that gets the copy.
SEALED_KEY, NAME = "sealed-key-of-the-soak", "name-of-the-soak"
#: Runners, their tasks and the fleet are not the client's.
_NOT_A_CLIENTS = ("RUNNER#", "TASK#", "FLEET", "INVITE#")


class Clock:
    """Epoch milliseconds, driven by the recording."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def reach(self, at: int) -> None:
        """Passes the time until then, unless it is later already."""
        self.now = max(self.now, at)


class Month:
    """The recording of one client's month.

    Args:
        client: its number.
        size: the days, and the messages of each.
        end: epoch milliseconds; the month is over then.
        seed: draws what is written.
    """

    def __init__(self, client: int, size: Size, end: int, seed: int) -> None:
        self._client = client
        self._tenant = client_id(client)
        self._size = size
        self._end = end
        self._rng = random.Random(seed)
        self.clock = Clock(end - size.days * DAY_MS)
        self.table = MemoryTable()
        #: what is due: (when, a number that keeps the order, what)
        self._due: list[tuple[int, int, Written | TurnCheck | int]] = []
        self._numbers = itertools.count()
        self._first_seen: dict[int, int] = {}
        self._token = ""
        self._epoch = 0
        self._sequence = 0
        self.services = Services({"STAGE": "soak"}, clock=self.clock, pause=lambda seconds: None)
        self.services.__dict__.update(
            table=self.table,
            jobs=SimpleNamespace(enqueue_check=self._enqueue),
            notice_jobs=SimpleNamespace(enqueue=lambda job, delay_seconds: notices.handle(self.services, job)),
            mailer=Mock(spec=Mailer),
            fleet=SimpleNamespace(runs=lambda task: True, scale_out=lambda needed: None),
            llm=SimpleNamespace(reply=self._reply),
            key_encryption=SimpleNamespace(decrypt=lambda tenant, sealed: "sk-soak"),
        )
        self.services.base_url = lambda: "https://soak.example"  # type: ignore[method-assign]
        self.services.runner_token = lambda **_: BOOTSTRAP_TOKEN  # type: ignore[method-assign]

    def record(self) -> Iterator[Item]:
        """Plays the month, and yields the client's items that have not expired at its end."""
        self._begin()
        for written in write_month(self._rng, self._size, self._end):
            self._first_seen.setdefault(written.contact, written.at)
            self._schedule(written.at, written)
        for day in range(self._size.days):
            self._schedule(self.clock.now + day * DAY_MS + int(NIGHT.total_seconds() * 1000), day)
        while self._due:
            at, _, what = heapq.heappop(self._due)
            self.clock.reach(at)
            match what:
                case Written():
                    self._hand_in(what)
                case TurnCheck():
                    turn_taking.take_turn(self.services, what)
                    self._deliver()
                case int():
                    self._pass_night(what)
        self._leave()
        for item in self.table.items():
            expired = "expires_at" in item and item["expires_at"] * 1000 < self._end
            if not expired and not item["pk"].startswith(_NOT_A_CLIENTS):
                yield item

    # -- people -----------------------------------------------------------------------------------------------

    def _hand_in(self, written: Written) -> None:
        number = contact_number(self._client, written.contact)
        message = Message(
            id=f"3EB0{self._rng.getrandbits(72):018X}",
            chat=f"{number}@c.us",
            phone=number,
            from_me=written.from_me,
            sent_at_ms=written.at - 400,
            kind=written.kind,
            text=written.text,
            author="" if written.from_me else f"Contact {written.contact}",
            chat_since_ms=self._first_seen[written.contact],
        )
        request = MessagesRequest(tenant=self._tenant, epoch=self._epoch, messages=(message,))
        runner_api.messages(self.services, self._token, request)

    def _reply(self, *_arguments: Any, **_names: Any) -> SimpleNamespace:
        self.clock.now += MODEL_MS
        text = write_text(self._rng, MEDIAN_REPLY_CHARACTERS)
        return SimpleNamespace(
            text=f"**Hello!** {text}", input_tokens=900, output_tokens=len(text) // 4, web_searches=0
        )

    # -- the runner -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Creates the tenant, registers a runner, and links the line, an hour before the first message."""
        now = self.clock.now
        policies = Policies(audience=Audience.NEW_CHATS)
        tenant = Tenant(
            id=self._tenant,
            name=NAME,
            owner_email=f"owner@{self._tenant}.example.com",
            language="en",
            state=TenantState.ACTIVE,
            revision=1,
            created_at=now,
            assistant_version=1,
            key_ciphertext=SEALED_KEY,
            key_last4="soak",
            policies=policies,
        )
        assistant = Assistant(1, "gpt-6-luna", write_text(self._rng, 900))
        self.services.tenants.create(tenant, assistant, by="operator@answerline.test")
        answer = runner_api.sync(self.services, BOOTSTRAP_TOKEN, SyncRequest(capacity=1, task="task/soak"))
        assert answer.identity is not None
        self._token = answer.identity.token
        self._sync()
        self.services.placement.keep_awake(self._tenant, now)
        self._epoch = self.services.sessions.get(self._tenant).epoch
        self._report(Phase.SYNCING)
        self._report(Phase.ONLINE)

    def _sync(self, *sessions: SessionReport, draining: bool = False) -> None:
        versions = {"chromium": CHROMIUM, "wa_js": WA_JS, "task": "task/soak"}
        request = SyncRequest(capacity=1, draining=draining, sessions=sessions, **versions)
        runner_api.sync(self.services, self._token, request)

    def _report(self, phase: Phase) -> None:
        self._sequence += 1
        self.clock.now += 1_000
        self._sync(
            SessionReport(
                tenant=self._tenant,
                epoch=self._epoch,
                sequence=self._sequence,
                phase=phase,
                number=phone_number(self._client),
                caught_up_to_ms=self.clock.now - 1_000,
                probed_ms_ago=0,
                saved_ms_ago=0,
            )
        )

    def _deliver(self) -> None:
        """Takes and sends every reply that the bell names."""
        runner = self._token.partition(".")[0]
        for ring in self.services.runners.bell(runner).turns:
            self.clock.now += TAKE_MS
            names = {"tenant": self._tenant, "epoch": self._epoch, "chat": ring.chat, "turn": ring.turn}
            taken = runner_api.take(self.services, self._token, TakeRequest(**names))
            for number, part in enumerate(taken.parts):
                self.clock.now += SEND_MS
                sent = SentRequest(**names, part=number, message=part.id)
                runner_api.sent(self.services, self._token, sent)

    def _pass_night(self, day: int) -> None:
        """Renews the browser, as a runner does, and commits snapshots."""
        self._report(Phase.OFFLINE)
        self._report(Phase.ONLINE)
        runner = self._token.partition(".")[0]
        for number in range(SNAPSHOTS_PER_NIGHT):
            sequence = day * SNAPSHOTS_PER_NIGHT + number + 1
            body = snapshot_body(sequence)
            sha = hashlib.sha256(body).hexdigest()
            key = snapshot_key(self._tenant, self._epoch, sequence, sha)
            version = SnapshotVersion(key, self._epoch, sequence, sha, len(body), CHROMIUM, WA_JS, self.clock.now)
            assert self.services.snapshots.commit(self._tenant, runner, version, self.clock.now)

    def _leave(self) -> None:
        """Gives the session back, so that a runner of the seeded stack gets it."""
        self._sync(draining=True)
        release = ReleaseRequest(tenant=self._tenant, epoch=self._epoch, reason="drained")
        runner_api.release(self.services, self._token, release)

    # -- the queue --------------------------------------------------------------------------------------------

    def _enqueue(self, tenant: str, chat: str, *, delay_seconds: float, attempt: int = 0, request: str = "") -> None:
        check = TurnCheck(tenant=tenant, chat=chat, attempt=attempt, request=request)
        self._schedule(self.clock.now + round(delay_seconds * 1000), check)

    def _schedule(self, at: int, what: Written | TurnCheck | int) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), what))


def snapshot_body(sequence: int) -> bytes:
    """Returns what stands for an archived profile; a typical one has 40 MB, which the soak does not write."""
    return f"soak {sequence:06d}\n".encode() * 400


def copy_for(items: str, recorded: int, client: int, *, sealed_key: str) -> list[Item]:
    """Returns the items of a recorded client as those of another one, of which nothing but the names differs. Pure.

    Args:
        items: JSON of the recorded client's items.
        recorded: the number of the recorded client.
        client: the number of the other one.
        sealed_key: its OpenAI key, encrypted.
    """
    renamed = (
        items.replace(client_id(recorded), client_id(client))
        .replace(phone_number(recorded), phone_number(client))
        .replace(contact_number(recorded, 0)[:-4], contact_number(client, 0)[:-4])
        .replace(SEALED_KEY, sealed_key)
        .replace(NAME, f"Client {client:03d}")
    )
    copied: list[Item] = json.loads(renamed)
    return copied
