"""Profiles are saved and restored; no failure makes an older login count as a newer one."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.browser.process_freeze import FrozenBrowser
from runner.control_plane.client import TransientError
from runner.disk import ROOM_TO_PACK_BYTES, Disk
from runner.log_events import LogEvent
from runner.profile.archive import ChromiumTooOld, pack
from runner.profile.directory import Profile
from runner.profile.restorer import MAX_STEPS_BACK, MAX_SUSPECT_OPENINGS, Restorer
from runner.profile.saver import Saver, SharedResources
from runner.profile.staged_copy import copy_profile
from tests.unit.support.runner_fakes import TENANT, FakeClient, FakeClock, FakeControl
from wire import Hold, SaveProblem, SnapshotVersion, Wanted

NUMBER = "491701111111"
LOGIN = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb/000003.log"


@dataclass
class FakeJournal:
    """The counters of a journal."""

    seen_count: int = 0
    write_errors: int = 0


class Machine:
    """One runner's disk, and a session's saver and restorer on it."""

    def __init__(self, directory: Path, control: FakeControl, hold: Hold, chromium: str = "156.0.1.2") -> None:
        self.control = control
        self.clock = FakeClock()
        self.free = 1 << 40
        self.profile = Profile(directory, TENANT)
        self.profile.home.mkdir(parents=True, exist_ok=True)
        self.journal = FakeJournal()
        self.frozen = 0
        self.online = True
        self.takes_too_long = False
        self.move_to(hold, chromium)

    def move_to(self, hold: Hold, chromium: str = "156.0.1.2") -> None:
        """The session is held here at this epoch."""
        self.hold = self.control.hold(**hold.model_dump())
        packing = asyncio.Semaphore(1)
        self.shared = SharedResources(Disk(self.profile.home, lambda _: self.free), packing, chromium, "4.6.0")
        self.restorer = Restorer(
            hold=self.hold,
            client=FakeClient(self.control),
            profile=self.profile,
            packing=packing,
            chromium=chromium,
            clock=self.clock,
        )
        self.start_again()

    def start_again(self) -> None:
        """The session was killed, and is started again by the same process, at the same epoch."""
        self.saver = Saver(
            hold=self.hold,
            client=FakeClient(self.control),
            profile=self.profile,
            journal=self.journal,
            shared=self.shared,
            clock=self.clock,
        )

    def login(self, text: str) -> Path:
        """A browser worked here and wrote this."""
        directory = self.profile.open(self.hold.epoch).directory
        (directory / LOGIN).parent.mkdir(parents=True, exist_ok=True)
        (directory / LOGIN).write_text(text)
        self.profile.mark_linked(self.hold.epoch)
        return directory

    async def opened(self) -> tuple[str | None, bool]:
        directory, linked = await self.restorer.open(self.hold)
        login = directory / LOGIN
        return login.read_text() if login.exists() else None, linked

    @contextmanager
    def freeze(self) -> Iterator[FrozenBrowser]:
        self.frozen += 1
        frozen = FrozenBrowser()
        if self.takes_too_long:
            frozen.thaw()
        yield frozen

    async def is_online(self) -> bool:
        return self.online

    async def keep_for(self, seconds: float, directory: Path) -> None:
        """The session is online so long."""
        keeping = asyncio.create_task(self.saver.run(directory, self.freeze, self.is_online))
        for _ in range(int(seconds)):
            await self.clock.advance(1)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    def is_suspect(self) -> bool:
        """Returns whether the profile on the disk is suspect."""
        return self.profile.is_suspect

    @property
    def kept(self) -> list[SnapshotVersion]:
        return self.control.snapshots.get(TENANT, [])


@pytest.fixture(autouse=True)
def no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs threads' work at once: the fake clock does not wait for another thread."""

    async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


