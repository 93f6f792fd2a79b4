"""Fixtures of the control plane's unit tests: a clock, a table as the template declares it, services on moto."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.session
import moto.kms.models
import moto.kms.utils
import pytest
from moto import mock_aws
from moto.core.model_instances import reset_model_data

from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import TransientError
from chalicelib.model import Assistant, ChatLine, Tenant, TenantState
from chalicelib.model.notices.digest import DigestLine
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import NoticeLine, Subject
from chalicelib.model.scaling import Service
from chalicelib.store.table import Table
from chalicelib.wiring import Services
from tests.engines.dynoxide import Dynoxide, new_table
from tests.simulation.memory_table import MemoryTable

REGION = "eu-west-1"
STACK = "answerline-unit"
# What costs most is made once, or not at all: the service descriptions that every session of boto3 reads; the RSA key
# that moto makes for every key of KMS; and the machine images that moto lists in each EC2.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
botocore.session.create_loader = cache(botocore.session.create_loader)
moto.kms.models.generate_private_key = cache(moto.kms.utils.generate_private_key)  # type: ignore[attr-defined]
#: Shared by all tests; moto empties itself for each of them.
SESSION = boto3.Session(region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")


class Clock:
    """Epoch milliseconds that pass only when a test says so."""

    def __init__(self, now: int = 1_790_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Passes the time of a pause at once."""
        self.pass_seconds(seconds)

    def pass_seconds(self, seconds: float) -> int:
        self.now += round(seconds * 1000)
        return self.now


@pytest.fixture(autouse=True)
def logs_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends our lines to pytest; `import app` has sent them to Lambda's log."""
    ours = logging.getLogger("chalicelib")
    monkeypatch.setattr(ours, "propagate", True)
    monkeypatch.setattr(ours, "handlers", [])


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_tenant(id: str, **changes: Any) -> Tenant:
    """Returns an ordinary tenant with the changes of the test."""
    tenant = Tenant(
        id=id,
        name="Bakery",
        owner_email="owner@example.com",
        language="en",
        state=TenantState.ACTIVE,
        revision=1,
        created_at=Clock().now,
        assistant_version=1,
        key_ciphertext="sealed",
        key_last4="abcd",
    )
    return replace(tenant, **changes)


#: The first version of an assistant.
ASSISTANT = Assistant(1, "gpt-6-luna", "Be kind.")


@pytest.fixture(scope="session")
def moto_in_this_process() -> Iterator[Callable[[], None]]:
    """Simulates AWS until the last test; the value is a function that empties it, which is cheaper than a new start."""
    with mock_aws() as started:

        def empty() -> None:
            started.reset()
            reset_model_data()

        yield empty


