"""Every journal on the disk is handed in, whatever became of its session, and none holds up another."""

from __future__ import annotations

import asyncio
import errno
import json
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runner.control_plane.capability import hand_in_capability
from runner.control_plane.client import Refused, TransientError, Unauthorised
from runner.log_events import LogEvent
from runner.messages import outbox as outbox_module
from runner.messages.handover import Handover
from runner.messages.journal import Journal
from runner.messages.journal_owner import OWNER_FILE, owner_of
from runner.messages.outbox import (
    EXPIRED_AFTER,
    HELD_BACK_SECONDS,
    MAX_RETRY_SECONDS,
    SCAN_EVERY_SECONDS,
    SLOW_RETRY_SECONDS,
)
from runner.profile.directory import Profile, ProfileBusy
from tests.unit.support.runner_disk import TOKEN, Disk
from tests.unit.support.runner_fakes import TENANT
from wire import MessagesAnswer, MessagesRequest

OTHER = "tenant00002"
THIRD = "tenant00003"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def waiting(disk: Disk, tenant: str = TENANT) -> list[str]:
    """The messages on the disk that the control plane does not have."""
    journal = Journal(disk.path(tenant))
    journal.open()
    journal._close_file()
    return [message.id for message in journal.waiting.values()]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


# -- journals of killed sessions --------------------------------------------------------------------------------------


async def test_what_killed_sessions_left_is_handed_in_once_with_the_capability_beside_it(disk: Disk) -> None:
    disk.leave("A", "B", sent=True)
    disk.leave("C", tenant=OTHER)
    disk.control.reply(TENANT, disk.message("Q"), ["hello"])
    await disk.hand_in()
    assert sorted(disk.handed_in) == [(TENANT, "A"), (TENANT, "B"), (OTHER, "C")]
    assert [part.message for part in disk.control.sent_parts] == [disk.part().message]
    assert set(disk.calls) == {(hand_in_capability(TOKEN, tenant, 4), 4) for tenant in (TENANT, OTHER)}
    assert not list(disk.directory.glob(f"*/{OWNER_FILE}"))
    calls = len(disk.calls)
    await disk.hand_in()
    assert len(disk.calls) == calls


async def test_no_file_on_the_disk_holds_the_runners_token(disk: Disk) -> None:
    disk.leave("A")
    files = [path.read_text() for path in disk.directory.rglob("*") if path.is_file()]
    assert files and not any("secret" in text for text in files)


async def test_a_runners_token_that_a_former_release_stored_is_replaced_by_the_capability_at_once(disk: Disk) -> None:
    disk.leave("A")
    kept = disk.path().with_name(OWNER_FILE)
    kept.write_text(json.dumps({"epoch": 4, "token": TOKEN}))
    disk.errors[TENANT] = [TransientError("busy")] * 9
    await disk.hand_in()
    assert json.loads(kept.read_text())["token"] == hand_in_capability(TOKEN, TENANT, 4)
    disk.errors.clear()
    await disk.hand_in()
    assert disk.handed_in == [(TENANT, "A")]


async def test_a_control_plane_that_is_away_is_asked_again_and_the_next_process_goes_on(disk: Disk) -> None:
    disk.leave("A")
    disk.control.down = True
    disk.clock.time += 2 * EXPIRED_AFTER.total_seconds()
    await disk.hand_in(60)
    assert disk.handed_in == []
    assert 10 <= len(disk.calls) <= 20
    disk.control.down = False
    await disk.hand_in()
    assert disk.handed_in == [(TENANT, "A")]