def hold(epoch: int, last_epoch: int | None = None, number: str | None = NUMBER) -> Hold:
    return Hold(tenant=TENANT, epoch=epoch, wanted=Wanted.RUN, number=number, last_epoch=last_epoch)


@pytest.fixture
def first(tmp_path: Path, control: FakeControl) -> Machine:
    """The machine on which the account was linked."""
    return Machine(tmp_path / "first", control, hold(2))


def problem_of(machine: Machine) -> SaveProblem | None:
    """Why its profile is not saved."""
    return machine.saver.problem


async def saved(machine: Machine, *logins: str) -> None:
    for login in logins:
        await machine.saver.save_final(machine.login(login))


# -- saving -------------------------------------------------------------------------------------------------------


async def test_a_fresh_login_is_frozen_copied_and_committed(first: Machine) -> None:
    directory = first.login("one")
    first.saver.linked()
    first.saver.online(True)
    await first.keep_for(20, directory)
    assert first.frozen == 1
    [only] = first.kept
    assert (only.epoch, only.sequence, only.chromium, only.wa_js) == (2, 1, "156.0.1.2", "4.6.0")
    assert only.size_bytes == len(first.control.stored[only.key])


async def test_messages_make_a_snapshot_due_and_unchanged_files_make_none(first: Machine) -> None:
    directory = first.login("one")
    first.saver.online(True)
    await first.keep_for(400, directory)
    assert first.frozen == 2
    assert len(first.kept) == 1, "the second time nothing had changed"
    first.journal.seen_count += 1
    first.login("two")
    await first.keep_for(20, directory)
    assert [one.sequence for one in first.kept] == [2, 1]


async def test_a_session_started_again_at_the_same_epoch_continues_the_sequence(first: Machine) -> None:
    await saved(first, "one", "two")
    first.start_again()
    await saved(first, "three")
    assert [(one.epoch, one.sequence) for one in first.kept] == [(2, 3), (2, 2), (2, 1)]
    first.hold = first.control.hold(epoch=3)
    first.start_again()
    await saved(first, "four")
    assert (first.kept[0].epoch, first.kept[0].sequence) == (3, 1)


async def test_an_uncommitted_snapshot_does_not_count(first: Machine, caplog: pytest.LogCaptureFixture) -> None:
    await saved(first, "one", "two", "three", "four", "five")
    first.shared.begun.clear()
    directory = first.login("six")
    first.start_again()
    first.saver.linked()
    first.saver.online(True)
    caplog.clear()
    with caplog.at_level("INFO", logger="runner"):
        await first.keep_for(20, directory)
        assert [record.message for record in caplog.records] == [LogEvent.SNAPSHOT_FAILED]
        await first.keep_for(3_000, directory)
    assert [record.message for record in caplog.records][1:] == [LogEvent.SNAPSHOTS_RECOVERED, LogEvent.SNAPSHOT_TAKEN]
    assert first.kept[0].sequence == 6


async def test_the_final_snapshot_is_of_a_closed_browser_and_needs_no_freeze(first: Machine) -> None:
    await saved(first, "one")
    assert (len(first.kept), first.frozen) == (1, 0)


async def test_a_page_that_is_not_online_any_more_is_not_saved(first: Machine) -> None:
    directory = first.login("one")
    first.saver.linked()
    first.saver.online(True)
    first.online = False
    await first.keep_for(20, directory)
    assert (first.frozen, first.kept) == (1, [])


async def test_a_copy_that_took_too_long_is_discarded(first: Machine) -> None:
    directory = first.login("one")
    first.saver.linked()
    first.saver.online(True)
    first.takes_too_long = True
    await first.keep_for(20, directory)
    assert (first.frozen, first.kept, first.control.stored) == (1, [], {})
    assert first.profile.leftover_scratch() == []


