"""The one-machine stack of today starts from a backup that 084ff81 wrote, with all that the backup holds."""

from pathlib import Path

import pytest

from chalicelib.wiring import Services
from infrastructure.local import backup
from infrastructure.local.recovery import EPOCH_LEAP
from infrastructure.local.stack import local_stack
from tests.unit.support.stored_world import BAKERY, FLORIST, GARAGE, HOTEL, SNAPSHOT_BYTES
from tests.unit.test_stored_names import WRITTEN

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


def test_a_backup_of_084ff81_is_restored_repaired_and_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, reported = tmp_path / "data", list[str]()
    backup.restore(data, WRITTEN / "backup.tar.gz")
    with local_stack(data, simulators=(), report=reported.append) as stack:
        assert any("4 sessions moved" in line and "5 runners declared dead" in line for line in reported)
        assert stack.operator.first_password is not None, "the pool, the operator and operator.json go together"
        assert len(stack.mails()) == 3
        for name, value in stack.environment.items():
            monkeypatch.setenv(name, value)
        services = Services(stack.environment)
        assert [tenant.id for tenant, _ in services.tenants.list_all()] == [BAKERY, FLORIST, GARAGE, HOTEL]
        session = services.sessions.get(BAKERY)
        assert (session.epoch, session.last_epoch) == (4 + EPOCH_LEAP, 4)
        content = stack.client("s3").get_object(Bucket=stack.created.bucket, Key=session.snapshots[0].key)
        assert content["ContentLength"] == SNAPSHOT_BYTES
