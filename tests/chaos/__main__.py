"""`make chaos MINUTES=10`: injects a fault every few seconds into real processes; the last line is the verdict."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.report import is_good, last_line, table
from tests.chaos.run import run


def main() -> int:
    """Returns 0 if nothing is duplicated, unanswered or left over, and hardly anything is lost (report.py)."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, help="draws the same faults again (when they strike still differs)")
    parser.add_argument("--keep", type=Path, help="where to leave data and logs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = arguments.seed if arguments.seed is not None else random.randrange(1_000_000)
    data = arguments.keep or Path(tempfile.mkdtemp(prefix="answerline-chaos-"))
    started = time.monotonic()
    try:
        outcome = run(data, arguments.minutes, seed, lambda text: print(text, flush=True))
    except BaseException as error:
        print(f"chaos: FAILED with seed {seed}: {type(error).__name__}: {error} (data and logs: {data})")
        raise
    print(table(outcome, time.monotonic() - started))
    good = is_good(outcome)
    if good and arguments.keep is None:
        shutil.rmtree(data, ignore_errors=True)
    elif not good:
        print(f"data and logs: {data}; the same faults again: --seed {seed}")
    print(last_line(outcome))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
