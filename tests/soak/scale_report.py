"""The table and the verdict of `make scale`. Pure."""

from collections.abc import Mapping
from typing import Any

#: A row may grow so much with the installation, for each tenant: nothing is read twice as often by twice as many.
MOST_GROWTH = 1.1
#: Below this, for each tenant and minute, a row says nothing: two runs of the loop differ by as much.
NOISE = 0.02
#: A poll that reads no more items of a kind than this says nothing: a line may have changed a moment ago.
POLL_NOISE = 2.0
#: All lines are online again so soon after half of the fleet was lost.
CONVERGED_WITHIN_SECONDS = 300.0

#: The figures of each size, by their names.
Measured = Mapping[int, Mapping[str, Any]]


def report(measured: Measured) -> str:
    """Returns the table in Markdown: reads and writes each minute of each size, and for each tenant."""
    sizes = sorted(measured)
    heads = [f"{size:,} tenants" for size in sizes] + [f"each of {size:,}" for size in sizes]
    lines = [f"| each minute | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for row in sorted({row for size in sizes for row in measured[size]["each_minute"]}):
        counts = [measured[size]["each_minute"].get(row, 0.0) for size in sizes]
        shares = [f"{count / size:.2f}" for count, size in zip(counts, sizes, strict=True)]
        lines.append(f"| {row} | {' | '.join([*(f'{count:,.0f}' for count in counts), *shares])} |")
    for name, words in (("placed_seconds", "all online after, s"), ("converged_seconds", "half lost, online after, s")):
        seconds = [f"{measured[size][name]:.0f}" for size in sizes]
        lines.append(f"| {words} | {' | '.join([*seconds, *([''] * len(sizes))])} |")
    lines += ["", f"| each poll | {' | '.join(heads[: len(sizes)])} |", f"|---|{'---:|' * len(sizes)}"]
    for row in _polled(measured):
        counts = [measured[size]["each_poll"].get(row, 0.0) for size in sizes]
        lines.append(f"| {row} | {' | '.join(f'{count:,.0f}' for count in counts)} |")
    return "\n".join(lines)


def _polled(measured: Measured) -> list[str]:
    return sorted({row for figures in measured.values() for row in figures["each_poll"]})


def grown(measured: Measured) -> dict[str, float]:
    """Returns the rows that are read more often for each tenant of the largest size than of the smallest, and how.

    A poll of a page may not read more at all.
    """
    small, large = min(measured), max(measured)
    growth = {}
    for row, count in measured[large]["each_minute"].items():
        share, before = count / large, measured[small]["each_minute"].get(row, 0.0) / small
        if row.startswith("read") and share > NOISE and share > MOST_GROWTH * before:
            growth[row] = share / before if before else float("inf")
    for row in _polled(measured):
        count, before = (measured[size]["each_poll"].get(row, 0.0) for size in (large, small))
        if count > POLL_NOISE and count > MOST_GROWTH * before:
            growth[row] = count / before if before else float("inf")
    return growth


def verdict(measured: Measured) -> tuple[bool, str]:
    """Returns whether the bounds hold, and the sentence that says so."""
    growth, largest = grown(measured), max(measured)
    reads = f"no row is read more than {MOST_GROWTH:g} times as often for each tenant"
    if growth:
        reads = ", ".join(f"{row} × {times:.2f}" for row, times in sorted(growth.items()))
    seconds = measured[largest]["converged_seconds"]
    held = not growth and seconds <= CONVERGED_WITHIN_SECONDS
    word = "held" if held else "NOT held"
    return held, (
        f"{word}: {largest:,} tenants on {measured[largest]['runners']} runners beside {min(measured):,}: {reads};"
        f" half of the fleet lost: all online after {seconds:.0f} s (bound {CONVERGED_WITHIN_SECONDS:.0f} s)"
    )
