"""Sees which lines are online, from their phones and from the table, and how long each fault kept them away."""

import contextlib
import threading
import time

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.processes import Memory
from tests.chaos.scene import Happening, Scene
from tests.simulators.whatsapp.client import SimulatorClient
from wire import Phase

LOOK_EVERY_SECONDS = 1.0
#: A killed process leaves the line within this; before, "online" may be yesterday's news.
STRIKES_WITHIN_SECONDS = 2.0
WEIGH_EVERY_SECONDS = 5.0


class Watch(threading.Thread):
    """Looks until it is told to stop."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(name="watch", daemon=True)
        self.happenings: list[Happening] = []
        self.memory = Memory()
        #: tenant → since when it is not online
        self.away: dict[str, float] = {tenant: time.monotonic() for tenant in scene.everybody}
        self.longest_away = 0.0
        self._scene = scene
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self.join(30)

    @property
    def all_online(self) -> bool:
        """Every line, as of the last look."""
        return not self.away

    def run(self) -> None:
        weighed_at = 0.0
        with SimulatorClient(self._scene.stack.phone_url) as whatsapp:
            while not self._stopped.wait(LOOK_EVERY_SECONDS):
                with contextlib.suppress(httpx.HTTPError, BotoCoreError, ClientError):
                    self._look(whatsapp, time.monotonic())
                if time.monotonic() - weighed_at > WEIGH_EVERY_SECONDS:
                    weighed_at = time.monotonic()
                    self.memory.sample(self._scene.stack.pids, weighed_at)

    def _look(self, whatsapp: SimulatorClient, now: float) -> None:
        placement = self._scene.services.placement
        for line in self._scene.lines:
            session = placement.sessions.get(line.tenant)
            online = session.phase is Phase.ONLINE and session.runner is not None
            if online and whatsapp.phone(line.number).view()["online"]:
                since = self.away.pop(line.tenant, now)
                self.longest_away = max(self.longest_away, now - since)
            else:
                self.away.setdefault(line.tenant, now)
        for happening in list(self.happenings):
            over_at = happening.over_at
            if over_at is None or happening.converged_at is not None or now < over_at + STRIKES_WITHIN_SECONDS:
                continue
            if not happening.tenants & set(self.away):
                happening.converged_at = now
