"""Contacts who write, steadily and never faster than asked, and what they wrote."""

import random
import threading
import time

from tests.chaos.lines import Line
from tests.chaos.verdict import Written
from tests.simulators.whatsapp.client import SimulatorClient

#: How often somebody writes a second message at once, so that batches are folded.
WRITES_ON = 0.2


class Load(threading.Thread):
    """Writes until it is told to stop; each message carries a mark that its answer must quote."""

    def __init__(self, phone_url: str, lines: list[Line], per_second: float, chance: random.Random) -> None:
        super().__init__(name="load", daemon=True)
        self.written: list[Written] = []
        self._phone_url = phone_url
        self._lines = lines
        self._per_second = per_second
        self._chance = chance
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Write no more."""
        self._stopped.set()
        self.join(30)

    def run(self) -> None:
        with SimulatorClient(self._phone_url) as whatsapp:
            while not self._stopped.wait(self._chance.expovariate(self._per_second / (1 + WRITES_ON))):
                line = self._chance.choice(self._lines)
                contact = self._chance.choice(line.contacts)
                for _ in range(2 if self._chance.random() < WRITES_ON else 1):
                    self._write(whatsapp, line, contact)

    def _write(self, whatsapp: SimulatorClient, line: Line, contact: str) -> None:
        mark = f"{line.tenant}-{contact[-3:]}-{len(self.written):05d}"
        message = whatsapp.phone(line.number).contact(contact).write(f"Question {mark}, please?")
        self.written.append(Written(line.tenant, contact, str(message["id"]), mark, time.time()))
