"""On one machine, a mail that a real mail server refuses becomes the tenant's problem, as an event of SES does."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from chalicelib.model import Assistant, Problem, Tenant, TenantState
from chalicelib.notifications.invites import renew_invite
from chalicelib.wiring import Services
from infrastructure.local.settings import Ports
from infrastructure.local.stack import local_stack
from wire import ProblemCode

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


class Server:
    """A mail server that has one mailbox: the operator's."""

    def __init__(self) -> None:
        self.accepted: list[str] = []

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address != "operator@agency.example":
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.accepted += envelope.rcpt_tos
        return "250 OK"


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_a_mail_that_the_mail_server_refuses_is_on_the_tenants_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, server = Ports.free(), Server()
    controller = Controller(server, hostname="127.0.0.1", port=Ports.free().outbox)
    controller.start()
    mail: dict[str, Any] = {
        "smtp_url": f"smtp://127.0.0.1:{controller.port}",
        "mail_from": "Agency <line@agency.example>",
        "operator_email": "operator@agency.example",
    }
    try:
        with local_stack(tmp_path / "data", ports=ports, simulators=(), **mail) as stack:
            for name, value in stack.environment.items():
                monkeypatch.setenv(name, value)
            services = Services(stack.environment)
            now = services.clock()
            tenant = Tenant(
                "tenantaaaa",
                "Bakery",
                "nobody@bakery.example",
                "en",
                TenantState.ACTIVE,
                1,
                now,
                1,
                services.key_encryption.encrypt("tenantaaaa", "sk-test"),
                "test",
            )
            services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@agency.example")
            assert renew_invite(services, tenant, by="operator@agency.example")

            def shown() -> Problem | None:
                return services.tenants.get(tenant.id).mail_problem

            until(lambda: shown() is not None)
            problem = shown()
            assert problem is not None and problem.code is ProblemCode.MAIL_BOUNCED
            assert "refuses this address" in problem.detail
            until(lambda: server.accepted == ["operator@agency.example"])
    finally:
        controller.stop()
