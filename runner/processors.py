"""Counts the processors that this process may use: what control groups and affinity leave of the machine's."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def count_processors(cgroups: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> int:
    """Returns the whole processors of the smallest quota above this process, or of its affinity; at least 1."""
    return max(1, int(min([float(len(os.sched_getaffinity(0))), *_quotas(cgroups, own_cgroups)])))


def _quotas(cgroups: Path, own_cgroups: Path) -> Iterator[float]:
    """Yields, in processors, each quota that holds for this process: of its own control group and of those above."""
    for directory in _directories(cgroups, own_cgroups):
        words = _words(directory / "cpu.max")
        if not words:  # version 1 has two files, and -1 for no quota
            words = [*_words(directory / "cpu.cfs_quota_us"), *_words(directory / "cpu.cfs_period_us")]
        if len(words) == 2 and all(word.isdecimal() and int(word) > 0 for word in words):
            yield int(words[0]) / int(words[1])


def _directories(cgroups: Path, own_cgroups: Path) -> Iterator[Path]:
    """Yields the directories of the groups that count processors; in a container the root is the container's own."""
    for line in _lines(own_cgroups):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in [cgroups / controllers, cgroups / "cpu"] if controllers else [cgroups]:
            own = Path(path.lstrip("/"))
            yield from (mount / above for above in [own, *own.parents])


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
