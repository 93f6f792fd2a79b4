"""What stores and control plane use while nobody writes, from three samples of their processes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The pass over the table that deletes what expired comes so often.
PASS_EVERY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process used up to a moment."""

    resident_bytes: int
    cpu_seconds: float
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What all processes used up to an instant, by their names; seconds."""

    at: float
    parts: Mapping[str, Usage]


def idle_figures(before_pass: Sample, after_pass: Sample, end: Sample) -> dict[str, Any]:
    """Returns memory and share of a core of each process, and the sums.

    Between the first two samples lies the hourly pass. Its share of an hour is added to what was used after it.
    """
    minute = _shares(after_pass, end)
    parts = {
        name: {"resident_bytes": used.resident_bytes, "threads": used.threads, "cpu_percent": 100 * minute[name]}
        for name, used in end.parts.items()
        if name in minute
    }
    idle = sum(minute.values())
    with_pass = sum(_shares(before_pass, after_pass).values())
    pass_seconds = max(0.0, (with_pass - idle) * (after_pass.at - before_pass.at))
    return {
        "parts": parts,
        "resident_bytes": sum(part["resident_bytes"] for part in parts.values()),
        "pass_cpu_seconds": pass_seconds,
        "cpu_percent": 100 * (idle + pass_seconds / PASS_EVERY_SECONDS),
    }


def _shares(before: Sample, after: Sample) -> dict[str, float]:
    """Returns the share of a core of each process that lived all the time."""
    took = after.at - before.at
    return {
        name: (used.cpu_seconds - before.parts[name].cpu_seconds) / took
        for name, used in after.parts.items()
        if name in before.parts
    }
