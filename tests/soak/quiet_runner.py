"""A runner without browsers: the real host, whose sessions are online at once and have nothing to do.

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
from wire import Delivery, Hold, Phase, SessionReport, Wanted

#: A page that is online is proven so often.
PROVEN_EVERY_SECONDS = 5.0


class QuietSession:
    """Stands for a session whose page is online, as far as the host asks of one."""

    def __init__(self, hold: Hold, clock: SystemClock, on_change: Callable[[], None]) -> None:
        self.hold = hold
        self.gave_up = False
        self.closed = asyncio.Event()
        self._clock = clock
        self._status = Status(hold.tenant, clock, on_change)
        self._status.number = hold.number
        self._reason: ReleaseReason | None = None

    async def run(self) -> ReleaseReason:
        """Is online until it is to leave."""
        self._status.update(PageState(Phase.ONLINE))
        while self._reason is None:
            self._status.mark_probed()
            await self._clock.wait(self.closed, PROVEN_EVERY_SECONDS)
        return self._reason

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
        return False

    def deliver(self, delivery: Delivery) -> None:
        """Does nothing: nobody writes to these lines."""

    async def park(self) -> None:
        """Does nothing: there is no page."""

    async def resume(self) -> None:
        """Does nothing: there is no page."""

    async def read_rest(self) -> None:
        """Does nothing: there is no page."""


def compose(settings: Settings, client: ControlPlaneClient, clock: SystemClock) -> Host:
    """Wires a host whose sessions have no browsers."""
    jitter = random.Random().random

    def make_session(hold: Hold, _token: str, on_change: Callable[[], None]) -> Session:
        return cast(Session, QuietSession(hold, clock, on_change))

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
        host = compose(settings, client, SystemClock())
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
