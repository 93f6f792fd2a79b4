"""Recovery: what went back in time is found and repaired; each runner still knows whether its profile is the newest."""

from pathlib import Path

import pytest

from chalicelib.model import Assistant, RunnerState, SnapshotVersion, Tenant, TenantState, snapshot_key
from chalicelib.store.table import Table, Update
from chalicelib.wiring import Services
from infrastructure.local import recovery
from infrastructure.local.recovery import EPOCH_LEAP, repair, went_back_in_time
from runner.profile.directory import Profile
from tests.unit.conftest import SESSION, Clock

T = "tenantaaaa"


BOOT, OTHER = "0e57c1a2-5c3b-4d6f-8a0e-000000000001", "0e57c1a2-5c3b-4d6f-8a0e-000000000002"


@pytest.mark.parametrize(
    ("marker", "boot", "expected"),
    [
        (None, BOOT, False),  # the first start, or after a stop
        (None, "", False),
        (BOOT, BOOT, False),  # everything was killed on this boot: what was acknowledged is there
        (OTHER, BOOT, True),  # it did not stop before the machine booted again
        ("restored", BOOT, True),
        ("restored", "", True),
        ("", BOOT, True),  # a marker that was not written whole
        ("", "", True),
        (BOOT, "", True),  # a system that does not know its boots
        (BOOT[:-1], BOOT, True),
    ],
)
def test_only_a_boot_or_a_restore_turns_the_clock_back(marker: str | None, boot: str, expected: bool) -> None:
    assert went_back_in_time(marker, boot) is expected


def test_the_marker_is_there_while_the_stack_runs(tmp_path: Path) -> None:
    assert recovery.read_marker(tmp_path) is None
    recovery.mark_running(tmp_path, BOOT)
    assert recovery.read_marker(tmp_path) == BOOT
    recovery.mark_restored(tmp_path)
    assert recovery.read_marker(tmp_path) == "restored"
    (tmp_path / recovery.MARKER).write_bytes(b"\xff\x00")
    assert went_back_in_time(recovery.read_marker(tmp_path), BOOT)
    recovery.clear_marker(tmp_path)
    recovery.clear_marker(tmp_path)
    assert recovery.read_marker(tmp_path) is None


def test_a_boot_has_one_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert recovery.boot_of_machine() == recovery.boot_of_machine()
    monkeypatch.setattr(recovery, "BOOT_ID", tmp_path / "missing")
    assert recovery.boot_of_machine() == ""


@pytest.fixture
def machine(services: Services, table: Table, clock: Clock, tmp_path: Path) -> Services:
    """A linked line without a holder, in a table that `recovery.py` can reach."""
    services.__dict__["table"] = table
    tenant = Tenant(T, "Bakery", "owner@example.com", "en", TenantState.ACTIVE, 1, clock(), 1, "sealed", "last")
    services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
    services.table.update(Update(f"TENANT#{T}", "SESSION", set={"number": "491701111111", "linked_at": clock()}))
    return services


def held_by(services: Services, name: str, slot: Path) -> int:
    """The runner of this slot claims the line and opens its profile; the epoch."""
    if services.runners.get(name) is None:
        services.runners.register(name, "hash", 5, services.clock())
    session = services.sessions.get(T)
    assert services.placement.claim(session, name, services.clock())
    profile = Profile(slot, T)
    profile.home.mkdir(parents=True, exist_ok=True)
    profile.open(session.epoch + 1)
    profile.mark_linked(session.epoch + 1)
    return session.epoch + 1


def recovered(services: Services, name: str = "runnerafterwards") -> tuple[int, int | None]:
    """The machine starts again: epoch and last epoch as the next runner hears them."""
    repaired = repair(SESSION.client("dynamodb"), services.table._name, services.clock())
    assert repaired.sessions == 1
    services.runners.register(name, "hash", 5, services.clock())
    assert services.placement.claim(services.sessions.get(T), name, services.clock())
    runner = services.runners.get(name)
    assert runner is not None
    [assignment] = runner.assigned
    return assignment.epoch, assignment.last_epoch


def state(services: Services) -> dict[str, object]:
    item = services.table.get(f"TENANT#{T}", "SESSION")
    assert item is not None
    return item


def set_back(services: Services, before: dict[str, object]) -> None:
    """Sets the state back: later writes were never saved."""
    now = state(services)
    changes = {name: before.get(name) for name in {*before, *now} - {"pk", "sk"}}
    services.table.update(Update(f"TENANT#{T}", "SESSION", set=changes))


def test_the_last_holders_profile_is_still_the_newest(machine: Services, tmp_path: Path) -> None:
    epoch = held_by(machine, "runnerone", tmp_path / "slot-1")
    after, last = recovered(machine)
    assert (after, last) == (epoch + EPOCH_LEAP + 1, epoch)
    assert Profile(tmp_path / "slot-1", T).is_newest(last)
    assert not Profile(tmp_path / "slot-2", T).is_newest(last)
    one = machine.runners.get("runnerone")
    assert one is not None
    assert one.state is RunnerState.DEAD


def test_it_is_the_newest_even_if_the_claim_itself_was_lost(machine: Services, tmp_path: Path) -> None:
    first = held_by(machine, "runnerone", tmp_path / "slot-1")
    assert machine.placement.release(T, "runnerone", first, machine.clock())
    before = state(machine)
    second = held_by(machine, "runnerone", tmp_path / "slot-1")
    set_back(machine, before)
    _, last = recovered(machine)
    assert last == first < second
    assert Profile(tmp_path / "slot-1", T).is_newest(last)


def test_the_profile_of_an_earlier_holder_is_old(machine: Services, tmp_path: Path) -> None:
    first = held_by(machine, "runnerone", tmp_path / "slot-1")
    assert machine.placement.release(T, "runnerone", first, machine.clock())
    held_by(machine, "runnertwo", tmp_path / "slot-2")
    _, last = recovered(machine)
    assert Profile(tmp_path / "slot-2", T).is_newest(last)
    assert not Profile(tmp_path / "slot-1", T).is_newest(last)


def test_the_snapshots_survive_the_epoch_leap(machine: Services, tmp_path: Path) -> None:
    epoch = held_by(machine, "runnerone", tmp_path / "slot-1")
    key = snapshot_key(T, epoch, 1, "a" * 64)
    old = SnapshotVersion(key, epoch, 1, "a" * 64, 10, "156.0", "", machine.clock())
    assert machine.snapshots.commit(T, "runnerone", old, machine.clock())
    after, _ = recovered(machine)
    key = snapshot_key(T, after, 1, "b" * 64)
    new = SnapshotVersion(key, after, 1, "b" * 64, 10, "156.0", "", machine.clock())
    assert machine.snapshots.commit(T, "runnerafterwards", new, machine.clock())
    assert machine.sessions.get(T).snapshots == (new, old)
