"""The steps of a soak: each measures one thing of one size, and returns its figures by their names."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chalicelib.store.table import Update
from infrastructure.checkout import REPOSITORY
from infrastructure.local.backup.key import make_key, recipient_of
from infrastructure.local.stack import LocalStack, local_stack
from infrastructure.local.table.expiry import FIRST_AFTER_SECONDS, PAGE_ITEMS, PAGE_PAUSE_SECONDS
from infrastructure.local.table.items import count_items
from tests.chaos.lines import Line, link, services_of, until
from tests.simulators.whatsapp.client import SimulatorClient
from tests.soak.idle import idle_figures
from tests.soak.pages import measure_pages
from tests.soak.plan import Size, client_id, phone_number
from tests.soak.results import Figures
from tests.soak.running import running
from tests.soak.seeding import seed
from tests.soak.stack import SILENT
from wire import Phase

#: The starts, of which the median counts.
STARTS = 3
IDLE_SECONDS = 60.0
#: The time around the hourly pass over the table that is measured with it.
MARGIN_SECONDS = 10.0
#: How long the pass takes for a page, at most, with its pause.
PAGE_SECONDS = PAGE_PAUSE_SECONDS + 0.05
#: Items that a message of a contact becomes: itself, its turn, and what is counted.
ITEMS_PER_MESSAGE = 2.2
#: Seeded data is used for so long.
REUSED_FOR_SECONDS = 24 * 3600.0
#: Placing waits for the reconciler and the autoscaler, which come every minute.
PLACED_WITHIN_SECONDS = 900.0
ANSWERED_WITHIN_SECONDS = 300.0
#: Of browsers, with their first start and their scan.
ONLINE_WITHIN_SECONDS = 900.0
#: A profile that was just linked is archived soon after; a stop before that would lose nothing, but copy more.
SAVED_AFTER_SECONDS = 60.0

#: The attributes of a session that its login brings.
_OF_A_LOGIN = (
    *("number", "last_number", "linked_at", "account_since", "caught_up_to", "snapshot_order"),
    *("unplaced", "unplaced_since"),
)

Report = Callable[[str], None]


def fill(data: Path, size: Size, report: Report) -> None:
    """Seeds the clients that are missing; what was seeded a day ago begins to expire, and is seeded anew."""
    marker = data.with_suffix(".seeded")
    began_at = float(marker.read_text()) if marker.exists() else 0.0
    if time.time() - began_at > REUSED_FOR_SECONDS:
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        marker.write_text(str(time.time()))
    seed(data, size, report)


def start(data: Path, size: Size, report: Report) -> Figures:
    """Starts stores and control plane several times."""
    seconds = []
    for number in range(1, STARTS + 1):
        with running(data, SILENT) as stack:
            seconds.append(stack.start_seconds)
        report(f"start {number}: {seconds[-1]:.1f} s")
    return {"seconds": seconds, "median_seconds": statistics.median(seconds)}


def rest(data: Path, size: Size, report: Report) -> Figures:
    """Measures memory, disk, pages, and the processors while all lines are held and nobody writes any more."""
    began_at, started_at = time.time_ns() // 1_000_000, time.monotonic()
    with running(data) as stack:
        placed = stack.wait_until_online(size.clients, PLACED_WITHIN_SECONDS)
        report(f"{size.clients} lines without browsers are online after {placed:.0f} s")
        pages = measure_pages(stack)
        # Each line has one message answered: what that takes is in memory from then on.
        until(lambda: stack.replies_since(began_at) == size.clients, ANSWERED_WITHIN_SECONDS, "not all lines answered")
        _sleep_until(started_at + FIRST_AFTER_SECONDS - MARGIN_SECONDS)
        before_pass = stack.sample()
        pass_seconds = size.messages * ITEMS_PER_MESSAGE / PAGE_ITEMS * PAGE_SECONDS
        _sleep_until(started_at + FIRST_AFTER_SECONDS + pass_seconds + 2 * MARGIN_SECONDS)
        after_pass = stack.sample()
        time.sleep(IDLE_SECONDS)
        figures = idle_figures(before_pass, after_pass, stack.sample())
        backup = _back_up(data)
        client = stack.aws.client("dynamodb")
        (table,) = client.list_tables()["TableNames"]
        return {
            **figures,
            **pages,
            **backup,
            "placed_seconds": placed,
            "items": count_items(client, table),
            "table_bytes": _bytes_in(data / "table"),
        }


def _sleep_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.monotonic()))


def _back_up(data: Path) -> Figures:
    """Takes a backup as `make backup` does, while the stack runs."""
    if recipient_of(data) is None:
        make_key(data)
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="backup-") as place:
        file = Path(place) / "soak.backup"
        began_at = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "infrastructure.local", "backup", str(file)],
            cwd=REPOSITORY,
            env={**os.environ, "DATA": str(data)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return {"backup_seconds": time.monotonic() - began_at, "backup_bytes": file.stat().st_size}


def browsers(data: Path, size: Size, report: Report) -> Figures:
    """Links every line to a simulated phone in a real browser, stops all, and times the next start."""
    own = data.with_name(f"{data.name}-browsers")
    shutil.rmtree(own, ignore_errors=True)
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("runners", "logs", "lock"))
    try:
        _forget_logins(own, size)
        with _with_browsers(own) as stack, SimulatorClient(stack.phone_url) as whatsapp:
            lines = [Line(client_id(number), phone_number(number), ()) for number in range(1, size.clients + 1)]
            link(services_of(stack), whatsapp, lines, ONLINE_WITHIN_SECONDS)
            report(f"{size.clients} lines are linked in browsers")
            _let(stack, SAVED_AFTER_SECONDS)
        began_at = time.monotonic()
        with _with_browsers(own) as stack:
            started = time.monotonic() - began_at
            services = services_of(stack)

            def all_online() -> bool:
                stack.check()
                return all(session.phase is Phase.ONLINE for _, session in services.tenants.list_all())

            until(all_online, ONLINE_WITHIN_SECONDS, "not all lines came online again")
            return {"seconds": time.monotonic() - began_at, "started_seconds": started}
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _with_browsers(data: Path) -> LocalStack:
    return local_stack(data, runners=1, report=lambda text: None)


def _forget_logins(data: Path, size: Size) -> None:
    """Unlinks the seeded sessions: no simulated phone knows them, and their archives hold no profile."""
    with local_stack(data, simulators=(), runners=0, report=lambda text: None) as stack:
        table = services_of(stack).table
        for number in range(1, size.clients + 1):
            changes: dict[str, Any] = {**dict.fromkeys(_OF_A_LOGIN), "snapshots": [], "phase": Phase.IDLE}
            table.update(Update(f"TENANT#{client_id(number)}", "SESSION", set=changes))


def _let(stack: LocalStack, seconds: float) -> None:
    """Lets time pass, and restarts what ends meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stack.check()
        time.sleep(0.5)


def _bytes_in(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def load_average() -> float:
    """Returns how many processes wanted a processor in the last minute, on average."""
    return os.getloadavg()[0]
