"""Idle is what a minute without the hourly pass takes, and the pass's share of its hour."""

import pytest

from tests.soak.idle import Sample, Usage, idle_figures


def sample(at: float, table: float, functions: float) -> Sample:
    return Sample(at, {"table": Usage(40, table, 3), "functions": Usage(100, functions, 102)})


def test_the_pass_counts_by_its_share_of_an_hour() -> None:
    # 0.01 of a core each without the pass, which takes 18 s and 36 s more of the two
    figures = idle_figures(sample(0, 5.0, 7.0), sample(200, 25.0, 45.0), sample(300, 26.0, 46.0))
    assert figures["pass_cpu_seconds"] == pytest.approx(54.0)
    assert figures["cpu_percent"] == pytest.approx(2.0 + 1.5)
    assert figures["resident_bytes"] == 140
    assert figures["parts"]["table"]["cpu_percent"] == pytest.approx(1.0)


def test_a_pass_that_took_less_than_the_rest_gives_nothing_back() -> None:
    figures = idle_figures(sample(0, 5.0, 7.0), sample(100, 5.0, 7.0), sample(200, 6.0, 8.0))
    assert figures["pass_cpu_seconds"] == 0
    assert figures["cpu_percent"] == pytest.approx(2.0)


def test_a_process_that_was_started_meanwhile_is_left_out() -> None:
    end = Sample(300, {**sample(300, 2.0, 2.0).parts, "table: new": Usage(1, 9.0, 1)})
    figures = idle_figures(sample(0, 0.0, 0.0), sample(200, 1.0, 1.0), end)
    assert set(figures["parts"]) == {"table", "functions"}
