"""The targets of faults, and the record of an injection: the tenants it affects, and how to revert it."""

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
from tests.chaos.faulty_proxy import FaultyProxy, ProxyPart
from tests.chaos.lines import Line
from tests.chaos.processes import Browser, browsers
from tests.simulators.whatsapp.client import PhoneClient, SimulatorClient


def do_nothing() -> None:
    """Reverts a fault that needs no action."""


@dataclass
class Injection:
    """An injected fault: the tenants it affects, its end, and the time when all of them were online again."""

    kind: str
    target: str
    tenants: frozenset[str] = frozenset()
    duration_seconds: float = 0.0
    revert: Callable[[], None] = do_nothing
    #: two of one group never overlap
    exclusive_group: str = ""
    hard_kill: bool = False
    began_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None
    converged_at: float | None = None

    @property
    def converged_after(self) -> float | None:
        """The seconds from the fault's end until every affected line was online."""
        if self.ended_at is None or self.converged_at is None:
            return None
        return self.converged_at - self.ended_at


@dataclass
class Scene:
    """The running stack and the clients that act on it."""

    stack: LocalStack
    services: Services
    whatsapp: SimulatorClient
    lines: list[Line]
    #: before the application, for the runners; and its part through which they store and fetch snapshots
    control: FaultyProxy
    objects: ProxyPart
    #: between the application and SES
    mail: FaultyProxy
    openai: httpx.Client
    rng: random.Random
    #: slots whose data lies on a small disk of their own
    small_disks: tuple[str, ...] = ()
    #: the table lies on a small disk of its own
    has_small_table: bool = False
    #: how often each line's stream was replaced
    replaced: Counter[str] = field(default_factory=Counter)
    #: the line whose profile was made big
    big_profile: str | None = None

    @property
    def all_tenants(self) -> frozenset[str]:
        """The ids of all tenants."""
        return frozenset(line.tenant for line in self.lines)

    def runners(self) -> dict[str, int]:
        """Returns the runners' process ids by slot."""
        return {
            name.replace("runner-", "slot-"): pid
            for name, pid in sorted(self.stack.pids.items())
            if name.startswith("runner-")
        }

    def keep_log(self, slot: str) -> None:
        """Copies the log of a runner before its fault: the stack keeps one former log, and a run has many."""
        log = self.stack.settings.data / "logs" / f"{slot.replace('slot-', 'runner-')}.log"
        with contextlib.suppress(OSError):
            shutil.copy(log, log.with_suffix(f".{time.strftime('%H%M%S')}.log"))

    def browsers(self) -> list[Browser]:
        """Returns the browsers in a stable order, so that a seed draws the same."""
        return sorted(browsers(self.stack.settings.data), key=lambda browser: browser.tenant)

    def hosted_in(self, slot: str) -> frozenset[str]:
        """Returns the tenants whose browser runs in this slot now."""
        return frozenset(browser.tenant for browser in self.browsers() if browser.slot == slot)

    def phone(self, line: Line) -> PhoneClient:
        """Returns the phone of a line."""
        return PhoneClient(self.whatsapp, line.number)