async def test_a_journal_that_another_process_works_with_is_left_alone_until_it_is_free(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.leave("A")
    async with disk.running():
        pass
    with Profile(disk.directory, OTHER).locked():
        disk.leave("C", tenant=OTHER)
        disk.outbox = disk.process()
        async with disk.running():
            await disk.clock.advance(3 * SCAN_EVERY_SECONDS)
            assert disk.handed_in == [(TENANT, "A")]
            scans = 4
            assert disk.looks.count(OTHER) == 2 * scans, "each time for its journal and for its lock"
    assert events(caplog) == []
    async with disk.running():
        await disk.clock.advance(SCAN_EVERY_SECONDS)
    assert disk.handed_in == [(TENANT, "A"), (OTHER, "C")]


async def test_an_owner_that_cannot_be_read_just_now_is_read_later(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.leave("A")
    opened = Path.open

    def out_of_descriptors(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == OWNER_FILE:
            raise OSError(errno.EMFILE, "too many open files")
        return opened(path, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", out_of_descriptors)
        await disk.hand_in()
    assert disk.handed_in == []
    await disk.hand_in()
    assert disk.handed_in == [(TENANT, "A")]


# -- one journal and the others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "soon"),
    [
        (TransientError("http_503"), True),
        (Refused("bad_request"), False),
        (Unauthorised("unauthorised"), False),
        (ValueError("a bug"), False),
    ],
)
async def test_a_journal_that_fails_delays_no_other_and_only_an_outage_is_tried_again_soon(
    disk: Disk, error: Exception, soon: bool
) -> None:
    for tenant in (TENANT, OTHER, THIRD):
        disk.leave("A", tenant=tenant)
    disk.errors[OTHER] = [error] * 99
    async with disk.running() as task:
        await disk.clock.advance()
        assert sorted(disk.handed_in) == [(TENANT, "A"), (THIRD, "A")]
        for _ in range(int(SLOW_RETRY_SECONDS / 2)):
            await disk.clock.advance(1)
        assert (len(disk.errors[OTHER]) < 98) is soon
        assert not task.done()


async def test_a_call_that_hangs_delays_no_other_journal_and_so_many_are_made_at_once(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_REQUESTS", 2)
    answer, under_way = disk.control.messages, 0

    async def slow(request: MessagesRequest, token: str) -> MessagesAnswer:
        nonlocal under_way
        under_way += 1
        assert under_way <= 2
        await disk.clock.sleep(1000 if request.tenant == TENANT else 1)
        under_way -= 1
        return await answer(request, token)

    disk.control.messages = slow  # type: ignore[method-assign]
    for number in range(1, 9):
        disk.leave("A", tenant=f"tenant{number:05}")
    await disk.hand_in(20)
    assert sorted(tenant for tenant, _ in disk.handed_in) == [f"tenant{number:05}" for number in range(2, 9)]


async def test_files_that_make_no_sense_are_passed_over(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.leave("A", tenant="lost+found")
    disk.leave("B")
    disk.path().with_name(OWNER_FILE).write_text('{"epoch": 0, "token": "runner0001.secret"}')
    disk.leave("C", tenant=OTHER)
    disk.leave("D", tenant=THIRD)
    disk.path(THIRD).with_name(OWNER_FILE).write_text("torn")
    await disk.hand_in(30)
    assert disk.handed_in == [(OTHER, "C")]
    assert waiting(disk, THIRD) == ["D"], "for the tenant's next session on this disk"
    assert events(caplog) == [LogEvent.JOURNAL_FAILED] * 2, "of a tenant and an epoch that no request can name"


async def test_an_error_that_lasts_is_logged_once(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "runner")
    disk.leave("A")
    disk.control.down = True
    async with disk.running():
        await disk.clock.advance(60)
        disk.control.down = False
        await disk.clock.advance(6)
    assert events(caplog) == [LogEvent.HANDING_IN_INTERRUPTED, LogEvent.JOURNAL_HANDED_IN]


async def test_a_journal_without_messages_is_no_news(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "runner")
    disk.control.reply(TENANT, disk.message("Q"), ["hello"])
    disk.leave(sent=True)
    await disk.hand_in()
    assert len(disk.control.sent_parts) == 1
    assert events(caplog) == []


async def test_a_retry_comes_soon_at_first_and_never_late(disk: Disk) -> None:
    disk.leave("A")
    disk.control.down = True
    async with disk.running():
        calls = []
        for _ in range(30):
            await disk.clock.advance(1)
            calls.append(len(disk.calls))
    retries = [second for second, (former, now) in enumerate(pairwise([1, *calls]), 1) if now > former]
    waits = [after - before for before, after in pairwise([0, *retries])]
    assert waits == sorted(waits)
    assert (waits[0] < MAX_RETRY_SECONDS, max(waits)) == (True, MAX_RETRY_SECONDS)


async def test_an_error_that_comes_again_is_logged_again(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "runner")
    async with disk.running():
        session = disk.session()
        with disk.outbox.hosting(session):
            for id in ("A", "B"):
                disk.errors[TENANT] = [TransientError("busy")] * 2
                session.journal.add(id, disk.message(id))
                await disk.clock.advance(10)
    assert events(caplog) == [LogEvent.HANDING_IN_INTERRUPTED] * 2


# -- what a control plane refuses -------------------------------------------------------------------------------------


async def test_a_journal_whose_capability_has_expired_is_dropped_with_the_count_of_its_messages(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.leave("A", "B")
    disk.errors[TENANT] = [Unauthorised("unauthorised")] * 2
    disk.clock.time += EXPIRED_AFTER.total_seconds()
    await disk.hand_in(2 * SLOW_RETRY_SECONDS)
    await disk.hand_in(2 * SLOW_RETRY_SECONDS)
    assert len(disk.calls) == 1
    [record] = [record for record in caplog.records if record.message == LogEvent.JOURNAL_EXPIRED]
    assert vars(record)["fields"] == {"tenant": TENANT, "messages": 2}
    assert waiting(disk) == ["A", "B"], "the tenant's next session on this disk may hand them in"


async def test_a_control_plane_that_knows_no_capabilities_yet_gets_the_journal_once_it_does(disk: Disk) -> None:
    disk.leave("A", sent=True)
    disk.control.reply(TENANT, disk.message("Q"), ["hello"])
    disk.errors[TENANT] = [Unauthorised("unauthorised")] * 4
    async with disk.running():
        await disk.clock.advance(3 * SLOW_RETRY_SECONDS)
    assert disk.handed_in == [(TENANT, "A")]
    assert len(disk.calls) == 6


# -- sessions of this process -----------------------------------------------------------------------------------------


async def test_a_session_only_writes_and_the_outbox_hands_in_at_once_with_the_runners_own_token(disk: Disk) -> None:
    disk.control.reply(TENANT, disk.message("Q"), ["hello"])
    async with disk.running():
        session = disk.session()
        with disk.outbox.hosting(session):
            session.journal.add("A", disk.message("A"))
            session.journal.add_sent(disk.part())
            await disk.clock.advance()
            assert disk.handed_in == [(TENANT, "A")]
            assert len(disk.control.sent_parts) == 1
            assert session.journal.is_empty()
            assert set(disk.calls) == {(TOKEN, 6)}
            assert owner_of(disk.path()) == disk.owner(epoch=6), "the next process may need it"
        assert owner_of(disk.path()) is None


async def test_a_journal_is_handed_in_after_its_session_ended(disk: Disk) -> None:
    disk.control.down = True
    async with disk.running():
        session = disk.session()
        with disk.outbox.hosting(session):
            session.journal.add("A", disk.message("A"))
        with pytest.raises(ProfileBusy), Profile(disk.directory, TENANT).locked():
            pass
        await disk.clock.advance(10)
        disk.control.down = False
        await disk.clock.advance(6)
        assert disk.handed_in == [(TENANT, "A")]
        with Profile(disk.directory, TENANT).locked():
            pass


async def test_a_session_that_comes_back_gets_its_journal_with_what_waits_before_what_it_reads(disk: Disk) -> None:
    disk.leave("A")
    disk.control.down = True
    async with disk.running():
        await disk.clock.advance(3)
        session = disk.session()
        with disk.outbox.hosting(session):
            assert [*session.journal.waiting] == ["A"]
            session.journal.add("B", disk.message("B"))
            disk.control.down = False
            await disk.clock.advance(1)
            assert disk.handed_in == [(TENANT, "A"), (TENANT, "B")]
            assert [request.epoch for request in disk.control.handed_in] == [6]


async def test_a_session_that_comes_back_during_a_call_hands_in_all_of_it_again(disk: Disk) -> None:
    given_up = asyncio.Event()

    async def hang(request: MessagesRequest, token: str) -> MessagesAnswer:
        try:
            await disk.clock.sleep(1000)
        finally:
            given_up.set()
        raise AssertionError

    answer = disk.control.messages
    disk.control.messages = hang  # type: ignore[method-assign]
    disk.leave("A")
    async with disk.running() as task:
        disk.control.messages = answer  # type: ignore[method-assign]
        [former] = disk.outbox._entries.values()
        with disk.outbox.hosting(disk.session()):
            await disk.clock.advance(1)
            assert disk.handed_in == [(TENANT, "A")]
            assert given_up.is_set() and former.journal._file is None
            assert not task.done()


async def test_a_journal_is_handed_in_by_one_call_after_the_other(disk: Disk) -> None:
    answer, under_way = disk.control.messages, 0

    async def slow(request: MessagesRequest, token: str) -> MessagesAnswer:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await disk.clock.sleep(2)
        under_way -= 1
        return await answer(request, token)

    disk.control.messages = slow  # type: ignore[method-assign]
    async with disk.running():
        session = disk.session()
        with disk.outbox.hosting(session):
            for id in "ABCD":
                session.journal.add(id, disk.message(id))
                await disk.clock.advance(1)
            await disk.clock.advance(4)
            assert [id for _, id in disk.handed_in] == ["A", "B", "C", "D"]


async def test_the_journal_of_a_session_that_lives_is_never_dropped(disk: Disk) -> None:
    async with disk.running():
        session = disk.session()
        with disk.outbox.hosting(session):
            disk.errors[TENANT] = [Unauthorised("unauthorised")] * 2
            session.journal.add("A", disk.message("A"))
            disk.clock.time += EXPIRED_AFTER.total_seconds()
            await disk.clock.advance(3 * SLOW_RETRY_SECONDS)
            assert disk.handed_in == [(TENANT, "A")]


async def test_no_two_sessions_write_one_journal(disk: Disk) -> None:
    with disk.outbox.hosting(disk.session()):
        with pytest.raises(ProfileBusy), disk.outbox.hosting(disk.session()):
            pass
        with pytest.raises(ProfileBusy), disk.process().hosting(disk.session()):
            pass
    with disk.outbox.hosting(disk.session()):
        pass


async def test_a_journal_that_cannot_be_opened_leaves_the_profile_free(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_descriptors(_journal: Journal) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "open", out_of_descriptors)
        with pytest.raises(OSError, match="too many"), disk.outbox.hosting(disk.session()):
            pass
    with disk.outbox.hosting(disk.session()):
        pass


async def test_a_journal_that_cannot_be_opened_again_leaves_the_profile_free_too(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_descriptors(_journal: Journal) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    disk.leave("A")
    disk.control.down = True
    async with disk.running():
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "open", out_of_descriptors)
            with pytest.raises(OSError, match="too many"), disk.outbox.hosting(disk.session()):
                pass
        with Profile(disk.directory, TENANT).locked():
            pass
        disk.control.down = False
        await disk.clock.advance(SCAN_EVERY_SECONDS)
        assert disk.handed_in == [(TENANT, "A")]
        assert waiting(disk) == []


async def test_a_control_plane_that_acknowledges_nothing_is_not_called_in_a_storm(disk: Disk) -> None:
    async def deaf(request: MessagesRequest, token: str) -> MessagesAnswer:
        return MessagesAnswer(acknowledged=())

    disk.control.messages = deaf  # type: ignore[method-assign]
    disk.leave("A")
    await disk.hand_in(30)
    assert 5 <= len(disk.calls) <= 12


# -- before the control plane knows of the link -----------------------------------------------------------------------


async def test_nothing_is_handed_in_before_the_link_is_known_but_sent_parts_are(disk: Disk) -> None:
    disk.control.reply(TENANT, disk.message("Q"), ["hello"])
    async with disk.running():
        session = disk.session()
        session.journal.hold_back(True)
        with disk.outbox.hosting(session):
            session.journal.add("A", disk.message("A"))
            session.journal.add_sent(disk.part())
            await disk.clock.advance(2 * HELD_BACK_SECONDS)
            assert (disk.handed_in, len(disk.control.sent_parts)) == ([], 1)
            session.journal.hold_back(False)
            await disk.clock.advance()
            assert disk.handed_in == [(TENANT, "A")]


async def test_a_session_that_is_lost_before_its_link_is_known_hands_in_all_the_same(disk: Disk) -> None:
    async with disk.running():
        session = disk.session()
        session.journal.hold_back(True)
        with disk.outbox.hosting(session):
            session.journal.add("A", disk.message("A"))
        await disk.clock.advance()
        assert disk.handed_in == [(TENANT, "A")]


async def test_the_next_process_waits_for_a_session_that_reports_the_link_and_not_for_ever(disk: Disk) -> None:
    for tenant in (TENANT, OTHER):
        disk.leave("A", tenant=tenant, held_back=True)
    async with disk.running():
        await disk.clock.advance(HELD_BACK_SECONDS - 1)
        assert disk.handed_in == []
        session = disk.session()
        session.journal.hold_back(True)
        with disk.outbox.hosting(session):
            await disk.clock.advance(1)
            assert disk.handed_in == [(OTHER, "A")]
            session.journal.hold_back(False)
            await disk.clock.advance()
            assert disk.handed_in == [(OTHER, "A"), (TENANT, "A")]


def test_a_journal_is_held_back_on_the_disk_too(disk: Disk) -> None:
    session = disk.session()
    session.journal.hold_back(True)
    session.journal.open()
    kept = owner_of(disk.path())
    assert kept is not None and kept.held_back
    session.journal.hold_back(False)
    assert owner_of(disk.path()) == disk.owner(epoch=6)
    written = disk.path().with_name(OWNER_FILE).stat().st_ino
    session.journal.hold_back(False)
    assert disk.path().with_name(OWNER_FILE).stat().st_ino == written, "each hold says so, and nothing is new"
    session.journal.close()


# -- the end of the process -------------------------------------------------------------------------------------------


async def test_a_runner_that_ends_hands_in_what_it_can_and_waits_no_longer_than_it_may(disk: Disk) -> None:
    disk.leave("A", held_back=True)
    disk.leave("C", tenant=OTHER)
    disk.errors[OTHER] = [TransientError("http_503")] * 99
    async with disk.running():
        draining = asyncio.create_task(disk.outbox.drain(10))
        await disk.clock.advance(3)
        assert (draining.done(), disk.handed_in) == (False, [(TENANT, "A")])
        await disk.clock.advance(7)
        assert draining.done()


async def test_a_runner_that_ends_does_not_wait_for_a_journal_that_is_refused(disk: Disk) -> None:
    disk.leave("A")
    disk.errors[TENANT] = [Unauthorised("unauthorised")] * 9
    async with disk.running():
        draining = asyncio.create_task(disk.outbox.drain(10))
        await disk.clock.advance(1)
        assert draining.done()


async def test_a_runner_that_ends_waits_for_a_call_that_hangs_to_the_end_of_its_time(disk: Disk) -> None:
    async def hangs(request: MessagesRequest, token: str) -> MessagesAnswer:
        await disk.clock.sleep(1000)
        raise AssertionError

    disk.control.messages = hangs  # type: ignore[method-assign]
    disk.leave("A")
    async with disk.running():
        draining = asyncio.create_task(disk.outbox.drain(10))
        await disk.clock.advance(9)
        assert not draining.done()
        await disk.clock.advance(1)
        assert draining.done()


async def test_a_refused_journal_is_tried_again_after_a_minute_for_which_no_end_waits(disk: Disk) -> None:
    disk.leave("A")
    disk.errors[TENANT] = [Unauthorised("unauthorised")] * 9
    async with disk.running():
        draining = asyncio.create_task(disk.outbox.drain(SLOW_RETRY_SECONDS))
        await disk.clock.advance()
        assert draining.done()
        await disk.clock.advance(SLOW_RETRY_SECONDS - 1)
        assert len(disk.calls) == 1
        await disk.clock.advance(1)
        assert len(disk.calls) == 2


@pytest.mark.parametrize("hosts", [True, False])
async def test_a_runner_with_nothing_left_hands_in_nothing_and_ends_at_once(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, hosts: bool
) -> None:
    calls: list[Handover] = []

    async def hand_in(handover: Handover) -> bool:
        calls.append(handover)
        return True

    monkeypatch.setattr(Handover, "hand_in", hand_in)
    async with disk.running() as task:
        with disk.outbox.hosting(disk.session()) if hosts else nullcontext():
            await disk.clock.advance(5)
            draining = asyncio.create_task(disk.outbox.drain(10))
            await disk.clock.advance()
            assert (draining.done(), task.done(), calls) == (True, False, [])


def test_a_capability_is_never_shown(disk: Disk) -> None:
    assert disk.owner().capability not in repr(disk.owner())


async def test_a_part_that_was_sent_is_reported_once_whatever_the_control_plane_says_of_it(disk: Disk) -> None:
    disk.errors[TENANT] = [Refused("not_found")]
    async with disk.running():
        session: Handover = disk.session()
        with disk.outbox.hosting(session):
            session.journal.add_sent(disk.part())
            await disk.clock.advance(10)
            assert (len(disk.calls), session.journal.is_empty()) == (1, True)
