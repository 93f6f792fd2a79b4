"""`python -m tests.soak.scale`: 2,000 tenants on 250 runners without browsers, and a quarter of it beside them.

Counts what the control plane reads and writes each minute, and for each poll of the admin's list; loses half of the
fleet, and waits until all lines are online again. The figures of a size are kept in `build/scale.json` and measured
again only if the code changed; the table and the verdict, its last line, are in `build/scale.txt`.
"""

import argparse
import asyncio
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from chalicelib.model import Assistant, Tenant, TenantState
from chalicelib.store.fleet import waiting_index
from chalicelib.store.table import Update
from chalicelib.wiring import Services
from infrastructure.checkout import REPOSITORY
from infrastructure.local.ecs.service import Service
from infrastructure.local.programs import Programs
from infrastructure.local.settings import Ports, Settings
from infrastructure.local.stack import LocalStack
from tests.chaos.lines import services_of
from tests.soak.counted_functions import COUNTS, PAGES, WRITTEN_EVERY_SECONDS, Row, read_counts
from tests.soak.pages import open_page, sign_in
from tests.soak.quiet_fleet import QuietFleet
from tests.soak.results import Figures, Results, fingerprint
from tests.soak.scale_report import report, verdict
from wire import Phase

BUILD = REPOSITORY / "build"
SIZES = (500, 2_000)
CAPACITY = 8
#: After all lines are online, the first minute still protects tasks and settles.
SETTLED_AFTER_SECONDS = 65.0
#: The list of tenants is opened so often.
POLLS = 5
#: Two runs of the loop of each minute.
MEASURED_SECONDS = 120.0
ONLINE_WITHIN_SECONDS = 420.0
#: ECS starts the tasks that are missing so soon.
REPLACED_AFTER_SECONDS = 10.0
LOOKS_EVERY_SECONDS = 2.0


class CountedPrograms(Programs):
    """The programs of the stack, of which the functions count what they read and write."""

    def __init__(self, settings: Settings, counts: Path) -> None:
        super().__init__(settings)
        self._counts = counts

    def _start(self, name: str, command: Iterable[str], environment: Mapping[str, str], url: str) -> Any:
        replaced = {"infrastructure.local.lambda_runtime.functions": "tests.soak.counted_functions"}
        arguments = [replaced.get(argument, argument) for argument in command]
        return super()._start(name, arguments, {**environment, COUNTS: str(self._counts)}, url)


