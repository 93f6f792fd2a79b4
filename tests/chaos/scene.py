"""Everything a fault may touch, and what it leaves behind: whom it hits and how it is undone."""

import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from chalicelib.wiring import Services
from infrastructure.local.stack import LocalStack
from tests.chaos.faulty_door import FaultyDoor
from tests.chaos.lines import Line
from tests.chaos.processes import Browser, browsers
from tests.simulators.whatsapp.client import PhoneClient, SimulatorClient


def nothing() -> None:
    """There is nothing to undo."""


@dataclass
class Happening:
    """One fault: whom it hit, when it is undone, and when all it hit were online again."""

    kind: str
    target: str
    tenants: frozenset[str] = frozenset()
    lasts: float = 0.0
    undo: Callable[[], None] = nothing
    #: two of one family never overlap
    family: str = ""
    hard_kill: bool = False
    began_at: float = field(default_factory=time.monotonic)
    over_at: float | None = None
    converged_at: float | None = None

    @property
    def converged_after(self) -> float | None:
        """Seconds from the fault's end until every line it hit was online."""
        if self.over_at is None or self.converged_at is None:
            return None
        return self.converged_at - self.over_at


@dataclass
class Scene:
    """The running stack and the hands on it."""

    stack: LocalStack
    services: Services
    whatsapp: SimulatorClient
    lines: list[Line]
    #: between runners and the application; between everybody and S3
    control: FaultyDoor
    store: FaultyDoor
    openai: httpx.Client
    chance: random.Random
    #: slots whose data lies on a small disk of their own
    small_disks: tuple[str, ...] = ()
    #: how often each line's stream was replaced
    replaced: Counter[str] = field(default_factory=Counter)

    @property
    def everybody(self) -> frozenset[str]:
        """All tenants."""
        return frozenset(line.tenant for line in self.lines)

    def runners(self) -> dict[str, int]:
        """Runner processes by slot."""
        return {
            name.replace("runner-", "slot-"): pid
            for name, pid in sorted(self.stack.pids.items())
            if name.startswith("runner-")
        }

    def keep_log(self, slot: str) -> None:
        """Of the runner that is about to be struck: the stack keeps one former log only, and a run has many."""
        log = self.stack.settings.data / "logs" / f"{slot.replace('slot-', 'runner-')}.log"
        with contextlib.suppress(OSError):
            shutil.copy(log, log.with_suffix(f".{time.strftime('%H%M%S')}.log"))

    def browsers(self) -> list[Browser]:
        """In a steady order, so that a seed draws the same."""
        return sorted(browsers(self.stack.settings.data), key=lambda browser: browser.tenant)

    def hosted_in(self, slot: str) -> frozenset[str]:
        """Tenants whose browser runs in this slot now."""
        return frozenset(browser.tenant for browser in self.browsers() if browser.slot == slot)

    def phone(self, line: Line) -> PhoneClient:
        """The phone of a line."""
        return PhoneClient(self.whatsapp, line.number)
