"""Containers in which the runner's real code lives: a disk, a clock of their own, a network that fails, and deaths."""

import asyncio
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import runner.__main__ as runner_process
from runner.browser.launches import NoBrowserStarts
from runner.control_plane.client import ControlPlaneClient, Transfers
from runner.control_plane.lease import Lease, Watchdog
from runner.disk import Disk
from runner.hosted_sessions import first_error
from runner.messages.token_bucket import REPLIES_PER_MINUTE
from runner.profile.directory import Profile, ProfileBusy
from tests.simulation.browser_model import Browser
from tests.simulation.cloud import BOOTSTRAP_TOKEN, EPOCH_MS
from tests.simulation.loop import PROCESS, Process
from tests.simulation.machines.browsers import Browsers
from tests.simulation.machines.network import Network
from tests.simulation.verdict.logins import state_file

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Each machine has so many processors, whatever this one has.
PROCESSORS = 2
WATCHDOG_CHECK_SECONDS = 0.5


class MachineClock:
    """A clock that is a little off and a little too fast or slow."""

    def __init__(self, loop: asyncio.AbstractEventLoop, skew: float, rate: float) -> None:
        self._loop = loop
        self._skew = skew
        self._rate = rate

    def now(self) -> float:
        return 1_000.0 + self._loop.time() * self._rate

    def wall_ms(self) -> int:
        return EPOCH_MS + int((self._loop.time() + self._skew) * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._rate)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        try:
            async with asyncio.timeout(seconds / self._rate):
                await event.wait()
        except TimeoutError:
            return False
        return True


class SimulatedProfile(Profile):
    """The real profile; its lock ends with the process that holds it, as the kernel's does."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        process = PROCESS.get()
        holder = _locks.get(self.home)
        if holder is not None and holder.alive:
            raise ProfileBusy("another process works with this profile")
        assert process is not None
        self.home.mkdir(parents=True, exist_ok=True)
        _locks[self.home] = process
        try:
            yield
        finally:
            if _locks.get(self.home) is process:
                del _locks[self.home]


class SimulatedDisk(Disk):
    """The real checks of a disk that is as full as the history plans."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, lambda where: 0 if where in _full else 1 << 40)

    @property
    def identity(self) -> str:
        """Names each machine's disk apart."""
        return self._directory.name


#: Which process holds which profile, and which machine's disk has no room. Emptied by each world.
_locks: dict[Path, Process] = {}
_full: set[Path] = set()


