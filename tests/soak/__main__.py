"""`python -m tests.soak`: seeds a month of 5, 20 and 50 clients, and measures what stores and control plane cost.

Each step's figures are kept in `build/soak.json` and measured again only if the code changed, so that a run goes on
where it was stopped. The last line is the verdict on the largest size.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from infrastructure.checkout import REPOSITORY
from tests.soak import measure, report
from tests.soak.plan import DAYS, MESSAGES_PER_DAY, SIZES, Size
from tests.soak.results import Figures, Results, fingerprint

BUILD = REPOSITORY / "build"
Step = Callable[[Path, Size, measure.Report], Figures]
#: In this order; each starts the stack anew.
STEPS: dict[str, Step] = {"start": measure.start, "rest": measure.rest, "browsers": measure.browsers}
#: Memory that a browser takes with its runner; sizes whose browsers do not fit are not linked.
BROWSER_BYTES = 700 << 20
BROWSERS_PER_PROCESSOR = 5


def main() -> int:
    """Returns the exit code: 0 if the bounds hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES), help="numbers of clients")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--messages", type=int, default=MESSAGES_PER_DAY, help="a day, for each client")
    parser.add_argument("--only", choices=sorted(STEPS), help="one step; default: all")
    given = parser.parse_args()
    sizes = [Size(clients, given.days, given.messages) for clients in sorted(given.sizes)]
    results = Results(BUILD / "soak.json", fingerprint())
    _say(f"{os.cpu_count()} processors, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.machine()}")
    for size in sizes:
        for name, step in STEPS.items():
            if given.only in (None, name) and (name != "browsers" or _has_room_for(size)):
                _take(size, name, step, results)
    measured = {size: {name: results.get(size.label, name) or {} for name in STEPS} for size in sizes}
    text = report.table(measured)
    (BUILD / "soak.txt").write_text(f"{text}\n")
    held, line = report.verdict(sizes[-1], measured[sizes[-1]])
    print(f"{text}\n{report.breakdown(measured[sizes[-1]])}\n{line}")
    return 0 if held else 1


def _take(size: Size, name: str, step: Step, results: Results) -> None:
    """Takes one step, unless its figures are known."""
    if results.get(size.label, name) is not None:
        return

    def say(text: str) -> None:
        _say(f"{size.clients} clients: {text}")

    data = BUILD / "soak" / size.label
    measure.fill(data, size, say)
    say(name)
    load = measure.load_average()
    figures = step(data, size, say)
    results.keep(size.label, name, {**figures, "load_before": load, "at": round(time.time())})


def _has_room_for(size: Size) -> bool:
    """Returns whether this machine can run a browser for each client."""
    processors = (os.cpu_count() or 1) * BROWSERS_PER_PROCESSOR
    return size.clients <= processors and size.clients * BROWSER_BYTES <= psutil.virtual_memory().available


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