async def test_a_store_that_is_down_is_retried_and_logged_once(
    first: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    directory = first.login("one")
    first.saver.linked()
    first.saver.online(True)
    first.control.store_down = True
    with caplog.at_level("INFO", logger="runner"):
        await first.keep_for(100, directory)
        first.control.store_down = False
        await first.keep_for(300, directory)
    logged = [record.message for record in caplog.records]
    assert logged == [LogEvent.SNAPSHOT_FAILED, LogEvent.SNAPSHOTS_RECOVERED, LogEvent.SNAPSHOT_TAKEN]
    assert len(first.kept) == 1


async def test_without_room_on_the_disk_nothing_is_copied(first: Machine) -> None:
    directory = first.login("one")
    first.saver.linked()
    first.saver.online(True)
    first.free = 1 << 29
    await first.keep_for(20, directory)
    assert (first.frozen, first.kept) == (0, [])


async def test_a_session_that_another_runner_holds_saves_nothing_and_ends_soon(first: Machine) -> None:
    directory = first.login("one")
    first.control.hold(epoch=3)
    await first.saver.save_final(directory)
    assert first.control.stored == {}


async def test_a_linked_file_that_changes_after_the_thaw_is_copied_the_next_time(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = first.login("one")
    table = directory / LOGIN.replace("000003.log", "000005.ldb")
    table.write_text("table")
    os.utime(table, (1_600_000_000, 1_600_000_000))

    def growing(*arguments: Any, **more: Any) -> Any:
        with table.open("a") as file:
            file.write(" more")
        return pack(*arguments, **more)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("runner.profile.saver.pack", growing)
        first.saver.linked()
        first.saver.online(True)
        await first.keep_for(12, directory)
        assert (first.frozen, first.kept, first.saver.problem) == (1, [], SaveProblem.TOO_SLOW)
    await first.keep_for(300, directory)
    assert len(first.kept) == 1 and first.saver.problem is None
    second = Machine(first.profile.home.parent.parent / "second", first.control, hold(4, last_epoch=2))
    await second.opened()
    restored = second.profile.open(4).directory / table.relative_to(directory)
    assert restored.read_text() == "table more"


async def test_a_profile_that_is_too_large_is_said_as_a_warning_and_as_a_problem(
    first: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    directory = first.login("one" * 10_000)
    monkeypatch.setattr("runner.profile.saver.pack", partial(pack, max_bytes=50))
    first.saver.linked()
    first.saver.online(True)
    with caplog.at_level("INFO", logger="runner"):
        await first.keep_for(600, directory)
    assert first.saver.problem is SaveProblem.TOO_LARGE
    assert [(record.message, record.levelname) for record in caplog.records] == [(LogEvent.SNAPSHOT_FAILED, "WARNING")]
    assert first.clock.now() - first.saver.saved_at == 600.0
    assert first.profile.leftover_scratch() == []


async def test_the_age_of_what_is_saved_counts_from_the_first_unsaved_change(first: Machine) -> None:
    directory = first.login("one")
    begun_at = first.clock.now()
    first.saver.online(True)
    assert first.saver.saved_at == begun_at
    await first.keep_for(400, directory)
    assert first.saver.saved_at == first.clock.now(), "nothing happened since"
    first.control.store_down = True
    first.login("two")
    first.journal.seen_count += 1
    await first.keep_for(3_600, directory)
    assert first.clock.now() - first.saver.saved_at > 3_600
    assert first.saver.problem is SaveProblem.NOT_STORED
    first.control.store_down = False
    await first.keep_for(600, directory)
    assert first.saver.saved_at == first.clock.now()
    assert not problem_of(first)


async def test_a_full_disk_is_the_problem_until_there_is_room(first: Machine) -> None:
    directory = first.login("one")
    first.saver.new_browser()
    first.saver.linked()
    first.saver.online(True)
    first.free = 1 << 29
    await first.keep_for(20, directory)
    assert first.saver.problem is SaveProblem.DISK_FULL
    first.free = 1 << 40
    await first.keep_for(60, directory)
    assert not problem_of(first)
    assert len(first.kept) == 1


async def test_a_line_that_rests_is_saved_again_after_a_full_moment_and_has_no_problem_then(first: Machine) -> None:
    directory = first.login("one")
    first.saver.new_browser()
    first.saver.linked()
    first.saver.online(True)
    await first.keep_for(400, directory)  # all is saved, and nobody writes any more
    first.free = 0
    await first.keep_for(30, directory)
    assert (first.saver.problem, first.saver.saved_at < first.clock.now() - 20) == (SaveProblem.DISK_FULL, True)
    first.free = 1 << 40
    first.saver.new_browser()
    first.saver.online(True)
    await first.keep_for(60, directory)
    assert (problem_of(first), first.saver.saved_at > first.clock.now() - 60) == (None, True)


async def test_a_snapshot_leaves_room_for_the_browsers_of_all_sessions(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its archive may be as large as its profile: the disk has room when it begins, and would be full in the end."""
    directory = first.login("one")
    first.saver.new_browser()
    first.saver.linked()
    first.saver.online(True)
    free_while_packed = ROOM_TO_PACK_BYTES - 1

    def shrink(*arguments: Any, **more: Any) -> Any:
        copied = copy_profile(*arguments, **more)
        first.free = free_while_packed
        return copied

    monkeypatch.setattr("runner.profile.saver.copy_profile", shrink)
    await first.keep_for(20, directory)
    assert (first.kept, problem_of(first), first.is_suspect()) == ([], SaveProblem.DISK_FULL, False)
    assert first.profile.leftover_scratch() == []
    free_while_packed, first.free = ROOM_TO_PACK_BYTES, 1 << 40
    await first.keep_for(20, directory)
    assert (len(first.kept), problem_of(first)) == (1, None)


# -- a disk without room ------------------------------------------------------------------------------------------


async def a_full_moment(machine: Machine, directory: Path) -> None:
    """A second without any room, while a browser that is online uses the profile."""
    machine.saver.new_browser()
    machine.saver.online(True)
    machine.free = 0
    await machine.keep_for(2, directory)
    machine.free = 1 << 40


async def test_a_profile_that_was_in_use_on_a_full_disk_never_replaces_a_good_snapshot(first: Machine) -> None:
    await saved(first, "one")
    directory = first.login("spoiled")
    await a_full_moment(first, directory)
    first.journal.seen_count += 1
    await first.keep_for(120, directory)
    await first.saver.save_final(directory)
    assert [each.sequence for each in first.kept] == [1]
    assert first.is_suspect()


async def test_a_mark_that_the_full_disk_refused_is_made_as_soon_as_there_is_room(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    directory = first.login("one")
    with monkeypatch.context() as refusing:
        refusing.setattr(Profile, "mark_suspect", full)
        await a_full_moment(first, directory)
    assert not first.is_suspect()
    await first.keep_for(1, directory)
    assert first.is_suspect()


async def test_a_suspect_profile_is_saved_again_once_a_new_browser_came_online_with_it(first: Machine) -> None:
    directory = first.login("one")
    await a_full_moment(first, directory)
    first.saver.online(True)  # the old browser goes on in memory: that proves nothing
    assert first.is_suspect()
    first.move_to(hold(2))  # the process was killed; the mark stays on its disk
    assert first.is_suspect()
    first.saver.new_browser()
    await first.keep_for(120, directory)
    assert first.kept == [], "it did not come online"
    first.saver.online(True)
    assert not first.is_suspect()
    await first.saver.save_final(directory)
    assert [each.sequence for each in first.kept] == [1]


async def test_a_browser_that_was_started_while_there_is_no_room_proves_nothing(first: Machine) -> None:
    directory = first.login("one")
    await a_full_moment(first, directory)
    first.free = 1 << 20
    first.saver.new_browser()
    first.saver.online(True)
    assert first.is_suspect() and not first.saver.needs_new_browser()
    first.free = 1 << 40
    assert first.saver.needs_new_browser()


async def test_a_disk_that_was_full_while_the_runner_stood_still_makes_the_profile_suspect(first: Machine) -> None:
    directory = first.login("one")
    first.saver.new_browser()
    first.saver.linked()
    first.saver.online(True)
    keeping = asyncio.create_task(first.saver.run(directory, first.freeze, first.is_online))
    await first.clock.advance(3)
    first.login("spoiled")  # the browser worked on; there was no room meanwhile, and there is again
    await first.clock.advance(36, step=36)
    await first.clock.advance(120)
    assert first.is_suspect() and first.kept == []
    assert first.saver.needs_new_browser()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    first.saver.new_browser()
    first.saver.online(True)
    assert not first.is_suspect()


async def test_a_browser_that_starts_and_closes_slowly_is_not_taken_for_a_runner_that_stood_still(
    first: Machine,
) -> None:
    directory = first.login("one")
    first.saver.new_browser()
    await first.clock.advance(60, step=60)
    first.saver.online(True)
    await first.keep_for(5, directory)
    await first.clock.advance(10, step=10)
    await first.saver.save_final(directory)
    assert not first.is_suspect()
    assert [each.sequence for each in first.kept] == [1]


async def test_a_refused_write_of_the_journal_makes_the_profile_suspect(first: Machine) -> None:
    directory = first.login("one")
    first.saver.new_browser()
    first.saver.online(True)
    first.journal.write_errors += 1  # although it reports enough room
    await first.saver.save_final(directory)
    assert first.is_suspect() and first.kept == []


async def test_a_refused_write_of_the_copy_makes_the_profile_suspect(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    directory = first.login("one")
    first.saver.new_browser()
    monkeypatch.setattr("runner.profile.saver.pack", full)
    await first.saver.save_final(directory)
    assert first.is_suspect() and first.kept == []


async def test_a_copy_during_which_the_disk_ran_full_is_not_stored(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any, **more: Any) -> Any:
        first.free = 0
        return copy_profile(*arguments, **more)

    directory = first.login("one")
    first.saver.new_browser()
    monkeypatch.setattr("runner.profile.saver.copy_profile", slowly)
    await first.saver.save_final(directory)
    assert first.is_suspect() and first.control.stored == {}


async def test_a_suspect_profile_that_does_not_come_online_gives_way_to_the_last_snapshot(
    first: Machine,
) -> None:
    await saved(first, "good")
    directory = first.login("spoiled")
    await a_full_moment(first, directory)
    first.move_to(hold(4, last_epoch=2))
    for _ in range(MAX_SUSPECT_OPENINGS):
        assert await first.opened() == ("spoiled", True)  # the newest there is, if it serves
    assert await first.opened() == ("good", True)
    assert not first.is_suspect()


async def test_a_suspect_profile_gives_way_even_if_each_attempt_ends_its_session(first: Machine) -> None:
    await saved(first, "good")
    directory = first.login("spoiled")
    await a_full_moment(first, directory)
    for epoch in range(4, 4 + 2 * MAX_SUSPECT_OPENINGS, 2):
        first.move_to(hold(epoch, last_epoch=epoch - 2))  # given up, and given to this runner again
        assert await first.opened() == ("spoiled", True)
    first.move_to(hold(20, last_epoch=18))
    assert await first.opened() == ("good", True)


async def test_a_copy_that_a_full_disk_spoiled_is_no_fault_of_its_snapshot(first: Machine, tmp_path: Path) -> None:
    """The only snapshot there is; its copy was never online, and shows a code after the disk was full."""
    await saved(first, "good")
    second = Machine(tmp_path / "second", first.control, hold(4, last_epoch=2))
    for _ in range(MAX_STEPS_BACK + 2):
        assert await second.opened() == ("good", True)
        second.saver.new_browser()
        second.free = 0
        await second.keep_for(2, second.login("spoiled"))
        second.free = 1 << 40
        assert await second.restorer.step_back(second.hold)
    assert await second.opened() == ("good", True)
    assert not second.is_suspect()
    assert await second.restorer.step_back(second.hold) is False, "without a full disk the snapshot is the reason"


async def test_a_suspect_profile_is_still_better_than_no_login(first: Machine) -> None:
    directory = first.login("spoiled")
    await a_full_moment(first, directory)
    first.move_to(hold(4, last_epoch=2))
    for _ in range(MAX_SUSPECT_OPENINGS + 2):
        assert await first.opened() == ("spoiled", True)


async def test_a_browser_that_takes_too_much_of_the_disk_ends_and_the_newest_snapshot_takes_its_place(
    first: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await saved(first, "good")
    monkeypatch.setattr("runner.profile.disk_check.MAX_PROFILE_BYTES", 1_000_000)
    directory = first.login("small")
    ended: list[float] = []
    with caplog.at_level("INFO", logger="runner"):
        keeping = asyncio.create_task(
            first.saver.run(directory, first.freeze, first.is_online, lambda: ended.append(first.clock.now()))
        )
        await first.clock.advance(60)
        assert ended == []
        (directory / "Default" / "anything").write_bytes(bytes(1_100_000))
        await first.clock.advance(60)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert len(ended) == 1
    assert LogEvent.PROFILE_TOO_LARGE in [record.message for record in caplog.records]
    await first.saver.save_final(directory)
    assert [each.sequence for each in first.kept] == [1], "nothing of it is saved"
    first.move_to(hold(4, last_epoch=2))
    assert await first.opened() == ("good", True)
    assert not list(first.profile.home.glob("set-aside-*"))


# -- restoring ----------------------------------------------------------------------------------------------------


async def test_a_session_that_was_never_linked_asks_for_no_snapshot(first: Machine) -> None:
    first.move_to(hold(3, number=None))
    assert await first.opened() == (None, False)
    assert first.control.restores == []


async def test_an_empty_disk_starts_from_the_newest_snapshot(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one", "two")
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    assert await second.opened() == ("two", True)
    assert second.profile.leftover_scratch() == []
    marker = second.profile.marker()
    assert marker is not None
    assert (marker.epoch, marker.linked) == (4, True)


async def test_this_machines_own_profile_is_used_if_no_other_runner_held_the_session_since(first: Machine) -> None:
    await saved(first, "one")
    first.login("newer than the snapshot")
    first.move_to(hold(4, last_epoch=2))
    assert await first.opened() == ("newer than the snapshot", True)
    assert first.control.restores == []


async def test_this_machines_own_profile_is_used_after_the_control_plane_was_restored(first: Machine) -> None:
    first.move_to(hold(1, last_epoch=None))
    await saved(first, "one")
    first.move_to(hold(7, last_epoch=5))
    first.login("newer than the snapshot")
    # The claim at epoch 7 was never written down: the restored state remembers 5, and leaps.
    first.move_to(hold(1007, last_epoch=5))
    assert await first.opened() == ("newer than the snapshot", True)


async def test_if_another_runner_held_the_session_since_the_snapshot_is_newer(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one")
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    await second.opened()
    await saved(second, "two")
    first.move_to(hold(6, last_epoch=4))
    assert await first.opened() == ("two", True)
    assert (first.profile.home / "set-aside-epoch-2" / LOGIN).read_text() == "one"


async def test_a_damaged_snapshot_is_skipped_reported_and_not_deleted(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one", "two", "three")
    three, two, _ = first.kept
    control.stored[three.key] = b"x" + control.stored[three.key][1:]
    del control.stored[two.key]
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    assert await second.opened() == ("one", True)
    assert [request.reason for request in control.restores] == [
        "",
        "snapshot 2-3: the archive is not the one that was committed",
        "snapshot 2-2: it cannot be fetched (store_404)",
    ]
    assert three.key in control.stored


async def test_a_store_that_does_not_answer_is_waited_for_instead_of_an_older_login(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one", "two")
    control.store_down = True
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    with pytest.raises(TransientError):
        await second.opened()
    control.store_down = False
    assert await second.opened() == ("two", True)


async def test_an_older_chromium_leaves_a_newer_ones_snapshot_alone(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one")
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2), chromium="155.0.0.0")
    with pytest.raises(ChromiumTooOld):
        await second.opened()


async def test_a_snapshot_that_shows_a_code_is_skipped_until_none_is_left(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one", "two", "three")
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    assert await second.opened() == ("three", True)
    assert await second.restorer.step_back(second.hold)
    assert await second.opened() == ("two", True)
    assert await second.restorer.step_back(second.hold)
    assert await second.opened() == ("one", True)
    assert not await second.restorer.step_back(second.hold)
    second.restorer.give_up()
    assert len(second.kept) == 3
    reasons = [request.reason for request in control.restores if request.reason]
    assert reasons == [f"snapshot 2-{sequence}: it shows a code" for sequence in (3, 2, 1)]
    assert not list(second.profile.home.glob("set-aside-*")), "copies of snapshots need no keeping"


async def test_this_machines_own_profile_that_shows_a_code_is_kept_and_the_newest_snapshot_tried(
    first: Machine,
) -> None:
    await saved(first, "one")
    first.login("broken")
    first.move_to(hold(4, last_epoch=2))
    await first.opened()
    assert await first.restorer.step_back(first.hold)
    assert await first.opened() == ("one", True)
    assert (first.profile.home / "set-aside-epoch-4" / LOGIN).read_text() == "broken"


async def test_a_restored_profile_that_was_online_is_a_profile_of_its_own(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one")
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    await second.opened()
    second.restorer.came_online()
    await saved(second, "two")
    second.login("broken later")
    assert await second.restorer.step_back(second.hold)
    assert await second.opened() == ("two", True)
    assert (second.profile.home / "set-aside-epoch-4" / LOGIN).read_text() == "broken later"


async def test_a_login_that_is_lost_again_and_again_is_lost(first: Machine) -> None:
    await saved(first, "one")
    for _ in range(MAX_STEPS_BACK):
        assert await first.restorer.step_back(first.hold)
        await first.opened()
        first.restorer.came_online()
    assert not await first.restorer.step_back(first.hold)


async def test_an_account_without_any_snapshot_is_known_to_be_lost_when_a_code_shows(
    tmp_path: Path, control: FakeControl
) -> None:
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    assert await second.opened() == (None, True)
    assert not await second.restorer.step_back(second.hold)
    second.restorer.give_up()
    assert await second.opened() == (None, False)


async def test_while_the_control_plane_is_away_the_next_try_waits(
    first: Machine, tmp_path: Path, control: FakeControl
) -> None:
    await saved(first, "one", "two")
    second = Machine(tmp_path / "second", control, hold(4, last_epoch=2))
    await second.opened()
    control.down = True
    assert await second.restorer.step_back(second.hold)
    with pytest.raises(TransientError):
        await second.opened()
    control.down = False
    assert await second.opened() == ("one", True)
    assert [request.reason for request in control.restores if request.reason] == ["snapshot 2-2: it shows a code"]


async def test_a_browser_that_fills_the_disk_itself_is_closed_all_the_same(
    first: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    directory = first.login("one")
    first.saver.new_browser()
    closed: list[bool] = []
    monkeypatch.setattr(Profile, "_write", full)
    monkeypatch.setattr("runner.profile.disk_check.MAX_PROFILE_BYTES", -1)
    saving = asyncio.create_task(first.saver.run(directory, first.freeze, first.is_online, lambda: closed.append(True)))
    await first.clock.advance(3)
    assert (closed, saving.done()) == ([True], False)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
