"""One run: start, link, strike every few seconds, heal, wait until all is well, and judge."""

import contextlib
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from infrastructure.local.lambda_runtime.events import STAGE
from infrastructure.local.settings import Ports
from infrastructure.local.stack import LocalStack, local_stack
from tests.chaos import processes
from tests.chaos.evidence import from_phones, from_table
from tests.chaos.faults import USUAL_DELAY_MS
from tests.chaos.faults_control import deck, family
from tests.chaos.faulty_door import FaultyDoor, Mood
from tests.chaos.lines import ALL_ONLINE_WITHIN_SECONDS, create, link, services_of
from tests.chaos.load import Load
from tests.chaos.scene import Happening, Scene
from tests.chaos.verdict import Verdict, judge
from tests.chaos.watch import Watch
from tests.simulators.whatsapp.client import SimulatorClient

RUNNERS = 3
#: A little more than the lines need: a session finds room while its runner's slot is empty.
CAPACITY = 4
LINES = 9
CONTACTS = 3
MESSAGES_PER_SECOND = 1.3
FAULT_EVERY_SECONDS = 6.0
WARM_UP_SECONDS = 20.0
#: A message that a dying worker took with it comes back after the queue's 150 s and the loop's minute; twice.
SETTLED_WITHIN_SECONDS = 480.0
#: All lines online for so long: whatever a phone still has was swept up.
SWEPT_AFTER_SECONDS = 20.0
#: What is still not handed in after so long online will never be.
LOST_AFTER_SECONDS = 90.0
#: A runner takes no session with less than 2 GiB left; tmpfs takes memory only for what is written.
SMALL_DISK_MEBIBYTES = 3_500
#: While it is full, so much memory is gone.
MEMORY_FOR_IT_BYTES = 8 << 30

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run found."""

    seed: int
    happenings: list[Happening]
    verdict: Verdict
    online: bool
    settled_after: float
    longest_away: float
    resent: int
    orphans: list[str]
    zombies: int
    slopes: dict[str, float]
    disk_full_possible: bool
    snapshots: int = 0
    left_over: list[str] = field(default_factory=list)

    @property
    def hard_kills(self) -> int:
        """Runners ended with SIGKILL."""
        return sum(happening.hard_kill for happening in self.happenings)

    @property
    def by_kind(self) -> Counter[str]:
        """How many of each."""
        return Counter(happening.kind for happening in self.happenings)


def run(data: Path, minutes: float, seed: int, say: Say) -> Outcome:
    """Everything on a new data directory; all processes are ended at the end."""
    chance = random.Random(seed)
    ports = Ports.free()
    began_at = time.time()
    with contextlib.ExitStack() as cleanup:
        enter = cleanup.enter_context
        control = enter(FaultyDoor(f"http://127.0.0.1:{ports.gateway}", random.Random(seed + 1)))
        store = enter(FaultyDoor(f"http://127.0.0.1:{ports.ministack}", random.Random(seed + 2)))
        small_disks = enter(_small_disk(data / "runners" / "slot-3"))
        stack = enter(_stack(data, ports, control, store, say))
        whatsapp = enter(SimulatorClient(stack.phone_url))
        openai = enter(httpx.Client(base_url=stack.openai_url, timeout=30, trust_env=False))
        openai.post("/control/delay", json={"delay_ms": USUAL_DELAY_MS}).raise_for_status()
        services = services_of(stack)
        lines = create(services, LINES, CONTACTS)
        scene = Scene(stack, services, whatsapp, lines, control, store, openai, chance, small_disks)
        link(services, whatsapp, lines, ALL_ONLINE_WITHIN_SECONDS)
        say(f"{len(lines)} lines are online; seed {seed}")
        outcome = _strike(scene, minutes * 60, seed, began_at, say)
    left = processes.leftovers(data)
    for process in left:
        with contextlib.suppress(psutil.Error):
            outcome.left_over.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
            process.kill()
    return outcome


def _stack(data: Path, ports: Ports, control: FaultyDoor, store: FaultyDoor, say: Say) -> LocalStack:
    return local_stack(
        data,
        ports=ports,
        runners=RUNNERS,
        runner_capacity=CAPACITY,
        report=say,
        # The stage's prefix stays; only the host is another.
        runner_settings={"CONTROL_URL": f"{control.url}/{STAGE}"},
        app_settings={"AWS_ENDPOINT_URL_S3": store.url},
    )


@contextlib.contextmanager
def _small_disk(directory: Path) -> Iterator[tuple[str, ...]]:
    """A disk of its own for one slot, so that it can be full without hurting anybody; only root can have it."""
    directory.mkdir(parents=True)
    if psutil.virtual_memory().available < MEMORY_FOR_IT_BYTES:
        yield ()
        return
    size = f"size={SMALL_DISK_MEBIBYTES}m,mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", size, "answerline-chaos", str(directory)]
    try:
        mounted = subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield (directory.name,) if mounted else ()
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], capture_output=True, timeout=10, check=False)


def _strike(scene: Scene, seconds: float, seed: int, began_at: float, say: Say) -> Outcome:
    """Load and faults for so long, then heal, and wait until nothing is left to wait for."""
    watch = Watch(scene)
    load = Load(scene.stack.phone_url, scene.lines, MESSAGES_PER_SECOND, random.Random(seed + 3))
    watch.start()
    load.start()
    try:
        _pass(scene, WARM_UP_SECONDS)
        _fault_after_fault(scene, watch, seconds, say)
        load.stop()
        healed_at = time.monotonic()
        verdict, resent = _settle(scene, watch, load, say)
        settled_after = time.monotonic() - healed_at
        runners = set(scene.runners().values())
        orphans = processes.orphans(scene.stack.settings.data, runners)
        zombies = processes.zombies(began_at)
        _pass(scene, 3.0)
        orphans = [each for each in orphans if each in processes.orphans(scene.stack.settings.data, runners)]
        zombies &= processes.zombies(began_at)
    finally:
        load.stop()
        watch.stop()
    sessions = [scene.services.sessions.get(line.tenant) for line in scene.lines]
    return Outcome(
        seed=seed,
        happenings=watch.happenings,
        verdict=verdict,
        online=watch.all_online,
        settled_after=settled_after,
        longest_away=watch.longest_away,
        resent=resent,
        orphans=orphans,
        zombies=len(zombies),
        slopes=watch.memory.slopes(),
        disk_full_possible=bool(scene.small_disks),
        snapshots=sum(bool(session.snapshots) for session in sessions),
    )


def _fault_after_fault(scene: Scene, watch: Watch, seconds: float, say: Say) -> None:
    began_at = time.monotonic()
    end = began_at + seconds
    kinds = deck(scene.chance)
    next_at = began_at
    while (now := time.monotonic()) < end:
        for happening in watch.happenings:
            _end_if_due(happening, now)
        if now >= next_at:
            next_at += FAULT_EVERY_SECONDS * scene.chance.uniform(0.6, 1.4)
            _one(scene, watch, kinds, now - began_at, say)
        _pass(scene, 0.2)
    for happening in watch.happenings:
        _end_if_due(happening, float("inf"))
    scene.control.set(Mood.FINE)
    scene.store.set(Mood.FINE)
    scene.openai.delete("/control/faults").raise_for_status()


def _one(scene: Scene, watch: Watch, kinds: Iterator[Callable[[Scene], Happening | None]], at: float, say: Say) -> None:
    for _ in range(10):
        fault = next(kinds)
        busy = {happening.family for happening in watch.happenings if happening.over_at is None} - {""}
        happening = None if family(fault) in busy else fault(scene)
        if happening is None:
            continue
        if happening.lasts == 0:
            happening.over_at = time.monotonic()
        watch.happenings.append(happening)
        lasts = f" for {happening.lasts:.0f} s" if happening.lasts else ""
        away = f"; away: {', '.join(sorted(watch.away))}" if watch.away else ""
        say(f"{at:6.1f} s  {happening.kind}: {happening.target}{lasts}{away}")
        return


def _end_if_due(happening: Happening, now: float) -> None:
    if happening.over_at is None and now >= happening.began_at + happening.lasts:
        happening.undo()
        happening.over_at = time.monotonic()


def _settle(scene: Scene, watch: Watch, load: Load, say: Say) -> tuple[Verdict, int]:
    """Until all are online, everything handed in is settled, and what the phones still had was swept up."""
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    online_since: float | None = None
    told_at = time.monotonic()
    while True:
        _pass(scene, 2.0)
        now = time.monotonic()
        online_since = (online_since or now) if watch.all_online else None
        bubbles, resent = from_phones(scene.whatsapp, scene.lines)
        stored, turns = from_table(scene.stack)
        verdict = judge(load.written, stored, turns, bubbles)
        swept = online_since is not None and now - online_since >= SWEPT_AFTER_SECONDS
        complete = not verdict.lost or (online_since is not None and now - online_since >= LOST_AFTER_SECONDS)
        if (swept and complete and verdict.is_settled) or now > deadline:
            return verdict, resent
        if now - told_at > 20:
            told_at = now
            waiting = ", ".join(verdict.unanswered[:4])
            say(
                f"settling: away {sorted(watch.away)}, {len(verdict.unanswered)} unanswered, "
                f"{len(verdict.lost)} not handed in. {waiting}"
            )


def _pass(scene: Scene, seconds: float) -> None:
    """Time goes by; the application is started again if it ended. Its thread must outlive it."""
    end = time.monotonic() + seconds
    while True:
        scene.stack.check()
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(0.2, left))
