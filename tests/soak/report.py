"""The table and the verdict of a soak. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.soak.plan import Size

MIB = 1 << 20
#: The bounds of the largest size: stores and control plane, without browsers and simulators.
MAX_MEMORY_MIB = 500.0
MAX_IDLE_CPU_PERCENT = 5.0
MAX_START_SECONDS = 15.0
#: Where a figure was not measured.
MISSING = "—"

#: The figures of one size, by step and name.
Measured = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: its heading, and the step, name and format of its figure."""

    heading: str
    step: str
    name: str
    show: Callable[[Any], str]


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms"


def _mib(value: float) -> str:
    return f"{value / MIB:.0f} MiB"


COLUMNS: Sequence[Column] = (
    Column("items", "rest", "items", lambda value: f"{value:,}"),
    Column("table on disk", "rest", "table_bytes", _mib),
    Column("memory", "rest", "resident_bytes", _mib),
    Column("idle CPU", "rest", "cpu_percent", lambda value: f"{value:.1f} %"),
    Column("hourly pass", "rest", "pass_cpu_seconds", _seconds),
    Column("start", "start", "median_seconds", _seconds),
    Column("lines placed", "rest", "placed_seconds", _seconds),
    Column("list page", "rest", "tenants", _milliseconds),
    Column("tenant page", "rest", "tenant", _milliseconds),
    Column("backup", "rest", "backup_seconds", _seconds),
    Column("its size", "rest", "backup_bytes", _mib),
    Column("all online", "browsers", "seconds", _seconds),
)


def table(measured: Mapping[Size, Measured]) -> str:
    """Returns the table in Markdown: a line for each size; a column that no size has is left out."""
    columns = [column for column in COLUMNS if any(_figure(each, column) is not None for each in measured.values())]
    rows = [["clients", *(column.heading for column in columns)]]
    for size, figures in measured.items():
        rows.append([str(size.clients), *(_shown(figures, column) for column in columns)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def verdict(size: Size, measured: Measured) -> tuple[bool, str]:
    """Returns whether the bounds hold, and one line that says so; what was not measured does not hold."""
    bounds = (
        ("memory", "rest", "resident_bytes", MAX_MEMORY_MIB * MIB, _mib),
        ("idle CPU", "rest", "cpu_percent", MAX_IDLE_CPU_PERCENT, lambda value: f"{value:.1f} %"),
        ("start", "start", "median_seconds", MAX_START_SECONDS, _seconds),
    )
    said, held = [], True
    for label, step, name, bound, show in bounds:
        value = measured.get(step, {}).get(name)
        held &= value is not None and value <= bound
        found = MISSING if value is None else show(value)
        said.append(f"{label} {found} (at most {show(bound)})")
    return held, f"soak, {size.clients} clients: {', '.join(said)}: {'held' if held else 'NOT held'}"


def breakdown(measured: Measured) -> str:
    """Returns a line for each process: its memory and its share of a core."""
    parts: Mapping[str, Mapping[str, float]] = measured.get("rest", {}).get("parts", {})
    return "\n".join(
        f"  {name:<20} {_mib(part['resident_bytes']):>8} {part['cpu_percent']:6.2f} %" for name, part in parts.items()
    )


def _figure(measured: Measured, column: Column) -> Any:
    return measured.get(column.step, {}).get(column.name)


def _shown(measured: Measured, column: Column) -> str:
    value = _figure(measured, column)
    return MISSING if value is None else column.show(value)
