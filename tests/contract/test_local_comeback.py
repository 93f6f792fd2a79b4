"""After `kill -9` of everything, ten seconds after pairing, the line recovers by itself: no new code, no duplicates."""

import contextlib
import stat
import time
from pathlib import Path

import pytest

from infrastructure.local.stack import LocalStack, local_stack
from tests.simulators.whatsapp.client import SimulatorClient
from tests.story.people import Client, Operator, Owner
from tests.story.story import browser

CLIENT = Client("Bakery Anders", "anders@example.com", "sk-story-bakery-7777ANDE", "You sell bread. Be brief.")
NUMBER, CONTACT = "491711111111", "491755500001"


@pytest.mark.chromium
@pytest.mark.stack
@pytest.mark.timeout(240)
def test_a_paired_line_answers_again_after_kill_nine_of_everything(tmp_path: Path) -> None:
    stack = local_stack(tmp_path, runners=1)
    stack.start()
    try:
        with browser() as people, SimulatorClient(stack.phone_url) as whatsapp:
            operator = Operator(people, stack.admin_url, None)
            assert stack.operator.first_password is not None
            operator.sign_in(stack.operator.email, stack.operator.first_password, "A-password-of-my-own-1")
            tenant = operator.create(CLIENT)
            phone = whatsapp.phone(NUMBER, CLIENT.name)
            owner = Owner(people, None)
            owner.open_mail(stack.outbox_url, CLIENT.email)
            phone.scan(owner.code_on_the_screen())
            owner.wait_until_connected()
            contact = phone.contact(CONTACT, "Carla")
            contact.write("before")
            contact.wait_for_reply(1, timeout=30)
        time.sleep(10)  # the promise speaks of ten seconds
        epoch = session(stack, tenant)["epoch"]["N"]
        assert open_to_others(tmp_path) == []
    finally:
        stack.kill()
    reported: list[str] = []
    with LocalStack(stack.settings, reported.append) as again, SimulatorClient(again.phone_url) as whatsapp:
        assert not any("recovery" in line for line in reported), "what was acknowledged is there: nothing to repair"
        contact = whatsapp.phone(NUMBER, CLIENT.name).contact(CONTACT, "Carla")
        contact.write("after")
        contact.wait_for_reply(2, timeout=60)
        found = session(again, tenant)
        assert int(epoch) < int(found["epoch"]["N"]) < int(epoch) + 1000
        assert found["phase"]["S"] == "online"
        assert "last_epoch" in found
        texts = [str(reply["text"]) for reply in contact.replies()]
        assert len(texts) == len(set(texts)) == 2, texts
        assert again.operator.first_password is None


def open_to_others(data: Path) -> list[str]:
    """Lists what another user of the machine could read: a browser's profile, the stores, logs and mails are there."""
    kinds = {path.relative_to(data).parts[0] for path in data.rglob("*") if path.is_file()}
    assert kinds >= {"table", "ministack", "runners", "logs", "whatsapp.json", "stack.json"}
    found = []
    for path in (data, *data.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a browser at work renames its files
            mode = path.lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                found.append(f"{path.relative_to(data)} {stat.filemode(mode)}")
    return found


def session(stack: LocalStack, tenant: str) -> dict[str, dict[str, str]]:
    key = {"pk": {"S": f"TENANT#{tenant}"}, "sk": {"S": "SESSION"}}
    item: dict[str, dict[str, str]] = stack.client("dynamodb").get_item(TableName=stack.created.table, Key=key)["Item"]
    return item
