"""The table shows what was measured, and the verdict holds only if every bound was measured and kept."""

import pytest

from tests.soak import report
from tests.soak.plan import Size

SMALL, LARGE = Size(5), Size(50)
GOOD = {
    "rest": {
        "items": 304_114,
        "table_bytes": 424 << 20,
        "resident_bytes": 310 << 20,
        "cpu_percent": 4.2,
        "tenants": 85.4,
    },
    "start": {"median_seconds": 5.25},
}


def test_a_column_that_no_size_has_is_left_out_and_a_gap_is_shown() -> None:
    lines = report.table({SMALL: {**GOOD, "browsers": {"seconds": 31.0}}, LARGE: GOOD}).splitlines()
    assert lines[0] == "| clients | items | table on disk | memory | idle CPU | start | list page | all online |"
    assert lines[1] == "|---|---|---|---|---|---|---|---|"
    assert lines[2] == "| 5 | 304,114 | 424 MiB | 310 MiB | 4.2 % | 5.2 s | 85 ms | 31.0 s |"
    assert lines[3] == "| 50 | 304,114 | 424 MiB | 310 MiB | 4.2 % | 5.2 s | 85 ms | — |"


def test_long_times_are_shown_in_minutes() -> None:
    assert " 5 min |" in report.table({SMALL: {"start": {"median_seconds": 300.0}}})


def test_the_verdict_names_each_figure_with_its_bound() -> None:
    assert report.verdict(LARGE, GOOD) == (
        True,
        "soak, 50 clients: memory 310 MiB (at most 500 MiB), idle CPU 4.2 % (at most 5.0 %), "
        "start 5.2 s (at most 15.0 s): held",
    )


@pytest.mark.parametrize(
    ("step", "name", "value"),
    [
        ("rest", "resident_bytes", (500 << 20) + 1),
        ("rest", "cpu_percent", 5.01),
        ("start", "median_seconds", 15.01),
        ("rest", "resident_bytes", None),
        ("rest", "cpu_percent", None),
        ("start", "median_seconds", None),
    ],
)
def test_one_bound_that_is_broken_or_was_not_measured_breaks_the_verdict(
    step: str, name: str, value: float | None
) -> None:
    held, line = report.verdict(LARGE, {**GOOD, step: {**GOOD[step], name: value}})
    assert not held
    assert line.endswith("NOT held")


def test_the_bounds_themselves_hold() -> None:
    at_bound = {
        "rest": {"resident_bytes": 500 << 20, "cpu_percent": 5.0},
        "start": {"median_seconds": 15.0},
    }
    assert report.verdict(LARGE, at_bound)[0]


def test_the_breakdown_has_a_line_for_each_process() -> None:
    parts = {"table": {"resident_bytes": 44 << 20, "cpu_percent": 1.07}}
    assert report.breakdown({"rest": {"parts": parts}}) == "  table                  44 MiB   1.07 %"
