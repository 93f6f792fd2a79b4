"""The application of the unit tests: a tenant whose line is online, and the whole of it behind its Lambda entries."""

import logging
from collections.abc import Iterator

import pytest

import app
from chalicelib.model import apply_report
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.lambda_stage import HANDLERS, KEY, Stage, Stdout
from tests.unit.support.online_line import UNCAPPED, T
from wire import Phase, SessionReport


@pytest.fixture
def line(services: Services, clock: Clock) -> Services:
    """A tenant whose line is online at a runner."""
    tenant = a_tenant(T, key_ciphertext=services.key_encryption.encrypt(T, "sk-test-bakery"), policies=UNCAPPED)
    services.tenants.create(tenant, ASSISTANT, by="operator@example.com")
    runner = services.runners.register("runneraaaa", "0" * 64, 5, clock(), task="task-a")
    session = services.placement.keep_awake(T, clock())
    online = SessionReport(tenant=T, epoch=session.epoch, sequence=1, phase=Phase.ONLINE, number="491709999999")
    services.sessions.record_report(runner, session, apply_report(session, online, clock()))
    clock.pass_seconds(30)
    return services


@pytest.fixture
def stage(
    services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Stage]:
    sealed = services.key_encryption.encrypt(T, KEY)
    tenant = a_tenant(T, created_at=clock(), key_ciphertext=sealed, key_last4="kery", policies=UNCAPPED)
    services.tenants.create(tenant, ASSISTANT, by="operator@example.com")
    ours = logging.getLogger("chalicelib")
    monkeypatch.setattr(ours, "handlers", list(HANDLERS))
    monkeypatch.setattr(ours, "propagate", False)
    for handler in HANDLERS:
        if isinstance(handler, logging.StreamHandler):
            monkeypatch.setattr(handler, "stream", Stdout())
    own = app.services.__dict__
    app.services.__dict__ = services.__dict__
    yield Stage(services, clock, lambda: capsys.readouterr().out)
    app.services.__dict__ = own