class Machine:
    """A slot of the fleet: its process is started again when it ends, on the same disk unless that is lost."""

    def __init__(self, world: "World", slot: int, commit: str) -> None:
        self.world = world
        self.loop = world.loop
        self.slot = slot
        self.commit = commit
        self.starts = 0
        self.started_at = 0.0
        self.chance = random.Random(f"{world.seed}/machine/{slot}")
        self.skew = 0.0
        self.partitioned = False
        #: WhatsApp cannot be reached from here.
        self.unplugged = False
        #: When it was last unreachable for reasons of its own.
        self.last_bad = -1e9
        #: When the network last lost or delayed one of its calls, or the answer.
        self.lost_at = -1e9
        #: When its process was continued last, after it was stopped.
        self.went_on_at = -1e9
        #: Grows when the disk is lost.
        self.disk_number = 0
        #: No browser starts here, until the process ends: "fails", or "hangs".
        self.sick = ""
        #: The runner is stopped for so many seconds where it searches a message before sending it.
        self.ambush: float | None = None
        self.process: Process | None = None
        self.browsers: dict[Path, Browser] = {}
        self.host: Any = None
        self._lease: Lease | None = None

    @property
    def disk(self) -> Path:
        return self.world.disks / f"machine-{self.slot}"

    @property
    def task(self) -> str:
        return f"task-{self.slot}-{self.starts}"

    @property
    def identity(self) -> str | None:
        """Under which name the process is known just now; an earlier registration's answer may have been lost."""
        identity = self.host._identity
        return None if identity is None else str(identity.runner)

    @property
    def up(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def settled(self) -> bool:
        """True once it lives so long that a check each minute has found it."""
        return self.loop.time() - self.started_at > 150.0

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process on this machine's disk."""
        if self.up:
            return
        if self.loop.time() < self.world.dark_until:
            self.loop.after(self.world.dark_until - self.loop.time() + self.chance.uniform(0, 20), self.start)
            return
        self.starts += 1
        self.sick = ""
        self.started_at = self.loop.time()
        self.process = process = Process(f"runner-{self.slot}.{self.starts}")
        process.on_death.append(lambda: self._died(process))
        self.disk.mkdir(parents=True, exist_ok=True)
        most = self.world.plan.skew_seconds
        self.skew, rate = self.chance.uniform(-most, most), self.chance.uniform(0.99, 1.01)
        clock = MachineClock(self.loop, self.skew, rate)
        self._lease = lease = Lease(clock.now)
        settings: Any = SimpleNamespace(
            data_directory=self.disk,
            capacity=self.world.capacity,
            line_replies_per_minute=REPLIES_PER_MINUTE,
            wa_js=Path("none/none/none"),
            boot_gate_directory=None,
            image="",
            commit=self.commit,
        )
        network = cast(Any, Network(self))
        client = ControlPlaneClient(network, Transfers(network), "https://control/api", BOOTSTRAP_TOKEN)
        self.host = process.context.run(
            partial(
                runner_process.compose,
                settings=settings,
                browsers=cast(Any, Browsers(self, process)),
                client=client,
                lease=lease,
                clock=cast(Any, clock),
                jitter=random.Random(self.chance.getrandbits(64)),
                task=self.task,
                boot_slots=PROCESSORS,
            )
        )
        self.world.trace("process starts", who=process.name)
        main = self.loop.start(process, self.host.run())
        main.add_done_callback(lambda done: self._ended(process, done), context=self.loop.outside)
        self._watchdog(process, lease)

    def kill(self, *, disk_lost: bool = False) -> None:
        """Kills the process, as SIGKILL does or the end of the whole container."""
        if self.process is not None:
            self.process.kill()
        if disk_lost:
            self.disk_number += 1
            shutil.rmtree(self.disk, ignore_errors=True)

    def drain(self) -> None:
        if self.up and self.process is not None:
            self.loop.call_soon(self.host.stop, context=self.process.context)

    def stop(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT some time later."""
        process = self.process
        if process is not None and process.alive:
            process.stopped = True
            self.last_bad = self.loop.time() + seconds
            self.loop.after(seconds, self.go_on, process)

    def fill_disk(self, full: bool) -> None:
        """Lets browsers lose their writes from now on; the runner itself always has room."""
        if full:
            _full.add(self.disk)
            for browser in self.browsers.values():
                self.let_write(browser)
        else:
            _full.discard(self.disk)

    def let_write(self, browser: Browser) -> None:
        """Spoils the login of a browser on a full disk: it writes all the time."""
        if self.disk in _full:
            self.loop.after(self.chance.uniform(0.0, 3.0), self._spoil, browser)

    def _spoil(self, browser: Browser) -> None:
        if browser.alive and self.disk in _full:
            browser.login.spoiled = True

    def spring_ambush(self) -> None:
        if self.ambush is not None:
            self.world.trace("stopped in a reply", slot=self.slot)
            self.stop(self.ambush)
            self.ambush = None

    def go_on(self, process: Process) -> None:
        if process.alive and process.stopped:
            self.world.trace("process goes on", who=process.name)
            self.went_on_at = self.loop.time()
            self.loop.resume(process)

    def _died(self, process: Process) -> None:
        self.world.trace("process died", who=process.name, step=process.steps)
        for profile, browser in self.browsers.items():
            self.world.used(state_file(profile).read_text(), browser)
            self.loop.after(self.chance.uniform(0.0, 0.3), browser.die)
        self.browsers.clear()
        self.world.machine_ended(self)

    def browser_of(self, tenant: str) -> Browser | None:
        return next((browser for browser in self.browsers.values() if browser.tenant == tenant), None)

    def _ended(self, process: Process, done: "asyncio.Task[Any]") -> None:
        if process.alive:
            error = None if done.cancelled() else done.exception()
            if error is not None and isinstance(first_error(error), NoBrowserStarts):
                self.world.count("no browser starts")
            elif error is not None:
                self.loop.errors.append(f"{process.name} ended with {first_error(error)!r}")
            process.kill()

    def _watchdog(self, process: Process, lease: Lease) -> None:
        """The thread outside the loop; it stands still only when the whole process does."""
        if not process.alive:
            return
        if not process.stopped and lease.is_wedged():
            self.world.trace("the watchdog ends the process", who=process.name)
            Watchdog(lease, lambda: None, end=lambda code: process.kill(), sleep=lambda seconds: None).run()
            return
        self.loop.after(WATCHDOG_CHECK_SECONDS, self._watchdog, process, lease)
