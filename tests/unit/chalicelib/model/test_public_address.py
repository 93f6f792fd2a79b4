"""A deployed stage without a usable public address reports it, and writes no link."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app import create_app
from chalicelib.aws.ses import Mailer
from chalicelib.aws.sqs import NoticeJob
from chalicelib.errors import NotDeployed, PermanentError, TransientError
from chalicelib.model import Assistant, Problem
from chalicelib.notifications import notices
from chalicelib.notifications.invites import renew_invite
from chalicelib.store.table import Table
from chalicelib.tokens import sha256
from chalicelib.wiring import Services
from infrastructure.local.lambda_runtime.gateway import Gateway
from tests.simulation.memory_table import MemoryTable
from tests.unit.conftest import SESSION, Clock, FakeNoticeJobs, a_tenant
from tests.unit.support.headless_browser import Browser, Page
from wire import ProblemCode

PARAMETER = "/answerline-unit/public-base-url"
UNFIT = pytest.mark.parametrize(
    ("address", "reason"),
    [
        (None, "is missing"),
        (" ", "it is not an address"),
        ("http://line.example.com/api", "https://"),
        ("https://localhost:4700/api", "loopback or private"),
        ("https://127.0.0.1/api", "loopback or private"),
        ("https://10.0.0.7", "loopback or private"),
        ("https://[::1]/api", "loopback or private"),
        ("https://line.internal/api", "loopback or private"),
    ],
)
BAKERY = a_tenant("bakery0001", owner_email="inge@bakery.example")


class Post:
    """A fake of SES that keeps the mails."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send_email(self, **request: Any) -> dict[str, str]:
        self.sent.append(request)
        return {"MessageId": "message"}


def deployed(table: Table, clock: Clock, address: str | None, **environment: str) -> tuple[Services, Post]:
    """Returns services as a deployment makes them, and their mails."""
    if address is not None:
        SESSION.client("ssm").put_parameter(Name=PARAMETER, Value=address, Type="String")
    settings = {
        "STAGE": "unit",
        "COMMIT": "abc1234",
        "BASE_URL_PARAMETER": PARAMETER,
        "OPERATORS_EMAIL": "us@agency.example",
    }
    services, post = Services({**settings, **environment}, clock=clock), Post()
    mailer = Mailer(post, "mail@agency.example", allow_local_links="ALLOW_LOCAL_LINKS" in environment)  # type: ignore[arg-type]
    services.__dict__.update(_session=SESSION, table=table, mailer=mailer, notice_jobs=FakeNoticeJobs())
    services.tenants.create(BAKERY, Assistant(version=1, model="m", instructions=""), by="us")
    return services, post


def asked(services: Services, path: str = "/health") -> Page:
    return Browser(Gateway(create_app(services))).get(path)


@UNFIT
def test_health_says_why_links_cannot_be_written(
    aws: None, memory_table: Table, clock: Clock, address: str | None, reason: str
) -> None:
    page = asked(deployed(memory_table, clock, address)[0])
    health = json.loads(page.html)
    assert page.status == 503
    assert reason in health["problem"]
    assert PARAMETER in health["problem"]
    assert (health["stage"], health["commit"]) == ("unit", "abc1234")


@UNFIT
@pytest.mark.parametrize("path", ["/admin", "/admin/sign-in", "/join/token", "/static/answerline.css", "/static/none"])
def test_no_page_is_shown_under_an_address_that_readers_cannot_open(
    aws: None, memory_table: Table, clock: Clock, address: str | None, reason: str, path: str
) -> None:
    page = asked(deployed(memory_table, clock, address)[0], path)
    if path == "/static/answerline.css":  # holds no link
        assert page.status == 200
        return
    assert (page.status, reason in page.html) == (503, True)
    assert "http" not in page.headers.get("location", "")


@UNFIT
@pytest.mark.parametrize("writer", ["invite", "owner", "operators"])
def test_every_writer_of_links_refuses_and_the_timeline_and_the_log_say_why(
    aws: None,
    memory_table: Table,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    address: str | None,
    reason: str,
    writer: str,
) -> None:
    services, post = deployed(memory_table, clock, address)
    assert services.tenants.set_assistant_problem(BAKERY.id, Problem(ProblemCode.KEY_REVOKED, clock(), ""))
    write: dict[str, Callable[[], object]] = {
        "invite": lambda: renew_invite(services, BAKERY, by="us"),
        "owner": lambda: notices.handle(services, NoticeJob(owners=(BAKERY.id,))),
        "operators": lambda: notices.handle(services, NoticeJob(operators=True)),
    }
    write[writer]()
    assert post.sent == []
    failed = [event for event in services.timeline.latest(BAKERY.id) if event.kind == "mail_failed"]
    assert failed or writer == "operators"
    assert all(reason in event.detail for event in failed)
    logged = [record for record in caplog.records if record.getMessage() == "mail_not_sent"]
    assert all(reason in record.__dict__["error_message"] for record in logged)
    assert len(logged) == 1


def test_a_failed_invite_shows_its_error_on_the_tenants_page(aws: None, memory_table: Table, clock: Clock) -> None:
    services, _ = deployed(memory_table, clock, "https://localhost/api")
    assert renew_invite(services, BAKERY, by="us") is False
    problem = services.tenants.get(BAKERY.id).mail_problem
    assert problem is not None
    assert "loopback or private" in problem.detail


def test_the_mailer_refuses_on_its_own_whatever_it_is_given() -> None:
    post = Post()
    with pytest.raises(PermanentError):
        Mailer(post, "mail@agency.example").invite(BAKERY, "https://127.1/api/join/token")  # type: ignore[arg-type]
    assert post.sent == []


def test_the_health_endpoint_tells_strangers_nothing_of_the_runners_and_reads_one_item(aws: None, clock: Clock) -> None:
    asked_of_the_table: list[str] = []
    services, post = deployed(MemoryTable(asked_of_the_table.append), clock, "https://line.agency.example/api/")
    for runner in ("a", "b", "c"):
        services.runners.register(runner, sha256(runner), 5, clock(), commit="0ld")
    asked_of_the_table.clear()
    assert json.loads(asked(services).html) == {
        "stage": "unit",
        "commit": "abc1234",
        "base_url": "https://line.agency.example/api",
    }
    assert asked_of_the_table == ["get"]
    assert renew_invite(services, BAKERY, by="us")
    assert len(post.sent) == 1


def test_the_health_endpoint_proves_that_the_table_answers(aws: None, memory_table: Table, clock: Clock) -> None:
    services, _ = deployed(memory_table, clock, "https://line.agency.example/api")

    def fail() -> None:
        raise TransientError

    services.setup.get = fail  # type: ignore[method-assign,assignment]
    assert asked(services).status == 503


def test_one_machine_may_use_its_own_address(aws: None, memory_table: Table, clock: Clock) -> None:
    services, _ = deployed(memory_table, clock, "http://localhost:4700/api", ALLOW_LOCAL_LINKS="true")
    assert services.base_url() == "http://localhost:4700/api"


def test_only_a_missing_parameter_is_taken_for_a_missing_deployment(
    aws: None, memory_table: Table, clock: Clock
) -> None:
    services, _ = deployed(memory_table, clock, None)
    with pytest.raises(NotDeployed, match=PARAMETER):
        services.base_url()
    services.parameters._client = SimpleNamespace(get_parameter=_denied)  # type: ignore[assignment]
    with pytest.raises(PermissionError):
        services.base_url()


def _denied(**_: Any) -> None:
    raise PermissionError
