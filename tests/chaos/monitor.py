"""Monitors which lines are online, on their phones and in the table, and how long each fault kept them offline."""

import contextlib
import threading
import time

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.processes import Memory
from tests.chaos.scene import Injection, Scene
from tests.simulators.whatsapp.client import SimulatorClient
from wire import Phase

POLL_EVERY_SECONDS = 1.0
#: A killed process disconnects within this; before, "online" may be out of date.
EFFECTIVE_WITHIN_SECONDS = 2.0
SAMPLE_MEMORY_EVERY_SECONDS = 5.0


class Monitor(threading.Thread):
    """A thread that polls until it is stopped."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(name="monitor", daemon=True)
        self.injections: list[Injection] = []
        self.memory = Memory()
        #: tenant → since when it is not online
        self.away: dict[str, float] = {tenant: time.monotonic() for tenant in scene.all_tenants}
        self.longest_away = 0.0
        self._scene = scene
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stops the thread."""
        self._stopped.set()
        self.join(30)

    @property
    def all_online(self) -> bool:
        """True if every line was online in the last poll."""
        return not self.away

    def run(self) -> None:
        sampled_at = 0.0
        with SimulatorClient(self._scene.stack.phone_url) as whatsapp:
            while not self._stopped.wait(POLL_EVERY_SECONDS):
                with contextlib.suppress(httpx.HTTPError, BotoCoreError, ClientError):
                    self._poll(whatsapp, time.monotonic())
                if time.monotonic() - sampled_at > SAMPLE_MEMORY_EVERY_SECONDS:
                    sampled_at = time.monotonic()
                    self.memory.sample(self._scene.stack.pids, sampled_at)

    def _poll(self, whatsapp: SimulatorClient, now: float) -> None:
        placement = self._scene.services.placement
        for line in self._scene.lines:
            session = placement.sessions.get(line.tenant)
            online = session.phase is Phase.ONLINE and session.runner is not None
            if online and whatsapp.phone(line.number).view()["online"]:
                since = self.away.pop(line.tenant, now)
                self.longest_away = max(self.longest_away, now - since)
            else:
                self.away.setdefault(line.tenant, now)
        for injection in list(self.injections):
            ended_at = injection.ended_at
            if ended_at is None or injection.converged_at is not None or now < ended_at + EFFECTIVE_WITHIN_SECONDS:
                continue
            if not injection.tenants & set(self.away):
                injection.converged_at = now
