"""A login moves from one runner to another whose disk is empty, and survives a snapshot that is damaged."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chalicelib.model import Assistant, EventKind, Policies, Session, SnapshotVersion, Tenant, TenantState, snapshot_key
from chalicelib.wiring import Services
from infrastructure.local.stack import LocalStack, local_stack
from runner.profile.archive import pack
from runner.profile.manifest import Manifest
from tests.simulators.whatsapp.client import PhoneClient, SimulatorClient
from wire import Phase

pytestmark = [pytest.mark.chromium, pytest.mark.stack, pytest.mark.timeout(240)]

T = "movingtenant"
NUMBER = "491733333333"
CONTACT = "491755500001"


@dataclass
class Line:
    """A linked line on a stack with two runners, and the actions of the tests on it."""

    stack: LocalStack
    services: Services
    phone: PhoneClient

    @property
    def session(self) -> Session:
        return self.services.sessions.get(T)

    @property
    def snapshots(self) -> tuple[SnapshotVersion, ...]:
        return self.session.snapshots

    @property
    def holder(self) -> str:
        """The slot of the runner that holds the line: ``runner-1`` or ``runner-2``."""
        runner = self.services.runners.get(self.session.runner or "")
        assert runner is not None
        return runner.task.rpartition("/")[2].rpartition("-")[0]

    def data_of(self, slot: str) -> Path:
        return self.stack.settings.data / "runners" / slot.replace("runner", "slot") / T

    @property
    def fallbacks(self) -> list[str]:
        """The details of the timeline's restores that fell back, newest first."""
        events = self.services.timeline.latest(T)
        return [event.detail for event in events if event.kind is EventKind.RESTORE_FELL_BACK]

    def lose_disk(self, slot: str) -> None:
        """Removes the line's data, as the end of a container does. A killed browser may still write for a moment."""

        def lost() -> bool:
            shutil.rmtree(self.data_of(slot), ignore_errors=True)
            return not self.data_of(slot).exists()

        until(lost, 10)

    def become_online(self, after_epoch: int) -> float:
        """Waits until the line is online at a later epoch, without a code in between; returns the seconds."""
        started = time.monotonic()

        def online() -> bool:
            session = self.session
            assert session.phase not in (Phase.QR, Phase.LOGGED_OUT), session
            return session.epoch > after_epoch and session.phase is Phase.ONLINE

        until(online, 30)
        return time.monotonic() - started

    def answers(self, text: str) -> None:
        contact = self.phone.contact(CONTACT, "Carla")
        before = len(contact.replies())
        contact.write(text)
        replies = contact.wait_for_reply(before + 1, timeout=30)
        assert f'"{text}"' in replies[-1]["text"]
        assert self.phone.view()["duplicates"] == 0


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def damaged(snapshot: SnapshotVersion) -> str:
    return f"snapshot {snapshot.epoch}-{snapshot.sequence}: the archive is not the one that was committed"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    data = tmp_path_factory.mktemp("moving") / "data"
    with (
        local_stack(data, runners=2, app_settings={"RUNNERS_AT_LEAST": "2"}) as stack,
        pytest.MonkeyPatch.context() as patch,
        SimulatorClient(stack.phone_url) as whatsapp,
    ):
        for name, value in stack.environment.items():
            patch.setenv(name, value)
        services = Services(stack.environment)
        create(services)
        until(lambda: sum(1 for _ in services.runners.alive()) == 2, 30)
        services.placement.keep_awake(T, services.clock())
        until(lambda: services.sessions.get(T).qr is not None, 30)
        code = services.sessions.get(T).qr
        assert code is not None
        phone = whatsapp.phone(NUMBER, "Bakery Moving")
        phone.scan(code.code)
        until(lambda: services.sessions.get(T).phase is Phase.ONLINE, 30)
        yield Line(stack, services, phone)


def create(services: Services) -> None:
    tenant = Tenant(
        id=T,
        name="Bakery Moving",
        owner_email="owner@example.com",
        language="en",
        state=TenantState.ACTIVE,
        revision=1,
        created_at=services.clock(),
        assistant_version=1,
        key_ciphertext=services.key_encryption.encrypt(T, "sk-story-moving-9999MOVE"),
        key_last4="MOVE",
        policies=Policies(replies_per_minute=0, replies_per_contact_per_day=0),
    )
    services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "You sell bread. Be brief."), by="test")


