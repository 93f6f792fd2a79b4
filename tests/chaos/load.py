"""Load generator: contacts that write at a steady rate, and the messages that they wrote."""

import random
import threading
import time

from tests.chaos.lines import Line
from tests.chaos.verdict import Written
from tests.simulators.whatsapp.client import SimulatorClient

#: The share of messages with a second one right after, so that batches are folded.
WRITES_ON = 0.2


class Load(threading.Thread):
    """A thread that writes until it is stopped; each message has a mark that its reply must quote."""

    def __init__(self, phone_url: str, lines: list[Line], per_second: float, rng: random.Random) -> None:
        super().__init__(name="load", daemon=True)
        self.written: list[Written] = []
        self._phone_url = phone_url
        self._lines = lines
        self._per_second = per_second
        self._rng = rng
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stops the thread."""
        self._stopped.set()
        self.join(30)

    def run(self) -> None:
        with SimulatorClient(self._phone_url) as whatsapp:
            while not self._stopped.wait(self._rng.expovariate(self._per_second / (1 + WRITES_ON))):
                line = self._rng.choice(self._lines)
                contact = self._rng.choice(line.contacts)
                for _ in range(2 if self._rng.random() < WRITES_ON else 1):
                    self._write(whatsapp, line, contact)

    def _write(self, whatsapp: SimulatorClient, line: Line, contact: str) -> None:
        mark = f"{line.tenant}-{contact[-3:]}-{len(self.written):05d}"
        message = whatsapp.phone(line.number).contact(contact).write(f"Question {mark}, please?")
        self.written.append(Written(line.tenant, contact, str(message["id"]), mark, time.time()))
