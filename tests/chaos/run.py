"""A chaos run: start, link, inject a fault every few seconds, revert all, wait until settled, evaluate."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import AnswerlineError
from infrastructure.local.lambda_runtime.events import STAGE
from infrastructure.local.lambda_runtime.objects import PREFIX
from infrastructure.local.settings import Ports
from infrastructure.local.stack import LocalStack, local_stack
from tests.chaos import processes, small_disks
from tests.chaos.evidence import from_phones, from_table
from tests.chaos.faults import USUAL_DELAY_MS
from tests.chaos.faults_control import NEED_STORES, deck, exclusive_group
from tests.chaos.faults_mail import signer, unsent
from tests.chaos.faults_stores import STORES
from tests.chaos.faulty_proxy import FaultMode, FaultyProxy
from tests.chaos.lines import ALL_ONLINE_WITHIN_SECONDS, create, link, services_of
from tests.chaos.load import Load
from tests.chaos.monitor import Monitor
from tests.chaos.scene import Injection, Scene
from tests.chaos.verdict import Verdict, evaluate
from tests.simulators.whatsapp.client import SimulatorClient

RUNNERS = 3
#: A little more than the lines need: a session finds room while its runner's slot is empty.
CAPACITY = 4
LINES = 9
CONTACTS = 3
MESSAGES_PER_SECOND = 1.3
FAULT_EVERY_SECONDS = 6.0
WARM_UP_SECONDS = 20.0
#: The message of a killed worker is received again after the queue's 150 s and the loop's minute; twice.
SETTLED_WITHIN_SECONDS = 480.0
#: After all lines were online for so long, the sweep has read every message on a phone.
SWEPT_AFTER_SECONDS = 20.0
#: A message that is not handed in after so long online is lost.
LOST_AFTER_SECONDS = 90.0
#: A runner takes no session with less than 2 GiB left; tmpfs takes memory only for what is written.
SMALL_DISK_MEBIBYTES = 3_500
SMALL_SLOT = "slot-3"
#: The table of a run needs a tenth of it.
SMALL_TABLE_MEBIBYTES = 256

Report = Callable[[str], None]


@dataclass
class Outcome:
    """The result of a run."""

    seed: int
    injections: list[Injection]
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
    #: notices that were due in the end: tenant, audience and kind
    unsent: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)

    @property
    def hard_kills(self) -> int:
        """The number of runners ended with SIGKILL."""
        return sum(injection.hard_kill for injection in self.injections)

    @property
    def by_kind(self) -> Counter[str]:
        """The number of injections of each kind."""
        return Counter(injection.kind for injection in self.injections)


def run(data: Path, minutes: float, seed: int, report: Report) -> Outcome:
    """Runs on a new data directory; ends all processes at the end."""
    rng = random.Random(seed)
    ports = Ports.free()
    began_at = time.time()
    with contextlib.ExitStack() as cleanup:
        enter = cleanup.enter_context
        control = enter(FaultyProxy(f"http://127.0.0.1:{ports.gateway}", random.Random(seed + 1)))
        objects = control.part(PREFIX)
        mail = enter(FaultyProxy(f"http://127.0.0.1:{ports.ministack}", random.Random(seed + 2)))
        has_small_slot = enter(small_disks.mounted(data / "runners" / SMALL_SLOT, SMALL_DISK_MEBIBYTES))
        has_small_table = enter(small_disks.mounted(data / "table", SMALL_TABLE_MEBIBYTES))
        stack = enter(_stack(data, ports, control, mail, report))
        mail.sign = signer(stack.aws)
        whatsapp = enter(SimulatorClient(stack.phone_url))
        openai = enter(httpx.Client(base_url=stack.openai_url, timeout=30, trust_env=False))
        openai.post("/control/delay", json={"delay_ms": USUAL_DELAY_MS}).raise_for_status()
        services = services_of(stack)
        lines = create(services, LINES, CONTACTS)
        small = (SMALL_SLOT,) if has_small_slot else ()
        scene = Scene(stack, services, whatsapp, lines, control, objects, mail, openai, rng, small, has_small_table)
        link(services, whatsapp, lines, ALL_ONLINE_WITHIN_SECONDS)
        report(f"{len(lines)} lines are online; seed {seed}")
        outcome = _inject_under_load(scene, minutes * 60, seed, began_at, report)
    left = processes.leftover_processes(data)
    for process in left:
        with contextlib.suppress(psutil.Error):
            outcome.left_over.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
            process.kill()
    return outcome


def _stack(data: Path, ports: Ports, control: FaultyProxy, mail: FaultyProxy, report: Report) -> LocalStack:
    return local_stack(
        data,
        ports=ports,
        runners=RUNNERS,
        runner_capacity=CAPACITY,
        report=report,
        # The stage's prefix stays; only the host is another.
        app_settings={"AWS_ENDPOINT_URL_SESV2": mail.url},
        runner_settings={"CONTROL_URL": f"{control.url}/{STAGE}"},
    )


def _inject_under_load(scene: Scene, seconds: float, seed: int, began_at: float, report: Report) -> Outcome:
    """Generates load and injects faults for so long, then reverts them and waits until the lines are settled."""
    monitor = Monitor(scene)
    load = Load(scene.stack.phone_url, scene.lines, MESSAGES_PER_SECOND, random.Random(seed + 3))
    monitor.start()
    load.start()
    try:
        _wait(scene, WARM_UP_SECONDS)
        _inject_faults(scene, monitor, seconds, report)
        load.stop()
        healed_at = time.monotonic()
        verdict, resent, online = _wait_until_settled(scene, monitor, load, report)
        settled_after = time.monotonic() - healed_at
        runners = set(scene.runners().values())
        orphans = processes.orphans(scene.stack.settings.data, runners)
        zombies = processes.zombies(began_at)
        _wait(scene, 3.0)
        orphans = [each for each in orphans if each in processes.orphans(scene.stack.settings.data, runners)]
        zombies &= processes.zombies(began_at)
    finally:
        load.stop()
        monitor.stop()
    sessions = [scene.services.sessions.get(line.tenant) for line in scene.lines]
    return Outcome(
        seed=seed,
        injections=monitor.injections,
        verdict=verdict,
        online=online,
        settled_after=settled_after,
        longest_away=monitor.longest_away,
        resent=resent,
        orphans=orphans,
        zombies=len(zombies),
        slopes=monitor.memory.slopes(),
        disk_full_possible=bool(scene.small_disks),
        unsent=unsent(scene.services, scene.lines),
        snapshots=sum(bool(session.snapshots) for session in sessions),
    )


def _inject_faults(scene: Scene, monitor: Monitor, seconds: float, report: Report) -> None:
    began_at = time.monotonic()
    end = began_at + seconds
    kinds = deck(scene.rng)
    next_at = began_at
    while (now := time.monotonic()) < end:
        for injection in monitor.injections:
            _revert_if_due(injection, now)
        if now >= next_at:
            next_at += FAULT_EVERY_SECONDS * scene.rng.uniform(0.6, 1.4)
            _inject_next(scene, monitor, kinds, now - began_at, report)
        _wait(scene, 0.2)
    for injection in monitor.injections:
        _revert_if_due(injection, float("inf"))
    scene.control.set(FaultMode.FINE)
    scene.objects.set(FaultMode.FINE)
    scene.mail.set(FaultMode.FINE)
    scene.openai.delete("/control/faults").raise_for_status()


def _inject_next(
    scene: Scene, monitor: Monitor, kinds: Iterator[Callable[[Scene], Injection | None]], at: float, report: Report
) -> None:
    for _ in range(10):
        fault = next(kinds)
        busy = {injection.exclusive_group for injection in monitor.injections if injection.ended_at is None} - {""}
        if exclusive_group(fault) in busy or (fault in NEED_STORES and STORES in busy):
            continue
        try:
            injection = fault(scene)
        except (BotoCoreError, ClientError, AnswerlineError):
            continue  # a store that was just killed: this fault has no target
        if injection is None:
            continue
        if injection.duration_seconds == 0:
            injection.ended_at = time.monotonic()
        monitor.injections.append(injection)
        duration_seconds = f" for {injection.duration_seconds:.0f} s" if injection.duration_seconds else ""
        away = f"; away: {', '.join(sorted(monitor.away))}" if monitor.away else ""
        report(f"{at:6.1f} s  {injection.kind}: {injection.target}{duration_seconds}{away}")
        return


def _revert_if_due(injection: Injection, now: float) -> None:
    if injection.ended_at is None and now >= injection.began_at + injection.duration_seconds:
        injection.revert()
        injection.ended_at = time.monotonic()


def _wait_until_settled(scene: Scene, monitor: Monitor, load: Load, report: Report) -> tuple[Verdict, int, bool]:
    """Waits until all lines are online, every message is settled, and the sweep has read the phones.

    Returns the verdict, how many sends repeated an id, and whether all lines were online at that moment: later a runner
    may start a browser anew whose profile it suspects.
    """
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    online_since: float | None = None
    reported_at = time.monotonic()
    while True:
        _wait(scene, 2.0)
        now = time.monotonic()
        online_since = (online_since or now) if monitor.all_online else None
        bubbles, resent = from_phones(scene.whatsapp, scene.lines)
        stored, turns = from_table(scene.stack)
        verdict = evaluate(load.written, stored, turns, bubbles)
        swept = online_since is not None and now - online_since >= SWEPT_AFTER_SECONDS
        complete = not verdict.lost or (online_since is not None and now - online_since >= LOST_AFTER_SECONDS)
        due = unsent(scene.services, scene.lines)
        if (swept and complete and verdict.is_settled and not due) or now > deadline:
            return verdict, resent, online_since is not None
        if now - reported_at > 20:
            reported_at = now
            waiting = ", ".join(verdict.unanswered[:4])
            report(
                f"settling: away {sorted(monitor.away)}, {len(verdict.unanswered)} unanswered, "
                f"{len(verdict.lost)} not handed in, {len(due)} notices not sent. {waiting}"
            )


def _wait(scene: Scene, seconds: float) -> None:
    """Waits; the stack restarts the application if it ended. This thread must outlive it."""
    end = time.monotonic() + seconds
    while True:
        scene.stack.check()
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(0.2, left))
