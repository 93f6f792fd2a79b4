"""Backups of a one-machine stack come back: taken under load, from before a deletion, and by a former release."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chalicelib.model import Assistant
from chalicelib.wiring import Services
from infrastructure.local import recovery
from infrastructure.local.backup import commands
from infrastructure.local.backup.names import whole_backups
from infrastructure.local.backup.nightly import StackNotify
from infrastructure.local.backup.restore import Request, restore
from infrastructure.local.backup.status import read_status
from infrastructure.local.recovery import EPOCH_LEAP
from infrastructure.local.settings import Settings
from infrastructure.local.stack import LocalStack, local_stack
from tests.unit.conftest import a_tenant
from tests.unit.support.stored_world import HOTEL
from tests.unit.test_stored_names import WRITTEN

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

SECRET = "sk-of-the-bakery-4711"


@contextmanager
def services_of(stack: LocalStack) -> Iterator[Services]:
    """The application's services on a stack; wiring reads the environment of the process for boto3."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment.items():
            patch.setenv(name, value)
        yield Services(stack.environment)


def create(services: Services, name: str) -> str:
    ciphertext = services.key_encryption.encrypt(name, SECRET)
    tenant = a_tenant(name, owner_email=f"{name}@example.com", key_ciphertext=ciphertext)
    services.tenants.create(tenant, Assistant(1, "gpt-5", "Be brief."), by="olga@example.com")
    services.mailer.invite(tenant, f"{services.base_url()}/connect/{name}")
    return name


@contextmanager
def load(stack: LocalStack) -> Iterator[list[int]]:
    """Writes items as fast as the table takes them; yields the acknowledged numbers."""
    acknowledged: list[int] = []
    stopped = threading.Event()

    def write() -> None:
        client = stack.aws.client("dynamodb")
        while not stopped.is_set():
            number = len(acknowledged)
            item = {"pk": {"S": "CHAT#bakery#15550100@c.us"}, "sk": {"S": f"MESSAGE#{number:06d}"}}
            client.put_item(TableName=stack.created.table, Item=item)
            acknowledged.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(acknowledged) < 20:
            time.sleep(0.01)
        yield acknowledged
    finally:
        stopped.set()
        thread.join()


def run(stack: LocalStack, place: Path, *arguments: str) -> str:
    """Runs a command of `make` on the data of a stack."""
    return commands.run(arguments, {"DATA": str(stack.settings.data), "BACKUP_TO": str(place)})


def messages_of(stack: LocalStack) -> set[int]:
    pages = (
        stack.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=stack.created.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "CHAT#bakery#15550100@c.us"}},
        )
    )
    return {int(item["sk"]["S"].removeprefix("MESSAGE#")) for page in pages for item in page["Items"]}


def test_a_backup_under_load_comes_back_without_the_client_that_was_deleted_since(tmp_path: Path) -> None:
    """On another machine: the first one is lost, and only the place of the backups knows of the deletion."""
    place, key = tmp_path / "place", tmp_path / "key"
    place.mkdir()
    with local_stack(tmp_path / "data", simulators=(), report=lambda line: None) as stack:
        key.write_text(run(stack, place, "backup-key").splitlines()[0])
        with services_of(stack) as services:
            for name in ("bakery", "garage"):
                create(services, name)
        with load(stack) as acknowledged:
            before = len(acknowledged)
            assert "read back and whole" in run(stack, place, "backup")
            assert len(acknowledged) > before, "writers go on"
        password = stack.operator.first_password
        notify = StackNotify(stack.client, stack.settings, lambda line: None)
        notify.mail("The backup of Answerline fails", "Mount its disk.")
        assert (stack.mails()[0].subject, stack.mails()[0].recipients) == (
            "The backup of Answerline fails",
            (stack.settings.operator_email,),
        )
        notify.publish(read_status(stack.settings.data).for_admin())
        name = f"/{stack.settings.stack}/backup-state"
        assert str(place) in stack.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    assert "garage is deleted" in run(stack, place, "forget", "garage")
    (backup,) = whole_backups(path.name for path in place.iterdir())

    elsewhere = Settings(data=tmp_path / "elsewhere")
    elsewhere.data.mkdir()
    holder = "nobody" if os.geteuid() == 0 else elsewhere.data.owner()
    shutil.chown(elsewhere.data, holder)
    restored = restore(elsewhere, Request(str(place), key), {})
    assert (restored.name, restored.tenants, restored.erased) == (str(backup), 1, 1)
    assert restored.problems == [] and restored.aside is None
    assert {path.owner() for path in (elsewhere.data, *elsewhere.data.rglob("*"))} == {holder}
    held = b"".join(path.read_bytes() for path in elsewhere.data.rglob("*") if path.is_file())
    assert b"bakery@example.com" in held and b"garage@example.com" not in held

    reported: list[str] = []
    with local_stack(elsewhere.data, simulators=(), report=reported.append) as again:
        assert any("1 sessions moved" in line for line in reported), "time went back"
        with services_of(again) as services:
            ((tenant, session),) = services.tenants.list_all()
            assert tenant.id == "bakery" and session.epoch > EPOCH_LEAP
            assert services.key_encryption.decrypt("bakery", tenant.key_ciphertext) == SECRET
        assert set(range(before)) <= messages_of(again) <= set(acknowledged)
        assert again.operator.first_password == password
        assert [mail.tags["tenant"] for mail in again.mails()] == ["bakery"]


def test_a_backup_of_084ff81_is_restored(tmp_path: Path) -> None:
    """What it holds is looked at in test_local_restore.py."""
    settings = Settings(data=tmp_path / "data")
    former_deletion = tmp_path / "ledger"
    former_deletion.write_text(f'{{"tenant": "{HOTEL}", "deleted_at": 5}}\n')
    restored = restore(settings, Request(str(WRITTEN / "backup.tar.gz"), None, ledger=str(former_deletion)), {})
    assert (restored.tenants, restored.erased) == (3, 1)
    assert len(restored.problems) == 3, "its OpenAI keys were never encrypted"
    assert recovery.read_marker(settings.data) == recovery.RESTORED
