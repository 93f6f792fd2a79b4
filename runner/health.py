"""Whether this runner's event loop still turns: it touches a file, and `python -m runner.health` looks how old it is.

The control plane is deliberately not asked: whoever restarts runners because something else is down makes it worse.
"""

import contextlib
import os
import sys
from datetime import timedelta
from pathlib import Path

from runner.clock import Clock, SystemClock

BEAT_EVERY = timedelta(seconds=5)
#: Nothing of ours holds the loop for longer than a moment; a machine with too much to do may.
STILL_ALIVE_AFTER = timedelta(seconds=30)


async def beat(directory: Path, clock: Clock) -> None:
    """Show signs of life until cancelled."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        # A disk that takes not even this is seen as what it is: the sign grows old.
        with contextlib.suppress(OSError):
            sign(directory).touch()
            now_ns = clock.wall_ms() * 1_000_000
            os.utime(sign(directory), ns=(now_ns, now_ns))
        await clock.sleep(BEAT_EVERY.total_seconds())


def trouble(directory: Path, clock: Clock) -> str:
    """One sentence if the runner of this directory does not live; empty if it does."""
    try:
        seen_ms = sign(directory).stat().st_mtime_ns // 1_000_000
    except OSError as error:
        return f"No sign of life at {sign(directory)}: {error.strerror}."
    silent = timedelta(milliseconds=clock.wall_ms() - seen_ms)
    if silent > STILL_ALIVE_AFTER:
        return f"The runner has shown no sign of life for {silent.total_seconds():.0f} s."
    return ""


def sign(directory: Path) -> Path:
    """The file whose age counts."""
    return directory / "alive"


def main() -> int:
    """0 if the runner with this environment lives, else 1 and the sentence."""
    said = trouble(Path(os.environ["DATA_DIRECTORY"]), SystemClock())
    if said:
        print(said, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
