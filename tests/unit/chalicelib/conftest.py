"""A tenant whose line is online at a runner: for the tests of replies, sessions and reconcilers."""

import pytest

from chalicelib.model import apply_report
from chalicelib.wiring import Services
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
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