def main() -> int:
    """Returns the exit code: 0 if the bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.scale", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES), help="numbers of tenants, two of them")
    sizes = sorted(parser.parse_args().sizes)
    results = Results(BUILD / "scale.json", fingerprint())
    for size in sizes:
        if results.get(str(size), "scale") is None:
            results.keep(str(size), "scale", measure(size, _say))
    measured = {size: results.get(str(size), "scale") or {} for size in sizes}
    held, line = verdict(measured)
    text = f"{report(measured)}\n{line}\n"
    (BUILD / "scale.txt").write_text(text)
    print(text, end="")
    return 0 if held else 1


def measure(size: int, say: Callable[[str], None]) -> Figures:
    """Measures one size, on a stack of its own."""
    data = BUILD / "scale" / str(size)
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    counts = data / "counts.json"
    settings = Settings(
        data=data,
        ports=Ports.free(),
        runners=0,
        runner_capacity=CAPACITY,
        simulate_whatsapp=False,
        simulate_openai=False,
    )
    stack = LocalStack(settings, lambda text: None)
    stack._programs = CountedPrograms(settings, counts)
    with stack:
        services = services_of(stack)
        seed(services, size)
        say(f"{size} tenants: created")
        figures = asyncio.run(_play(stack, services, size, counts, lambda text: say(f"{size} tenants: {text}")))
    shutil.rmtree(data, ignore_errors=True)
    return figures


def seed(services: Services, size: int) -> None:
    """Creates tenants whose lines are linked and wait for a runner."""
    sealed = services.key_encryption.encrypt("scale", "sk-scale")
    now = services.clock()
    for number in range(size):
        id = f"scaletenant{number:05d}"
        tenant = Tenant(
            id=id,
            name=f"Client {number}",
            owner_email=f"owner{number}@example.com",
            language="en",
            state=TenantState.ACTIVE,
            revision=1,
            created_at=now,
            assistant_version=1,
            key_ciphertext=sealed,
            key_last4="cale",
        )
        services.tenants.create(tenant, Assistant(1, "gpt-6-luna", "Be brief."), by="scale@example.com")
        linked = {"number": f"49171{number:07d}", "linked_at": now, "account_since": now}
        waiting = dict(zip(waiting_index.KEYS, (waiting_index.SESSIONS, now), strict=True))
        services.table.update(Update(f"TENANT#{id}", "SESSION", set={**linked, **waiting}))


async def _play(stack: LocalStack, services: Services, size: int, counts: Path, say: Callable[[str], None]) -> Figures:
    runners = -(-size // CAPACITY)
    service = Service(stack.client("ecs"), stack.client("sqs"), stack.created)

    def begin_task(name: str) -> str:
        service.report_started(name)
        return service.task_arn(name)

    services.fleet.set_desired(runners)
    token = services.runner_token()
    fleet = QuietFleet(stack.base_url, token, CAPACITY, services.release, stack.settings.data / "runners", begin_task)
    began_at = time.monotonic()
    await fleet.start(runners)
    placed = await _all_online(services, size, began_at)
    say(f"{runners} runners hold all lines after {placed:.0f} s")
    await asyncio.sleep(SETTLED_AFTER_SECONDS)
    before = read_counts(counts)
    await asyncio.sleep(MEASURED_SECONDS)
    each_minute = _difference(before, read_counts(counts), 60 / MEASURED_SECONDS)
    each_poll = await asyncio.to_thread(_poll, stack, services, counts)
    say("half of the fleet is lost")
    before, lost_at = read_counts(counts), time.monotonic()
    epochs = {session.tenant: session.epoch for _, session in services.tenants.list_all()}
    await fleet.lose(runners // 2)
    await asyncio.sleep(REPLACED_AFTER_SECONDS)
    await fleet.start(runners // 2)
    moved = runners // 2 * CAPACITY
    converged = await _all_online(services, size, lost_at, epochs=epochs, moved=min(moved, size))
    say(f"all lines are online again after {converged:.0f} s")
    return {
        "runners": runners,
        "placed_seconds": placed,
        "each_minute": each_minute,
        "each_poll": each_poll,
        "converged_seconds": converged,
        "moved": sum(session.epoch > epochs[session.tenant] for _, session in services.tenants.list_all()),
        "failover": _difference(before, read_counts(counts), 1.0),
    }


def _poll(stack: LocalStack, services: Services, counts: Path) -> dict[str, float]:
    """Opens the list of tenants and its live part several times; returns what each time is read, by page and row."""
    sign_in(services.table)
    before = read_counts(counts)
    for _ in range(POLLS):
        for page in PAGES:
            open_page(stack.base_url + page)
    time.sleep(2 * WRITTEN_EVERY_SECONDS)
    difference = _difference(before, read_counts(counts), 1 / POLLS)
    return {row: count for row, count in difference.items() if row.startswith("read by ")}


async def _all_online(
    services: Services,
    size: int,
    began_at: float,
    *,
    epochs: Mapping[str, int] | None = None,
    moved: int = 0,
) -> float:
    """Waits until all lines are online, of which so many have moved; returns the seconds since it began."""
    while True:
        sessions = [session for _, session in await asyncio.to_thread(services.tenants.list_all)]
        online = sum(session.phase is Phase.ONLINE and session.runner is not None for session in sessions)
        have_moved = sum(session.epoch > (epochs or {}).get(session.tenant, session.epoch) for session in sessions)
        if online == size and have_moved >= moved:
            return time.monotonic() - began_at
        if time.monotonic() - began_at > ONLINE_WITHIN_SECONDS:
            raise TimeoutError(f"{online} of {size} lines are online after {ONLINE_WITHIN_SECONDS:.0f} s")
        await asyncio.sleep(LOOKS_EVERY_SECONDS)


def _difference(before: Counter[Row], after: Counter[Row], times: float) -> dict[str, float]:
    """Returns the counts between two moments, by row, as JSON holds them."""
    return {": ".join(row): (after[row] - before[row]) * times for row in sorted(after) if after[row] > before[row]}


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
