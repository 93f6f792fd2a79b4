"""A conversation with everything around it: a page, an outbox, a journal on disk, a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runner.control_plane.lease import Lease
from runner.messages.conversation import Conversation
from runner.messages.handover import Handover
from runner.messages.journal import Journal
from runner.messages.outbox import Outbox
from runner.profile.directory import Profile
from tests.unit.support.runner_fakes import (
    TENANT,
    FakeClient,
    FakeClock,
    FakeControl,
    FakePage,
)
from wire import Delivery, Message, MessageKind

CHAT = "49170@c.us"


class Line:
    """A conversation with everything around it."""

    def __init__(self, path: Path, *, replies_per_minute: int = 0) -> None:
        self.replies_per_minute = replies_per_minute
        self.clock = FakeClock()
        self.now_s = self.clock.wall_ms() // 1000
        self.control = FakeControl()
        self.control.hold(number="491701111111")
        self.page = FakePage()
        self.lease = Lease(self.clock.now)
        self.lease.renew(self.clock.now())
        self.changes = 0
        self.path = path
        self.journal = Journal(path)
        self.journal.open()
        self.outbox = Outbox(
            directory=path.parent,
            profile_of=lambda tenant: Profile(path.parent, tenant),
            client=FakeClient(self.control),
            clock=self.clock,
            jitter=lambda: 0.5,
        )
        self.conversation, self.handover = self.make()

    def make(self) -> tuple[Conversation, Handover]:
        client = FakeClient(self.control)
        conversation = Conversation(
            tenant=TENANT,
            epoch=1,
            client=client,
            lease=self.lease,
            journal=self.journal,
            clock=self.clock,
            jitter=lambda: 0.5,
            on_change=self._changed,
            replies_per_minute=self.replies_per_minute,
        )
        handover = Handover(
            tenant=TENANT, epoch=1, client=client, journal=self.journal, on_outcome=conversation.receive_outcome
        )
        return conversation, handover

    async def read(self) -> bool:
        """Reads the page once, as the conversation does after a hint; returns whether all fitted into the journal."""
        complete = await self.conversation.inbox.read(self.page)
        self.conversation._update_caught_up()
        return complete

    async def sweep(self) -> None:
        """Reads and hands in by turns until all of the page is handed in."""
        complete = False
        while not complete:
            complete = await self.read()
            if not await self.handover.hand_in():
                break
        self.conversation._update_caught_up()

    def _changed(self) -> None:
        self.changes += 1

    def link(self, caught_up_to_ms: int | None = None) -> None:
        self.conversation.mark_linked(caught_up_to_ms)
        self.conversation.mark_online(delivered_offline=True)

    def handed_in(self) -> list[str]:
        return [message.id for request in self.control.handed_in for message in request.messages]

    def reread(self) -> Journal:
        """Returns the journal as a new process would find it on the disk."""
        self.journal.close()
        journal = Journal(self.path)
        journal.open()
        journal.close()
        return journal

    def restart(self) -> None:
        """A new process on the same directory, with a new page."""
        self.journal.close()
        self.journal = Journal(self.path)
        self.journal.open()
        self.page.forget()
        self.conversation, self.handover = self.make()

    def ring(
        self, *texts: str, quote: str | None = None, answers: str = "IN1", chat: str = CHAT, sent_at_ms: int = 0
    ) -> Delivery:
        first = Message(id=answers, chat=chat, from_me=False, sent_at_ms=self.now_s * 1000, kind=MessageKind.TEXT)
        name = self.control.reply(TENANT, first, texts, quote)
        delivery = Delivery(tenant=TENANT, epoch=1, chat=chat, turn=name, revision=1, sent_at_ms=sent_at_ms)
        self.conversation.replies.deliver(delivery)
        return delivery

    async def advance(self, seconds: float) -> None:
        """Moves the clock, while heartbeats renew the lease."""
        end = self.clock.now() + seconds
        while True:
            self.lease.renew(self.clock.now())
            left = end - self.clock.now()
            await self.clock.advance(min(left, 10.0))
            if left <= 10.0:
                return


@asynccontextmanager
async def running(line: Line) -> AsyncIterator[asyncio.Task[None]]:
    """The conversation of this line and the outbox, until the block ends."""
    with line.outbox.hosting(line.handover):
        task = asyncio.create_task(line.conversation.run(line.page))
        outbox = asyncio.create_task(line.outbox.run())
        try:
            yield task
        finally:
            task.cancel()
            outbox.cancel()
            await asyncio.gather(task, outbox, return_exceptions=True)


async def send_replies(line: Line, seconds: float = 0.0) -> None:
    async with running(line):
        await line.clock.advance(seconds)
