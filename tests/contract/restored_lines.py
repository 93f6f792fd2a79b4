"""`make rehearse-restore`: the machine is lost while contacts write; its lines come online elsewhere without a code.

One line has a snapshot, which is in the backup. The other was linked a moment before the backup and has none yet: its
browser's profile is in the backup as it was at that moment.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infrastructure.local.backup import commands
from infrastructure.local.backup.restore import Request, restore
from infrastructure.local.settings import Settings
from infrastructure.local.stack import LocalStack, local_stack
from tests.simulators.whatsapp.client import ContactClient, SimulatorClient
from tests.story.people import Client, Operator, Owner
from tests.story.story import browser

pytestmark = [pytest.mark.chromium, pytest.mark.stack, pytest.mark.timeout(600)]

BAKERY = Client("Bakery Anders", "anders@example.com", "sk-story-bakery-7777ANDE", "You sell bread. Be brief.")
GARAGE = Client("Garage Berg", "berg@example.com", "sk-story-garage-7777BERG", "You repair cars. Be brief.")
NUMBERS = {BAKERY.name: "491711111111", GARAGE.name: "491722222222"}
CONTACT = "491755500001"


def test_the_lines_of_a_backup_that_was_taken_under_load_come_online_without_a_code(tmp_path: Path) -> None:
    place, key = tmp_path / "place", tmp_path / "key"
    place.mkdir()
    environment = {"DATA": str(tmp_path / "data"), "BACKUP_TO": str(place)}
    stack = local_stack(tmp_path / "data", runners=1)
    stack.start()
    try:
        key.write_text(commands.run(["backup-key"], environment).splitlines()[0])
        with browser() as people, SimulatorClient(stack.phone_url) as whatsapp:
            operator = Operator(people, stack.admin_url, None)
            assert stack.operator.first_password is not None
            operator.sign_in(stack.operator.email, stack.operator.first_password, "A-password-of-my-own-1")
            tenants = {}
            for client in (BAKERY, GARAGE):
                tenants[client.name] = operator.create(client)
                operator.lift_caps(tenants[client.name])
                phone = whatsapp.phone(NUMBERS[client.name], client.name)
                owner = Owner(people, None)
                owner.open_mail(stack.outbox_url, client.email)
                phone.scan(owner.code_on_the_screen())
                owner.wait_until_connected()
                phone.contact(CONTACT, "Carla").write("before")
                phone.contact(CONTACT, "Carla").wait_for_reply(1, timeout=60)
                if client is BAKERY:
                    wait_until(lambda: bool(snapshots(stack, tenants[BAKERY.name])["L"]), 60)
            saved = {name: bool(snapshots(stack, tenant)["L"]) for name, tenant in tenants.items()}
            assert saved[BAKERY.name]
            contacts = [whatsapp.phone(number, name).contact(CONTACT, "Carla") for name, number in NUMBERS.items()]
            with load(contacts):
                assert "read back and whole" in commands.run(["backup"], environment)
            for contact in contacts:  # a reply that the backup does not know of must not silence the line afterwards
                known = len(contact.replies())
                contact.write("after the backup")
                contact.wait_for_reply(known + 1, timeout=60)
    finally:
        stack.kill()

    elsewhere = Settings(data=tmp_path / "elsewhere")
    assert restore(elsewhere, Request(str(place), key), {}).tenants == 2
    # WhatsApp and the phones are not of the machine that was lost: they go on from where they are.
    shutil.copy(tmp_path / "data" / "whatsapp.json", elsewhere.data / "whatsapp.json")
    with local_stack(elsewhere.data, runners=1) as again, SimulatorClient(again.phone_url) as whatsapp:
        wait_until(lambda: all(is_online_and_quiet(again, tenant) for tenant in tenants.values()), 120)
        for name, number in NUMBERS.items():
            contact = whatsapp.phone(number, name).contact(CONTACT, "Carla")
            before = len(contact.replies())
            contact.write("after")
            contact.wait_for_reply(before + 1, timeout=120)
            found = item(again, tenants[name])
            assert found["phase"]["S"] == "online" and "qr" not in found
            texts = [str(reply["text"]) for reply in contact.replies()]
            assert len(texts) == len(set(texts)), "no reply came twice"


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    """Waits for the stack."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.2)


@contextmanager
def load(contacts: list[ContactClient]) -> Iterator[None]:
    """Lets the contacts write meanwhile."""
    stopped = threading.Event()

    def write() -> None:
        number = 0
        while not stopped.wait(1.0):
            number += 1
            contacts[number % len(contacts)].write(f"during {number}")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        time.sleep(3)
        yield
    finally:
        stopped.set()
        thread.join()


def is_online_and_quiet(stack: LocalStack, tenant: str) -> bool:
    """True once the line is online, and what waited for a reply when the backup was taken has it."""
    pages = (
        stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.created.table, IndexName="open_turns")
    )
    open_turns = [each for page in pages for each in page["Items"] if tenant in each["pk"]["S"]]
    return item(stack, tenant)["phase"]["S"] == "online" and not open_turns


def item(stack: LocalStack, tenant: str) -> dict[str, dict[str, object]]:
    key = {"pk": {"S": f"TENANT#{tenant}"}, "sk": {"S": "SESSION"}}
    found: dict[str, dict[str, object]] = stack.client("dynamodb").get_item(TableName=stack.created.table, Key=key)[
        "Item"
    ]
    return found


def snapshots(stack: LocalStack, tenant: str) -> dict[str, object]:
    return item(stack, tenant)["snapshots"]
