"""The one-machine stack of today starts from a backup that 084ff81 wrote, with all that the backup holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.wiring import Services
from infrastructure.local import durable_file, former_release, recovery
from infrastructure.local.backup import former_backup
from infrastructure.local.emulator.former_state import DIRECTORY, TAKEN_OVER
from infrastructure.local.recovery import EPOCH_LEAP
from infrastructure.local.settings import CannotStart
from infrastructure.local.stack import LocalStack, local_stack
from infrastructure.local.table.items import read_items, write_items
from tests.unit.support.stored_world import BAKERY, FLORIST, GARAGE, HOTEL, SNAPSHOT_BYTES
from tests.unit.test_stored_names import WRITTEN

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


class Interrupted(Exception):
    """Stands for the end of the machine at this step."""


def half_of_the_items(source: Any, destination: Any, table: str) -> int:
    items = list(read_items(source, table))
    write_items(destination, table, items[: len(items) // 2])
    # As a release in between might have left: no item of an interrupted copy may stay.
    write_items(destination, table, [{"pk": {"S": "TENANT#gone"}, "sk": {"S": "TENANT"}}])
    raise Interrupted


def no_removal(path: Path) -> None:
    raise Interrupted if path.name == former_release.BEGUN else AssertionError(path)


def attempt(data: Path, reported: list[str], patch: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as interrupting, pytest.raises(Interrupted):
        patch(interrupting)
        local_stack(data, simulators=(), report=reported.append).start()


def test_a_backup_of_084ff81_is_restored_taken_over_repaired_and_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, reported = tmp_path / "data", list[str]()
    data.mkdir()
    former_backup.unpack(WRITTEN / "backup.tar.gz", data)
    former = data / "ministack" / DIRECTORY
    before = {path: path.read_bytes() for path in former.rglob("*") if path.is_file()}
    attempt(data, reported, lambda patch: patch.setattr(former_release, "copy_items", half_of_the_items))
    assert {path: path.read_bytes() for path in former.rglob("*") if path.is_file()} == before
    attempt(data, reported, lambda patch: patch.setattr(durable_file, "remove", no_removal))
    assert (former.exists(), former.with_name(TAKEN_OVER).exists()) == (False, True)
    with local_stack(data, simulators=(), report=reported.append) as stack:
        assert_all_is_there(stack, reported, monkeypatch)
    assert not (data / "ministack" / former_release.BEGUN).exists()
    assert recovery.read_marker(data) is None
    former.with_name(TAKEN_OVER).rename(former)
    with pytest.raises(CannotStart, match="newer data: move the one away"):
        local_stack(data, simulators=()).start()


def assert_all_is_there(stack: LocalStack, reported: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("data of the former release was taken over" in line for line in reported)
    assert any("4 sessions moved" in line and "5 runners declared dead" in line for line in reported)
    assert stack.operator.first_password is not None, "the pool, the operator and operator.json go together"
    assert len(stack.mails()) == 3
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    services = Services(stack.environment)
    assert [tenant.id for tenant, _ in services.tenants.list_all()] == [BAKERY, FLORIST, GARAGE, HOTEL]
    assert "TENANT#gone" not in {item["pk"]["S"] for item in read_items(stack.client("dynamodb"), stack.created.table)}
    session = services.sessions.get(BAKERY)
    assert (session.epoch, session.last_epoch) == (4 + EPOCH_LEAP, 4)
    content = stack.client("s3").get_object(Bucket=stack.created.bucket, Key=session.snapshots[0].key)
    assert content["ContentLength"] == SNAPSHOT_BYTES
    key = stack.client("kms").describe_key(KeyId=stack.created.key)["KeyMetadata"]["KeyId"]
    checkpoint = next(stack.settings.data.glob(f"ministack/{TAKEN_OVER}/*/kms.json"))
    assert key in checkpoint.read_text(), "the key that tenants' keys are sealed with is the former one"
