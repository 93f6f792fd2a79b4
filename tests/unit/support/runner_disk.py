"""A runner's disk with journals on it, the outbox that hands them in, and the control plane that gets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runner.control_plane.capability import hand_in_capability
from runner.messages.handover import Handover
from runner.messages.journal import Journal
from runner.messages.journal_entries import SentPart
from runner.messages.journal_owner import JournalOwner
from runner.messages.outbox import Outbox
from runner.profile.directory import Profile
from tests.unit.support.runner_fakes import TENANT, FakeClient, FakeClock, FakeControl
from wire import Message, MessageKind, MessagesRequest, SentRequest, Wire

CHAT = "49170@c.us"
TOKEN = "runner0001.secret"


class Disk:
    """The data directory of one runner process after the other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.control = FakeControl()
        #: By tenant, what the next calls of its journal meet, first to last.
        self.errors: dict[str, list[Exception]] = {}
        #: Each call of a journal: the token and the epoch.
        self.calls: list[tuple[str, int]] = []
        #: Each look at a profile.
        self.looks: list[str] = []
        self.outbox = self.process()

    def process(self) -> Outbox:
        """Another process on this disk; the lock of the former is gone with it."""
        return Outbox(
            directory=self.directory,
            profile_of=self._profile,
            client=Client(self, ""),
            clock=self.clock,
            jitter=lambda: 0.5,
        )

    def _profile(self, tenant: str) -> Profile:
        self.looks.append(tenant)
        return Profile(self.directory, tenant)

    def path(self, tenant: str = TENANT) -> Path:
        return Profile(self.directory, tenant).journal

    def owner(self, tenant: str = TENANT, epoch: int = 4, *, held_back: bool = False) -> JournalOwner:
        return JournalOwner(epoch, hand_in_capability(TOKEN, tenant, epoch), held_back)

    def message(self, id: str, text: str = "hi") -> Message:
        at = self.clock.wall_ms()
        return Message(id=id, chat=CHAT, from_me=False, sent_at_ms=at, kind=MessageKind.TEXT, text=text)

    def part(self, turn: str = "turn-0000") -> SentPart:
        return SentPart(CHAT, turn, 0, f"3EB0{turn}", self.clock.wall_ms())

    def leave(self, *ids: str, tenant: str = TENANT, held_back: bool = False, sent: bool = False) -> None:
        """Leaves the journal of a killed session with these messages."""
        journal = Journal(self.path(tenant), self.owner(tenant, held_back=held_back))
        journal.open()
        for id in ids:
            journal.add(id, self.message(id))
        if sent:
            journal.add_sent(self.part())

    def session(self, tenant: str = TENANT, epoch: int = 6) -> Handover:
        """The handover of a session that this process is about to host."""
        journal = Journal(self.path(tenant), self.owner(tenant, epoch))
        return Handover(tenant=tenant, epoch=epoch, client=Client(self, TOKEN), journal=journal)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.outbox.run())
        await self.clock.advance()
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def hand_in(self, seconds: float = 0.0) -> None:
        """A new process works on this disk for a while, and is killed."""
        self.outbox = self.process()
        async with self.running():
            await self.clock.advance(seconds)
        for entry in self.outbox._entries.values():
            entry.lock.close()

    @property
    def handed_in(self) -> list[tuple[str, str]]:
        return [(request.tenant, message.id) for request in self.control.handed_in for message in request.messages]


class Client(FakeClient):
    """Notes under which token each journal is handed in, and fails as the test says."""

    def __init__(self, disk: Disk, token: str) -> None:
        super().__init__(disk.control, token)
        self._disk = disk

    def bound_to(self, token: str) -> Client:
        return Client(self._disk, token)

    async def _post(self, path: str, request: Wire, answer: type[Any], timeout_seconds: float = 0.0) -> Any:
        assert isinstance(request, MessagesRequest | SentRequest), "an outbox makes no other call"
        self._disk.calls.append((self._token, request.epoch))
        errors = self._disk.errors.get(request.tenant)
        if errors:
            raise errors.pop(0)
        return await super()._post(path, request, answer, timeout_seconds)
