"""A login does not stay on a disk that its session left, and none is deleted that may be the only copy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from runner.log_events import LogEvent
from runner.messages.journal_owner import OWNER_FILE
from runner.profile.directory import Profile
from runner.profile.retention import SAVED_KEPT_FOR, UNSAVED_KEPT_FOR, Retention
from tests.unit.support.runner_fakes import TENANT, FakeClock

DAY = 86_400.0


class Disk:
    """A data directory with one profile, last used at the clock's beginning."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.directory = directory
        self.profile = Profile(directory, TENANT)
        self.retention = Retention(directory, partial(Profile, directory), self.clock)
        with self.profile.locked():
            opened = self.profile.open(3)
            (opened.directory / "login").write_text("login")

    def used(self) -> None:
        """The files were written just now, by the fake clock."""
        seconds = self.clock.wall_ms() / 1000
        for path in [self.profile.home, *self.profile.home.rglob("*")]:
            os.utime(path, (seconds, seconds))

    def is_kept_after(self, seconds: float) -> bool:
        self.used()
        self.clock.time += seconds
        self.retention.sweep()
        return (self.profile.home / "current" / "login").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def saved(disk: Disk) -> None:
    disk.profile.mark_linked(3)
    disk.profile.mark_saved()


def unsaved(disk: Disk) -> None:
    disk.profile.mark_linked(3)


def used_again(disk: Disk) -> None:
    saved(disk)
    disk.profile.open(5)


def unlinked(disk: Disk) -> None:
    pass


def waiting(disk: Disk) -> None:
    saved(disk)
    (disk.profile.home / OWNER_FILE).write_text("{}")


@pytest.mark.parametrize(
    ("state", "days", "kept"),
    [
        (saved, 0.99, True),
        (saved, 1.0, False),
        (unlinked, 0.99, True),
        (unlinked, 1.0, False),
        (unsaved, 1.0, True),
        (unsaved, 29.9, True),
        (unsaved, 30.0, False),
        (used_again, 1.0, True),  # what came after the last snapshot is in no other place
        (waiting, 40.0, True),  # messages are still to be handed in
        (saved, -5.0, True),  # a clock that was set back
    ],
)
def test_a_profile_is_deleted_once_nobody_needs_it(
    disk: Disk, state: Callable[[Disk], None], days: float, kept: bool
) -> None:
    state(disk)
    assert disk.is_kept_after(days * DAY) is kept


def test_nothing_of_a_login_is_left_and_it_is_logged(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    saved(disk)
    disk.profile.set_aside()
    disk.profile.mark_suspect()
    disk.profile.journal.write_text("{}")
    with caplog.at_level("INFO", logger="runner"):
        assert not disk.is_kept_after(DAY)
    assert [path.name for path in disk.profile.home.iterdir()] == ["lock"]
    assert [record.message for record in caplog.records] == [LogEvent.PROFILE_DELETED]
    disk.retention.sweep()
    with disk.profile.locked():
        assert disk.profile.open(7).was_linked is False


def test_a_profile_in_use_is_left_alone(disk: Disk) -> None:
    saved(disk)
    with disk.profile.locked():
        assert disk.is_kept_after(40 * DAY)
    assert SAVED_KEPT_FOR < UNSAVED_KEPT_FOR


async def test_the_first_hour_is_for_the_sessions_to_come_back(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[float] = []
    monkeypatch.setattr(disk.retention, "sweep", lambda: swept.append(disk.clock.now()))

    async def at_once(function: Callable[[], None]) -> None:
        function()

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    task = asyncio.create_task(disk.retention.run())
    begun_at = disk.clock.now()
    await disk.clock.advance(3 * 3_600 + 10, step=60)
    task.cancel()
    assert [round(at - begun_at) for at in swept] == [3_600, 7_200, 10_800]