@pytest.fixture
def aws(moto_in_this_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS as moto simulates it in this process, without the developer's own AWS account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    yield
    moto_in_this_process()


@pytest.fixture
def memory_table() -> Table:
    """A table in memory for tests above it: it passes the table's own tests, in a hundredth of the time."""
    return MemoryTable()


@pytest.fixture
def moto_table(aws: None) -> Table:
    """The table that `infrastructure/cloudformation/resources.yaml` declares, empty, on moto."""
    return new_table(SESSION.client("dynamodb"), STACK)


@pytest.fixture
def dynoxide_table(dynoxide: Dynoxide) -> Table:
    """The same table on the engine of one machine."""
    return new_table(dynoxide.client(), STACK)


@pytest.fixture
def table(moto_table: Table) -> Table:
    """The table of a test that asks for no certain engine."""
    return moto_table


#: The engines on which the tests of the table and of its stores run, one after another.
ENGINES = (
    "moto",
    pytest.param("dynoxide", marks=[pytest.mark.dynoxide, pytest.mark.thorough]),
    pytest.param("memory", marks=pytest.mark.thorough),
)


class FakeJobs:
    """Checks that were enqueued; a test performs them itself."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, float]] = []
        #: the names of their requests, in the same order
        self.requests: list[str] = []

    def enqueue_check(
        self, tenant: str, chat: str, *, delay_seconds: float, attempt: int = 0, request: str = ""
    ) -> None:
        self.sent.append((tenant, chat, delay_seconds))
        self.requests.append(request)


class FakeNoticeJobs:
    """Jobs that were enqueued, with their delay; a test performs them itself."""

    def __init__(self) -> None:
        self.sent: list[tuple[NoticeJob, int]] = []
        self.trouble: Exception | None = None

    def enqueue(self, job: NoticeJob, *, delay_seconds: int) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.sent.append((job, delay_seconds))


class FakeMailer:
    """Collects the mails that would be sent: (kind, recipient, link), and what each of them says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        #: (recipient, client, kind, subject)
        self.told: list[tuple[str, str, str, str]] = []
        self.trouble: Exception | None = None
        #: refuses only these recipients
        self.refused: frozenset[str] = frozenset()
        #: the numbers of which owners were told
        self.linked: list[str] = []

    def notify_owner(self, tenant: Tenant, kind: NoticeKind, subject: Subject, since: int, link: str) -> str:
        name = kind if kind is NoticeKind.DISCONNECTED else "problem"
        sent = self._send(subject if subject is Subject.ALL_CLEAR else name, tenant.owner_email, link)
        self.told.append((tenant.owner_email, tenant.name, kind, subject))
        return sent

    def number_linked(self, tenant: Tenant, number: str, link: str) -> str:
        self.linked.append(number)  # each line of a test was linked once: that mail is no news to it
        return "mail-id"

    def notify_operators(self, operator: str, lines: Sequence[NoticeLine], overview: str) -> str:
        sent = self._send("attention", operator, lines[0].link if len(lines) == 1 else overview)
        self.told += [(operator, line.name, line.kind, line.subject) for line in lines]
        return sent

    def send_digest(self, operator: str, lines: Sequence[DigestLine], overview: str) -> str:
        sent = self._send("digest", operator, overview)
        self.told += [(operator, line.name, line.matter, "digest") for line in lines]
        return sent

    def _send(self, kind: str, to: str, link: str) -> str:
        if self.trouble is not None and (not self.refused or to in self.refused):
            raise self.trouble
        self.sent.append((kind, to, link))
        return "mail-id"


class FakeFleet:
    """An ECS service with a desired count of runners and protected tasks."""

    def __init__(self) -> None:
        self.count = 1
        self.rollout_failed = False
        self.protected: set[str] = set()
        #: False: it refuses to protect tasks
        self.protects = True
        #: tasks that ended; False: it does not answer for any task
        self.ended: set[str] = set()
        self.tells = True

    def desired(self) -> int:
        return self.count

    def service(self) -> Service:
        return Service(self.count, self.rollout_failed)

    def set_desired(self, count: int) -> None:
        self.count = count

    def scale_out(self, needed: Callable[[], int]) -> None:
        self.count = max(self.count, needed())

    def runs(self, task: str) -> bool:
        if not self.tells:
            raise TransientError("ECS does not tell.")
        return task != "" and task not in self.ended

    def renew(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        return self.protect(tasks, minutes=minutes)

    def protect(self, tasks: Sequence[str], *, minutes: int) -> set[str]:
        self.protected |= set(tasks) if self.protects else set()
        return set(tasks) if self.protects else set()

    def unprotect(self, task: str) -> bool:
        self.protected -= {task} if self.protects else set()
        return self.protects


class FakeLlmClient:
    """Answers with the texts or errors of the test; collects the questions."""

    def __init__(self) -> None:
        #: by call, the lines of the chat, and the facts that the model was told beside them
        self.asked: list[tuple[ChatLine, ...]] = []
        self.told: list[str] = []
        self.keys: list[str] = []
        self.assistants: list[Assistant] = []
        self.next: list[str | Exception] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def reply(
        self, api_key: str, assistant: Assistant, history: Sequence[ChatLine], *, tenant: str, chat: str, turn: str
    ) -> SimpleNamespace:
        self.keys.append(api_key)
        self.assistants.append(assistant)
        *chat_lines, facts = history
        self.asked.append(tuple(chat_lines))
        self.told.append(facts.text)
        self.meanwhile()
        answer = self.next.pop(0) if self.next else f"You said: {chat_lines[-1].text}"
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(text=answer, input_tokens=10, output_tokens=5, web_searches=0)


@pytest.fixture
def services(aws: None, memory_table: Table, clock: Clock) -> Services:
    """Services with moto's KMS on a table in memory; queue, fleet and model are fakes that a test can inspect."""
    kms = SESSION.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    environment = {"STAGE": "unit", "COMMIT": "abc1234", "KMS_KEY_ID": key, "RUNNER_CAPACITY": "2"}
    environment["OPERATORS_EMAIL"] = "operators@example.com"
    services = Services(environment, clock=clock, pause=clock.sleep)
    services.__dict__.update(
        _session=SESSION,
        table=memory_table,
        jobs=FakeJobs(),
        notice_jobs=FakeNoticeJobs(),
        fleet=FakeFleet(),
        llm=FakeLlmClient(),
        mailer=FakeMailer(),
    )
    services.base_url = lambda: "https://line.example.com/api"  # type: ignore[method-assign]
    services.runner_token = lambda **_: "bootstrap-token"  # type: ignore[method-assign]
    return services
