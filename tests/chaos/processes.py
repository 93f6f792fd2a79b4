"""The processes of a run: each slot's browsers, their renderers, orphans, zombies, and their memory."""

import contextlib
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

MEBIBYTE = 1024 * 1024
#: A shorter span has no meaningful slope.
SLOPE_OVER_AT_LEAST_SECONDS = 90.0
#: A process that has just started still grows into its size.
WARM_AFTER_SECONDS = 45.0


@dataclass(frozen=True)
class Browser:
    """The first process of a Chromium."""

    process: psutil.Process
    slot: str
    tenant: str


def browsers(data: Path) -> list[Browser]:
    """Returns every Chromium that runs on a profile below this directory."""
    profile = re.compile(rf"--user-data-dir={re.escape(str(data))}/runners/(slot-\d+)/([^/]+)/current(?: |$)")
    found = []
    for process, line in _command_lines():
        matched = profile.search(line)
        # Debian's start script stays as the parent of what it starts.
        if matched is not None and "--type=" not in line and not line.startswith("/bin/sh "):
            found.append(Browser(process, matched[1], matched[2]))
    return found


def renderers(browser: Browser) -> list[psutil.Process]:
    """Returns the browser's renderer processes."""
    found = []
    with contextlib.suppress(psutil.Error):
        for child in browser.process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "--type=renderer" in " ".join(child.cmdline()):
                    found.append(child)
    return found


def orphans(data: Path, runners: set[int]) -> list[str]:
    """Returns the processes on this directory's slots without a living runner, and second browsers of one tenant."""
    found = []
    for process, line in _command_lines():
        with contextlib.suppress(psutil.Error):
            if process.pid in runners or not _belongs_to(process, line, data):
                continue
            if not runners & {parent.pid for parent in process.parents()}:
                found.append(f"{process.pid} {line[:80]}")
    by_tenant: dict[str, list[Browser]] = defaultdict(list)
    for browser in browsers(data):
        by_tenant[browser.tenant].append(browser)
    found += [f"{tenant} has {len(several)} browsers" for tenant, several in by_tenant.items() if len(several) > 1]
    return found


def leftover_processes(data: Path) -> list[psutil.Process]:
    """Returns the processes that still use this directory, except this one and its parents."""
    found = []
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process, line in _command_lines():
        with contextlib.suppress(psutil.Error):
            if process.pid not in ours and (f"{data}/" in line or _belongs_to(process, line, data)):
                found.append(process)
    return found


def zombies(since: float) -> set[int]:
    """Returns the dead processes without a wait by their parent, of those that began after ``since``."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE and process.create_time() >= since:
                found.add(process.pid)
    return found


class Memory:
    """Memory samples of each process by pid, so that a restart is no slope."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)

    def sample(self, pids: dict[str, int], now: float) -> None:
        """Records the memory of each process."""
        for name, pid in pids.items():
            with contextlib.suppress(psutil.Error):
                kind = "runner" if name.startswith("runner-") else name
                self._samples[kind, pid].append((now, psutil.Process(pid).memory_info().rss / MEBIBYTE))

    def slopes(self) -> dict[str, float]:
        """Returns the growth in MiB a minute by kind of process: of the longest-lived one, if it lived long enough."""
        longest: dict[str, list[tuple[float, float]]] = {}
        for (kind, _), samples in self._samples.items():
            warm = [sample for sample in samples if sample[0] - samples[0][0] >= WARM_AFTER_SECONDS]
            if len(warm) > 2 and len(warm) > len(longest.get(kind, [])):
                longest[kind] = warm
        return {
            kind: _slope(samples) * 60
            for kind, samples in longest.items()
            if samples[-1][0] - samples[0][0] >= SLOPE_OVER_AT_LEAST_SECONDS
        }


def _slope(samples: list[tuple[float, float]]) -> float:
    """Returns the slope by least squares."""
    mean_at = sum(at for at, _ in samples) / len(samples)
    mean_size = sum(size for _, size in samples) / len(samples)
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    return sum((at - mean_at) * (size - mean_size) for at, size in samples) / spread if spread else 0.0


def _command_lines() -> list[tuple[psutil.Process, str]]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.append((process, " ".join(process.cmdline())))
    return found


def _belongs_to(process: psutil.Process, line: str, data: Path) -> bool:
    runners = str(data / "runners")
    # A runner's driver names the directory in its environment only.
    return f"--user-data-dir={runners}/" in line or process.environ().get("DATA_DIRECTORY", "").startswith(runners)