def test_killed_after_its_first_snapshot_the_line_is_online_elsewhere_without_a_new_code(line: Line) -> None:
    until(lambda: bool(line.snapshots), 25)
    [first] = line.snapshots
    holder, epoch = line.holder, line.session.epoch
    assert not line.data_of("runner-2" if holder == "runner-1" else "runner-1").exists()
    os.kill(line.stack.pids[holder], signal.SIGKILL)
    line.lose_disk(holder)
    seconds = line.become_online(epoch)
    print(f"killed: online again after {seconds:.1f} s, snapshot of {first.size_bytes} bytes")
    line.answers("Who are you after a kill?")


def test_drained_the_line_takes_its_very_last_state_along(line: Line) -> None:
    holder, session = line.holder, line.session
    other = "runner-2" if holder == "runner-1" else "runner-1"
    line.lose_disk(other)
    os.kill(line.stack.pids[holder], signal.SIGTERM)
    seconds = line.become_online(session.epoch)
    newest = line.snapshots[0]
    assert newest.epoch == session.epoch, "the last holder saved what it left"
    print(f"drained: online again after {seconds:.1f} s, snapshot of {newest.size_bytes} bytes")
    line.answers("Who are you after a drain?")


def test_with_the_newest_snapshot_damaged_the_one_before_is_used_and_nothing_is_deleted(line: Line) -> None:
    services = line.services
    services.tenants.set_state(T, TenantState.PAUSED, now=services.clock(), by="test")
    services.placement.apply_state(T, TenantState.PAUSED, services.clock())
    until(lambda: line.session.runner is None, 30)
    epoch, before = line.session.epoch, line.snapshots
    assert len(before) >= 2
    s3 = line.stack.client("s3")
    bucket = line.stack.created.bucket
    whole = s3.get_object(Bucket=bucket, Key=before[0].key)["Body"].read()
    torn = bytes([*whole[:-100], whole[-100] ^ 1, *whole[-99:]])
    s3.put_object(Bucket=bucket, Key=before[0].key, Body=torn)
    for slot in ("runner-1", "runner-2"):
        line.lose_disk(slot)
    services.tenants.set_state(T, TenantState.ACTIVE, now=services.clock(), by="test")
    services.placement.apply_state(T, TenantState.ACTIVE, services.clock())
    seconds = line.become_online(epoch)
    print(f"damaged: online again after {seconds:.1f} s")
    line.answers("Who are you after a fall?")
    assert line.fallbacks == [
        f"snapshot {before[0].epoch}-{before[0].sequence}: the archive is not the one that was committed"
    ]
    assert {each.key for each in before} <= {each.key for each in services.blobs.list_prefix("profiles/")}


def test_a_sound_snapshot_of_a_login_that_is_not_one_shows_a_code_to_nobody(line: Line, tmp_path: Path) -> None:
    services, session, holder = line.services, line.session, line.holder
    empty = tmp_path / "empty"
    empty.mkdir()
    manifest = Manifest(tenant=T, epoch=session.epoch, sequence=900, chromium="1.0", files=[])
    packed = pack(empty, manifest, tmp_path / "archive")
    key = snapshot_key(T, session.epoch, 900, packed.sha256)
    bucket = line.stack.created.bucket
    line.stack.client("s3").put_object(Bucket=bucket, Key=key, Body=packed.path.read_bytes())
    place = (key, session.epoch, 900, packed.sha256, packed.size_bytes)
    newest = SnapshotVersion(*place, chromium="1.0", wa_js="", taken_at=services.clock())
    assert services.snapshots.commit(T, session.runner or "", newest, services.clock())
    for slot in ("runner-1", "runner-2"):
        if slot != holder:
            line.lose_disk(slot)
    os.kill(line.stack.pids[holder], signal.SIGKILL)
    line.lose_disk(holder)
    seconds = line.become_online(session.epoch)
    print(f"fallen back: online again after {seconds:.1f} s")
    line.answers("Who are you after two falls?")
    # After it came the one that the test before this damaged, and then a good one.
    assert line.fallbacks[:2] == [damaged(session.snapshots[0]), f"snapshot {session.epoch}-900: it shows a code"]
    assert sum(event.kind is EventKind.LINKED for event in services.timeline.latest(T)) == 1
