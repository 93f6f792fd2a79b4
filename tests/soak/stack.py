"""`python -m tests.soak.stack DATA`: the one-machine stack of `make up`, with runners that have no browsers."""

import sys
from pathlib import Path

from infrastructure.local.__main__ import run
from infrastructure.local.settings import Ports, Settings
from infrastructure.local.stack import LocalStack

QUIET_RUNNER = (sys.executable, "-m", "tests.soak.quiet_runner")


def main() -> int:
    """Runs until SIGTERM; returns the exit code."""
    settings = Settings(
        data=Path(sys.argv[1]).resolve(),
        ports=Ports.free(),
        simulate_whatsapp=False,
        simulate_openai=False,
        runner_command=QUIET_RUNNER,
    )
    return run(LocalStack(settings, lambda text: print(text, flush=True)))


if __name__ == "__main__":
    sys.exit(main())
