"""A runner without browsers: the real host, whose sessions are online at once, and then have one message answered.

It makes the calls that a runner of idle lines makes, so that a machine that could not hold fifty browsers can say what
stores and control plane cost with fifty lines.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import cast

from runner import logs
from runner.browser.page_state import PageState
from runner.clock import SystemClock
from runner.control_plane.client import ControlPlaneClient, connect
from runner.control_plane.lease import Lease
from runner.disk import Disk
from runner.host import Host, RunnerInfo
from runner.messages.outbox import Outbox
from runner.profile.directory import Profile
from runner.session.release_reason import ReleaseReason
from runner.session.session import Session
from runner.session.status import Status
from runner.settings import Settings, read_settings
from tests.soak.plan import CHROMIUM, WA_JS
from wire import (
    Delivery,
    Hold,
    Message,
    MessageKind,
    MessagesRequest,
    Phase,
    SentRequest,
    SessionReport,
    TakeRequest,
    Wanted,
)

#: The variable that is set if a contact writes to each line.
WRITES = "CONTACT_WRITES"
#: A page that is online is proven so often.
PROVEN_EVERY_SECONDS = 5.0
#: A reply is expected for so long, and its bell listened for.
REPLY_WITHIN_SECONDS = 60.0


class QuietSession:
    """Stands for a session whose page is online, as far as the host asks of one.

    A contact may write to it once, and reads the reply: from then on the control plane has in memory what that takes.
    """

    def __init__(
        self,
        hold: Hold,
        client: ControlPlaneClient,
        clock: SystemClock,
        on_change: Callable[[], None],
        *,
        has_contact: bool,
    ) -> None:
        self.hold = hold
        self.gave_up = False
        self.closed = asyncio.Event()
        self._client = client
        self._has_contact = has_contact
        self._clock = clock
        self._status = Status(hold.tenant, clock, on_change)
        self._status.number = hold.number
        self._reason: ReleaseReason | None = None
        self._reply_until = 0.0
        self._sending: asyncio.Task[None] | None = None

    async def run(self) -> ReleaseReason:
        """Is online until it is to leave."""
        self._status.update(PageState(Phase.ONLINE))
        if self._has_contact:
            await self._hand_in()
        while self._reason is None:
            self._status.mark_probed()
            await self._clock.wait(self.closed, PROVEN_EVERY_SECONDS)
        return self._reason

    async def _hand_in(self) -> None:
        """Hands in one message of a contact who writes for the first time."""
        now = self._clock.wall_ms()
        digits = "".join(filter(str.isdigit, self.hold.tenant))  # no two lines have one chat
        message = Message(
            id=f"3EB0{now:X}",
            chat=f"{now}{digits}@lid",
            from_me=False,
            sent_at_ms=now,
            chat_since_ms=now,
            kind=MessageKind.TEXT,
            text="Are you open?",
        )
        request = MessagesRequest(tenant=self.hold.tenant, epoch=self.hold.epoch, messages=(message,))
        await self._client.hand_in(request)
        self._reply_until = self._clock.now() + REPLY_WITHIN_SECONDS

    def update(self, hold: Hold, _sent_at: float) -> None:
        self.hold = hold
        if hold.wanted is Wanted.RELEASE:
            self.leave(ReleaseReason.NO_LONGER_WANTED)

    def leave(self, reason: ReleaseReason) -> None:
        self._reason = reason
        self.closed.set()

    def report(self) -> SessionReport:
        caught_up = self.hold.caught_up_to_ms
        return self._status.report(self.hold, caught_up, saved_at=self._clock.now())

    def is_pending(self) -> bool:
        return self._clock.now() < self._reply_until

    def deliver(self, delivery: Delivery) -> None:
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(delivery))

    async def _send(self, delivery: Delivery) -> None:
        """Takes a reply, and reports each part as sent."""
        names = {"tenant": delivery.tenant, "epoch": delivery.epoch, "chat": delivery.chat, "turn": delivery.turn}
        taken = await self._client.take(TakeRequest(**names))
        for number, part in enumerate(taken.parts):
            await self._client.report_sent(SentRequest(**names, part=number, message=part.id))
        self._reply_until = 0.0

    async def park(self) -> None:
        """Does nothing: there is no page."""

    async def resume(self) -> None:
        """Does nothing: there is no page."""

    async def read_rest(self) -> None:
        """Does nothing: there is no page."""


def compose(settings: Settings, client: ControlPlaneClient, clock: SystemClock, *, has_contacts: bool) -> Host:
    """Wires a host whose sessions have no browsers, but perhaps a contact each."""
    jitter = random.Random().random

    def make_session(hold: Hold, token: str, on_change: Callable[[], None]) -> Session:
        return cast(Session, QuietSession(hold, client.bound_to(token), clock, on_change, has_contact=has_contacts))

    return Host(
        client=client,
        make_session=make_session,
        lease=Lease(clock.now),
        info=RunnerInfo(settings.capacity, settings.task, settings.image, settings.commit, CHROMIUM, WA_JS),
        clock=clock,
        jitter=jitter,
        outbox=Outbox(
            directory=settings.data_directory,
            profile_of=partial(Profile, settings.data_directory),
            client=client,
            clock=clock,
            jitter=jitter,
        ),
        disk=Disk(settings.data_directory),
    )


async def run(settings: Settings) -> None:
    """Runs until it is drained."""
    async with connect(settings.control_url, settings.runner_bootstrap_token) as client:
        host = compose(settings, client, SystemClock(), has_contacts=bool(os.environ.get(WRITES)))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, host.stop)
        await host.run()


def main() -> int:
    """Runs the process."""
    settings = read_settings(os.environ)
    logs.start(settings.log_level)
    asyncio.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
