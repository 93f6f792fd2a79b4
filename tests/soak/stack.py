"""`python -m tests.soak.stack DATA`: the one-machine stack of `make up`, with runners that have no browsers."""

import argparse
import sys
from pathlib import Path

from infrastructure.local.__main__ import run
from infrastructure.local.settings import Ports, Settings
from infrastructure.local.stack import LocalStack
from tests.soak.quiet_runner import WRITES

#: The lines have no messages, so that no OpenAI is needed, not even a simulated one.
SILENT = "--silent"
QUIET_RUNNER = (sys.executable, "-m", "tests.soak.quiet_runner")


def main() -> int:
    """Runs until SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument(SILENT, action="store_true")
    given = parser.parse_args()
    settings = Settings(
        data=given.data.resolve(),
        ports=Ports.free(),
        simulate_whatsapp=False,
        simulate_openai=not given.silent,
        runner_command=QUIET_RUNNER,
        runner_settings={WRITES: "" if given.silent else "once"},
    )
    return run(LocalStack(settings, lambda text: print(text, flush=True)))


if __name__ == "__main__":
    sys.exit(main())
