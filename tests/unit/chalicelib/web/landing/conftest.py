"""Two tenants with living links, a revoked and an expired one."""

import pytest
from chalice.app import Chalice

from chalicelib.model import (
    INVITE_UNOPENED_FOR,
    Assistant,
    Invite,
    milliseconds,
)
from chalicelib.tokens import sha256
from chalicelib.web import landing, pages
from chalicelib.wiring import Services
from tests.simulation.memory_table import MemoryTable
from tests.unit.conftest import Clock, FakeFleet, FakeMailer, FakeNoticeJobs
from tests.unit.support.landing_browser import (
    BAKERY,
    BASE_URL,
    EXPIRED_TOKEN,
    FLORIST,
    OTHER_TOKEN,
    QR,
    REVOKED_TOKEN,
    TOKEN,
    Lines,
    tenant,
)
from wire import Phase

#: What DynamoDB calls an operation of the table.
OPERATIONS = {"get": "GetItem", "query": "Query", "put": "PutItem", "update": "UpdateItem"}
OPERATIONS |= {"delete": "DeleteItem", "get many": "BatchGetItem", "transact": "TransactWriteItems"}


@pytest.fixture
def operations() -> list[str]:
    """Every operation on the table, by DynamoDB's names."""
    return []


@pytest.fixture
def services(operations: list[str], clock: Clock) -> Services:
    """The services that the landing page uses."""
    services = Services({"STAGE": "unit", "COMMIT": "abc1234"}, clock=clock)
    table = MemoryTable(before=lambda operation: operations.append(OPERATIONS[operation]))
    services.__dict__.update(table=table, fleet=FakeFleet(), notice_jobs=FakeNoticeJobs(), mailer=FakeMailer())
    services.base_url = lambda: BASE_URL  # type: ignore[method-assign]
    return services


@pytest.fixture
def lines(services: Services, clock: Clock, operations: list[str]) -> Lines:
    tenants = services.tenants
    for id, token in (
        (BAKERY, TOKEN),
        (FLORIST, OTHER_TOKEN),
        ("old0000001", EXPIRED_TOKEN),
        ("off0000001", REVOKED_TOKEN),
    ):
        issued = clock.now - (milliseconds(INVITE_UNOPENED_FOR) if token == EXPIRED_TOKEN else 0)
        tenants.create(
            tenant(id), Assistant(1, "some-model", "Be kind."), by="ops", invite=Invite(sha256(token), id, issued)
        )
    services.invites.revoke("off0000001", now=clock.now, by="ops")
    app = Chalice("answerline", configure_logs=False)
    pages.mount(app, services)
    landing.mount(app, services)
    operations.clear()
    return Lines(services, app, clock, operations)


@pytest.fixture
def coded(lines: Lines) -> Lines:
    """A QR code waits."""
    lines.browser()
    lines.session(phase=Phase.QR, qr=(QR, 60), watched_until=lines.clock.now + 600_000)
    return lines
