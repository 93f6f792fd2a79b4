"""The doctor's checks of an installation on this machine."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.store.table import Table
from infrastructure.checks import State
from infrastructure.deploying.readiness import Health
from infrastructure.doctor import machine
from infrastructure.doctor.machine import Machine
from infrastructure.local.settings import Settings
from infrastructure.local.table.room import ROOM_TO_START_BYTES
from runner.disk import ROOM_TO_HOST_BYTES, ROOM_TO_SAVE_BYTES
from tests.unit.conftest import REGION, STACK
from tests.unit.infrastructure.doctor.test_lines import NOW, URL, bads


def test_a_stack_that_does_not_run_is_bad_with_the_command_to_start_it(tmp_path: Path) -> None:
    found = machine.examine(Machine(Settings(data=tmp_path / "none"), "abc", "4.6.0", NOW, lambda seconds: None))
    assert found[0].state is State.BAD
    assert "make up" in found[0].fix


def test_data_of_a_service_name_its_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = tmp_path / "etc" / "systemd" / "system" / "answerline.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(f'ReadWritePaths="{tmp_path}/data"\n')
    monkeypatch.setenv("SERVICE_ETC", str(tmp_path / "etc"))
    found = machine.examine(Machine(Settings(data=tmp_path / "data"), "abc", "4.6.0", NOW, lambda seconds: None))
    said = " ".join(each.fix for each in found)
    assert "`sudo systemctl start answerline`" in said and "`sudo make backup-key`" in said
    assert "`sudo make service BACKUP_TO=…`" in said and "`make " not in said


def test_data_that_cannot_be_read_are_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)
    (result,) = machine.examine(Machine(Settings(data=tmp_path), "abc", "4.6.0", NOW, lambda seconds: None))
    assert (result.state, result.fix) == (State.BAD, "run this command with sudo")


def test_a_stack_whose_process_ended_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"pid": 2**22 + 1}))
    assert machine.running_stack(tmp_path) is None
    (tmp_path / "stack.json").write_text(json.dumps({"pid": os.getpid()}))
    assert machine.running_stack(tmp_path) == {"pid": os.getpid()}
    (tmp_path / "stack.json").write_text("{")
    assert machine.running_stack(tmp_path) is None


@pytest.mark.parametrize(
    ("free", "state"),
    [
        (ROOM_TO_HOST_BYTES, State.OK),
        (ROOM_TO_HOST_BYTES - 1, State.BAD),
        (ROOM_TO_SAVE_BYTES, State.BAD),
        (ROOM_TO_SAVE_BYTES - 1, State.BAD),
        (ROOM_TO_START_BYTES - 1, State.BAD),
    ],
)
def test_a_disk_is_full_where_runners_find_it_full(
    tmp_path: Path, free: int, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    result = machine.check_disk(tmp_path / "not" / "there")
    assert result.state is state
    assert ("nothing stored is lost" in result.fix) is (free < ROOM_TO_START_BYTES)


def test_a_part_that_does_not_listen_is_named_unless_it_was_not_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as open_one, socket.create_server(("127.0.0.1", 0)) as closed_one:
        there, gone = open_one.getsockname()[1], closed_one.getsockname()[1]
        closed_one.close()
        assert bads(machine.check_ports({"gateway": there, "openai": gone})) == []
        assert bads(machine.check_ports({"gateway": gone})) == [f"gateway does not listen on port {gone}"]


def test_the_owners_address_is_checked_too(tmp_path: Path) -> None:
    def answer(url: str) -> Health:
        if url == URL:
            return Health({}, "certificate expired")
        return Health({"commit": "abc", "runners": ["abc"], "base_url": URL})

    here = Machine(Settings(data=tmp_path), "abc", "4.6.0", NOW, lambda seconds: None, answer)
    found = machine.check_addresses(here, "http://localhost:4700/api")
    assert bads(found) == [f"owners cannot reach {URL}: certificate expired"]


def test_mails_that_the_mail_server_does_not_take_are_bad(tmp_path: Path) -> None:
    outbox = tmp_path / "ministack" / "outbox"
    outbox.mkdir(parents=True)
    record = {"identifier": "m1@x", "sent_at": NOW / 1000 - 3600, "sender": "a", "recipients": ["b"], "raw": ""}
    (outbox / "1.json").write_text(json.dumps(record))
    assert bads([machine.check_outbox(tmp_path, NOW)]) == []  # without a mail server
    (outbox / "relayed").mkdir()
    assert bads([machine.check_outbox(tmp_path, NOW)]) == ["1 of 1 mails wait for the mail server"]
    (outbox / "relayed" / "m1").touch()
    assert bads([machine.check_outbox(tmp_path, NOW)]) == []


def test_a_state_that_was_never_written_or_is_not_whole_is_bad(tmp_path: Path) -> None:
    assert machine.check_state(tmp_path).state is State.BAD
    state = tmp_path / "ministack" / "state"
    state.mkdir(parents=True)
    for name in ("kms", "ssm"):
        (state / f"{name}.json").write_text('{"__ministack_format__": 3, "payload": {}}')
    assert machine.check_state(tmp_path).state is State.OK
    (state / "ssm.json").write_text("{")
    [sentence] = bads([machine.check_state(tmp_path)])
    assert sentence.startswith(f"{state / 'ssm.json'} is damaged (Expecting property name")


class FakeAws:
    """The stores of a running stack: a webhook in SSM or none, and no notice."""

    def __init__(self, **given: str) -> None:
        pass

    def client(self, service: Any) -> Any:
        return boto3.client(service, region_name=REGION)


@pytest.mark.parametrize(
    ("said", "webhook", "found"),
    [
        ({"addresses": 1, "leaves": True}, "", ""),
        ({"addresses": 1, "leaves": False}, "", "nobody hears of problems: mails to operators stay in the outbox"),
        ({"addresses": 0, "leaves": False}, "", "nobody hears of problems: no operator's address is set"),
        ({"addresses": 1, "leaves": True}, "http://hooks.example.com/secret", "the operators' webhook: it does not"),
        (None, "", "who hears of problems"),
    ],
)
def test_it_is_checked_who_hears_of_problems(
    table: Table, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any] | None, webhook: str, found: str
) -> None:
    monkeypatch.setattr(machine, "Aws", FakeAws)
    if webhook:
        boto3.client("ssm", region_name=REGION).put_parameter(
            Name=f"/{STACK}/operators-webhook", Value=webhook, Type="SecureString"
        )
    here = Machine(Settings(stack=STACK), "abc", "4.6.0", NOW, lambda seconds: None)
    *ways, waiting = machine.check_news(here, {"aws": {}} | ({"operators_mail": said} if said else {}))
    assert waiting.state is State.OK
    needy = [each for each in ways if each.state is not State.OK]
    assert [each.subject.startswith(found) for each in needy] == [True] * bool(found)
    assert all(each.state is (State.BAD if said else State.UNKNOWN) for each in needy)
