"""The health check: the event loop writes a heartbeat file, and `python -m runner.health` checks how old it is.

The control plane is deliberately not asked: a restart of runners because another part is down makes an outage worse.
"""

import contextlib
import os
import sys
from datetime import timedelta
from pathlib import Path

from runner.clock import Clock, SystemClock

HEARTBEAT_EVERY = timedelta(seconds=5)
#: Our own code holds the loop for a moment at most; an overloaded machine may hold it for longer.
MAX_SILENCE = timedelta(seconds=30)


async def write_heartbeats(directory: Path, clock: Clock) -> None:
    """Writes a heartbeat at each interval, until cancelled."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        # A disk that refuses even this is reported as such: the heartbeat grows old.
        with contextlib.suppress(OSError):
            heartbeat_file(directory).touch()
            now_ns = clock.wall_ms() * 1_000_000
            os.utime(heartbeat_file(directory), ns=(now_ns, now_ns))
        await clock.sleep(HEARTBEAT_EVERY.total_seconds())


def find_failure(directory: Path, clock: Clock) -> str | None:
    """Returns one sentence if the runner of this directory is not alive, else None."""
    try:
        written_ms = heartbeat_file(directory).stat().st_mtime_ns // 1_000_000
    except OSError as error:
        return f"No sign of life at {heartbeat_file(directory)}: {error.strerror}."
    silence = timedelta(milliseconds=clock.wall_ms() - written_ms)
    if silence > MAX_SILENCE:
        return f"The runner has shown no sign of life for {silence.total_seconds():.0f} s."
    return None


def heartbeat_file(directory: Path) -> Path:
    """Returns the file whose age counts."""
    return directory / "alive"


def main() -> int:
    """Returns the exit code: 0 if the runner with this environment is alive, else 1, with the sentence."""
    failure = find_failure(Path(os.environ["DATA_DIRECTORY"]), SystemClock())
    if failure is None:
        return 0
    print(failure, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
