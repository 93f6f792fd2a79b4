"""The journals of killed sessions are handed in before the runner uses the disk for anything else."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from runner.control_plane.client import TransientError, Unauthorised
from runner.control_plane.lease import Lease
from runner.messages.conversation import Conversation
from runner.messages.journal import OWNER_FILE, Journal, JournalOwner, owner_of
from runner.messages.orphaned_journals import MAX_ATTEMPTS, OrphanedJournals
from runner.profile.directory import Profile
from tests.unit.support.runner_fakes import TENANT, FakeClient, FakeClock, FakeControl
from wire import Message, MessageKind, MessagesAnswer, MessagesRequest

DEAD = JournalOwner(epoch=4, token="runner0001.secret")


class Disk:
    """A runner's data directory, and the control plane that receives its messages."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.control = FakeControl()
        self.errors: list[Exception] = []
        self.calls: list[tuple[str, int]] = []
        self.chances: list[float] = []

    def journal(self, tenant: str = TENANT) -> Path:
        return Profile(self.directory, tenant).journal

    def leave(self, *ids: str, tenant: str = TENANT) -> None:
        """Leaves the journal of a killed session with these messages."""
        journal = Journal(self.journal(tenant), DEAD)
        journal.open()
        for id in ids:
            at = self.clock.wall_ms()
            message = Message(id=id, chat="49170@c.us", from_me=False, sent_at_ms=at, kind=MessageKind.TEXT, text="hi")
            journal.add(id, message)

    def conversation(self, tenant: str, owner: JournalOwner, journal: Journal) -> Conversation:
        disk = self

        class Client(FakeClient):
            async def hand_in(self, request: MessagesRequest) -> MessagesAnswer:
                disk.calls.append((self._token, request.epoch))
                if disk.errors:
                    raise disk.errors.pop()
                return await super().hand_in(request)

        return Conversation(
            tenant=tenant,
            epoch=owner.epoch,
            client=Client(self.control, owner.token),
            lease=Lease(self.clock.now),
            journal=journal,
            clock=self.clock,
            jitter=lambda: 0.5,
            on_change=lambda: None,
        )

    def chance(self) -> float:
        return self.chances.pop() if self.chances else 0.5

    async def hand_in(self, max_attempts: int = MAX_ATTEMPTS) -> None:
        orphaned_journals = OrphanedJournals(
            directory=self.directory,
            profile_of=lambda tenant: Profile(self.directory, tenant),
            conversation_of=self.conversation,
            clock=self.clock,
            jitter=self.chance,
        )
        handing = asyncio.create_task(orphaned_journals.hand_in(max_attempts))
        await self.clock.advance(60)
        await handing

    @property
    def handed_in(self) -> list[tuple[str, str]]:
        return [(request.tenant, message.id) for request in self.control.handed_in for message in request.messages]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


async def test_waiting_messages_are_handed_in_once_under_their_owners_token(disk: Disk) -> None:
    disk.leave("A", "B")
    disk.leave("C", tenant="tenant00002")
    await disk.hand_in()
    assert disk.handed_in == [(TENANT, "A"), (TENANT, "B"), ("tenant00002", "C")]
    assert set(disk.calls) == {(DEAD.token, DEAD.epoch)}
    await disk.hand_in()
    assert len(disk.handed_in) == 3


def test_the_owners_token_is_unreadable_to_other_users_and_gone_when_no_message_waits(disk: Disk) -> None:
    journal = Journal(disk.journal(), DEAD)
    journal.open()
    kept = disk.journal().with_name(OWNER_FILE)
    assert kept.stat().st_mode & 0o077 == 0
    journal.close()
    assert not kept.exists()


async def test_the_tenants_next_session_hands_in_the_former_ones_messages(disk: Disk) -> None:
    disk.leave("A")
    journal = Journal(disk.journal(), JournalOwner(6, "runner0002.secret"))
    journal.open()
    assert [*journal.waiting] == ["A"]
    journal.close()
    assert owner_of(disk.journal()) == JournalOwner(6, "runner0002.secret")


async def test_a_busy_control_plane_is_retried_and_then_again_the_next_time(disk: Disk) -> None:
    disk.leave("A")
    disk.errors = [TransientError("busy")] * MAX_ATTEMPTS
    await disk.hand_in()
    assert disk.handed_in == [] and len(disk.calls) == MAX_ATTEMPTS
    disk.errors = [TransientError("busy")]
    await disk.hand_in()
    assert disk.handed_in == [(TENANT, "A")]


async def test_a_single_attempt_calls_once(disk: Disk) -> None:
    disk.leave("A")
    disk.errors = [TransientError("busy")] * MAX_ATTEMPTS
    await disk.hand_in(1)
    assert len(disk.calls) == 1


async def test_whose_turn_it_is_first_is_left_to_chance(disk: Disk) -> None:
    disk.leave("A")
    disk.leave("C", tenant="tenant00002")
    disk.chances = [0.1, 0.9]
    await disk.hand_in()
    assert disk.handed_in == [("tenant00002", "C"), (TENANT, "A")]


async def test_a_name_that_cannot_be_read_just_now_is_kept(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_what_makes_no_sense_is_passed_over(disk: Disk) -> None:
    disk.leave("A", tenant="lost+found")
    disk.leave("B")
    disk.journal().with_name(OWNER_FILE).write_text('{"epoch": 0, "token": "runner0001.secret"}')
    disk.leave("C", tenant="tenant00002")
    await disk.hand_in()
    assert disk.handed_in == [("tenant00002", "C")]


async def test_messages_of_an_expired_token_are_left_to_the_tenants_next_session(disk: Disk) -> None:
    disk.leave("A")
    disk.errors = [Unauthorised("unauthorised")]
    await disk.hand_in()
    await disk.hand_in()
    assert len(disk.calls) == 1
    journal = Journal(disk.journal())
    journal.open()
    assert [*journal.waiting] == ["A"]
    journal.close()


async def test_one_tenants_error_is_not_anothers(disk: Disk) -> None:
    disk.leave("A")
    disk.leave("C", tenant="tenant00002")
    disk.journal().with_name(OWNER_FILE).write_text("torn")
    with Profile(disk.directory, "tenant00003").locked():
        disk.leave("D", tenant="tenant00003")
        await disk.hand_in()
    assert disk.handed_in == [("tenant00002", "C")]
