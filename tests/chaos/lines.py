"""The lines under test: tenants created in the table, phones that scan their codes, contacts that write."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.model import Assistant, Policies, Session, Tenant, TenantState
from chalicelib.wiring import Services
from infrastructure.local.stack import LocalStack
from tests.simulators.whatsapp.client import ControlRefused, PhoneClient, SimulatorClient
from wire import Phase

#: Nine browsers start two at a time on each runner, on a slow machine.
ALL_ONLINE_WITHIN_SECONDS = 300.0
UNCAPPED = Policies(replies_per_minute=0, replies_per_contact_per_day=0)


@dataclass(frozen=True)
class Line:
    """A tenant, its phone's number and its contacts' numbers."""

    tenant: str
    number: str
    contacts: tuple[str, ...]


def services_of(stack: LocalStack) -> Services:
    """Returns the application's services in this process; points boto3 at this stack from now on."""
    os.environ.update(stack.aws.environment())
    return Services(stack.environment)


def create(services: Services, count: int, contacts: int) -> list[Line]:
    """Creates ``count`` tenants without rate limits, each with so many ``contacts``."""
    lines = []
    for index in range(1, count + 1):
        tenant = f"chaosline{index:02d}"
        key = f"sk-chaos-{index:02d}-LINE{index:02d}"
        services.tenants.create(
            Tenant(
                id=tenant,
                name=f"Line {index}",
                owner_email=f"line{index}@example.com",
                language="en",
                state=TenantState.ACTIVE,
                revision=1,
                created_at=services.clock(),
                assistant_version=1,
                key_ciphertext=services.key_encryption.encrypt(tenant, key),
                key_last4=key[-4:],
                policies=UNCAPPED,
            ),
            Assistant(1, "gpt-6-luna", "Be brief."),
            by="chaos@example.com",
        )
        numbers = tuple(f"4917555{index:02d}{contact:03d}" for contact in range(1, contacts + 1))
        lines.append(Line(tenant, f"49171000{index:04d}", numbers))
    return lines


def link(services: Services, whatsapp: SimulatorClient, lines: list[Line], within: float) -> None:
    """Opens every line's page, scans its code, and waits until all are online."""
    phones = {line.tenant: whatsapp.phone(line.number, line.tenant) for line in lines}
    for line in lines:
        for contact in line.contacts:
            phones[line.tenant].contact(contact, f"Contact {contact[-3:]}")

    def step(line: Line) -> bool:
        session = services.placement.keep_awake(line.tenant, services.clock())
        if session.number is None and session.qr is not None and session.qr.is_alive(services.clock()):
            _scan(phones[line.tenant], session)
        return session.phase is Phase.ONLINE

    until(lambda: sum(step(line) for line in lines) == len(lines), within, "not all lines came online")


def until(happened: Callable[[], bool], within: float, complaint: str, every: float = 0.5) -> None:
    """Waits for it; raises ``TimeoutError`` with the complaint otherwise."""
    deadline = time.monotonic() + within
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{complaint} within {within:.0f} s")
        time.sleep(every)


def _scan(phone: PhoneClient, session: Session) -> None:
    assert session.qr is not None
    try:
        if not phone.view()["linked"]:
            phone.scan(session.qr.code)
    except ControlRefused:
        return  # it expired on the way; the next one is shown soon
