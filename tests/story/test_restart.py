"""What the predecessor died of: after `kill -9` of everything, lines must come back by themselves."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chalicelib.model import Active, Assistant, Policies, Tenant
from chalicelib.wiring import Services
from infrastructure.local.stack import LocalStack, local_stack
from tests.simulators.whatsapp.client import PhoneClient, SimulatorClient
from wire import Phase

T = "restarting"
KEY = "sk-restart-0000KEPT"
NUMBER, CONTACT = "491733333333", "491755500009"
#: A fresh login is durable once Chromium wrote it down (facts: 3 to 6 s), and the checkpoint that knows it is 5 s old.
DURABLE_AFTER_SECONDS = 11.0


def until(what: Callable[[], bool], seconds: float, sentence: str) -> None:
    """Waits for something that is seen from outside."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, sentence
        time.sleep(0.1)


def services_of(stack: LocalStack) -> Services:
    """The control plane's own services, on this stack."""
    os.environ.update({name: value for name, value in stack.environment.items() if name.startswith("AWS_")})
    return Services(stack.environment)


def created(services: Services) -> None:
    tenant = Tenant(
        id=T,
        name="Restart",
        owner_email="owner@example.com",
        language="en",
        wanted=Active.ACTIVE,
        revision=1,
        created_at=services.clock(),
        assistant_version=1,
        key_ciphertext=services.vault.encrypt(T, KEY),
        key_last4=KEY[-4:],
        policies=Policies(replies_per_minute=0, replies_per_contact_per_day=0),
    )
    services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")


def linked(services: Services, phone: PhoneClient) -> None:
    services.placement.watch(T, services.clock())
    until(lambda: services.placement.session(T).qr is not None, 30, "no QR code appeared")
    qr = services.placement.session(T).qr
    assert qr is not None
    phone.scan(qr.code)
    until(lambda: services.placement.session(T).phase is Phase.ONLINE, 30, "the line is not online")


@pytest.mark.chromium
@pytest.mark.stack
@pytest.mark.timeout(180)
def test_after_kill_9_of_everything_the_line_is_online_again_without_a_new_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    stack = local_stack(tmp_path, runners=1)
    stack.start()
    try:
        services = services_of(stack)
        created(services)
        with SimulatorClient(stack.phone_url) as whatsapp:
            phone = whatsapp.phone(NUMBER, "Restart")
            linked(services, phone)
            contact = phone.contact(CONTACT, "Carla")
            contact.write("before")
            contact.wait_for_reply(1, timeout=30)
            time.sleep(DURABLE_AFTER_SECONDS)
        epoch = services.placement.session(T).epoch
    finally:
        stack.kill()

    with local_stack(tmp_path, runners=1) as again, SimulatorClient(again.phone_url) as whatsapp:
        services = services_of(again)
        phone = whatsapp.phone(NUMBER)
        until(lambda: services.placement.session(T).phase is Phase.ONLINE, 60, "the line did not come back")
        session = services.placement.session(T)
        assert session.number == NUMBER and session.epoch >= epoch + 1_000
        assert services.tenants.get(T).key_last4 == "KEPT"
        contact = phone.contact(CONTACT)
        contact.write("after")
        replies = contact.wait_for_reply(2, timeout=30)
        assert [reply["text"].count("KEPT") for reply in replies] == [1, 1]
        assert '"after"' in replies[1]["text"]
        assert phone.view()["duplicates"] == 0
