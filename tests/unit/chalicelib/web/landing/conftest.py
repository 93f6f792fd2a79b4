"""Two tenants with living links, a revoked and an expired one."""

from collections.abc import Iterator
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib.model import (
    INVITE_UNOPENED_FOR,
    Assistant,
    Invite,
    milliseconds,
)
from chalicelib.store.table import Table
from chalicelib.tokens import sha256
from chalicelib.web import landing, pages
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, FakeFleet
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


@pytest.fixture
def services(table: Table, clock: Clock) -> Services:
    """The services that the landing page uses."""
    services = Services({"STAGE": "unit", "COMMIT": "abc1234"}, clock=clock)
    services.__dict__.update(table=table, fleet=FakeFleet())
    services.base_url = lambda: BASE_URL  # type: ignore[method-assign]
    return services


@pytest.fixture
def lines(services: Services, clock: Clock) -> Iterator[Lines]:
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
    operations: list[str] = []
    events = services.table._client.meta.events

    def note(model: Any, **_: Any) -> None:
        operations.append(model.name)

    events.register("before-call.dynamodb.*", note)
    yield Lines(services, app, clock, operations)
    events.unregister("before-call.dynamodb.*", note)


@pytest.fixture
def coded(lines: Lines) -> Lines:
    """A QR code waits."""
    lines.browser()
    lines.session(phase=Phase.QR, qr=(QR, 60), watched_until=lines.clock.now + 600_000)
    return lines
