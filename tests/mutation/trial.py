"""Trials: what one process does with a mutant, or with the code as it is, whose statements report that they ran.

Every function here runs in a process of its own, which has imported no code of ours before: it imports the mutant.
"""

import importlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.mutation.injection import Reached, inject, report_statements
from tests.mutation.sides import ROOT

#: A test of a mutant that takes longer has found it: it never ends. The slowest test takes five seconds of a processor,
#: which a busy machine may not have.
TEST_ENDS_WITHIN_SECONDS = 180
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not chromium and not stack", "--no-header")
BOUND = (f"--timeout={TEST_ENDS_WITHIN_SECONDS}", "-o", "timeout_method=signal")


@dataclass(frozen=True, slots=True)
class Measured:
    """A test of the code as it is."""

    seconds: float
    #: statements of the mutated modules, by path and line
    reached: frozenset[tuple[str, int]]


def measure(tests: Sequence[str], paths: Sequence[str]) -> dict[str, Measured]:
    """Runs these tests, and returns what each one that passes has reached, as a mapping of its id to Measured."""
    prepare()
    reached: Reached = set()
    report_statements(ROOT, paths, reached)
    recorder = _Recorder(reached)
    code = pytest.main([*OPTIONS, *tests], plugins=[recorder])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest did not run {tests[0]} and others: {code}")
    return recorder.measured


def try_tests(sources: Mapping[str, str], tests: Sequence[str]) -> str | None:
    """Runs these tests on a mutant in this order, and returns the id of the first that fails; None if none does."""
    prepare()
    inject(ROOT, sources)
    for path in sources:
        try:
            importlib.import_module(_name_of(path))
        except Exception:
            return tests[0]  # any test would fail
    chosen = _Chosen(tests)
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    code = pytest.main(["-x", *OPTIONS, *BOUND, *files], plugins=[chosen])
    if chosen.failed is None and code is not pytest.ExitCode.OK:
        raise RuntimeError(f"pytest did not run {tests[0]} and others: {code}")
    return chosen.failed


def try_histories(sources: Mapping[str, str], plan: Mapping[str, Any] | None, seeds: Sequence[int]) -> str | None:
    """Runs histories on a mutant, and returns the first that finds it, in words; None if none does.

    Args:
        plan: what the rough plan is changed to; None for the plan that each seed draws.
    """
    prepare()
    inject(ROOT, sources)
    from tests.simulation.plan import ROUGH
    from tests.simulation.world import simulate

    for seed in seeds:
        try:
            verdict = simulate(seed, plan=replace(ROUGH, **plan)) if plan is not None else simulate(seed)
        except Exception as error:
            return f"history of seed {seed}: {type(error).__name__}"
        if verdict.violations:
            kind = verdict.violations[0].partition(":")[0]
            return f"history of seed {seed}{' (rough)' if plan is not None else ''}: {kind}"
    return None


def prepare() -> None:
    """Lets our code be imported, and its output go nowhere."""
    sys.path[:0] = [str(ROOT / "chalice_app"), str(ROOT / "chalice_app" / "vendor")]
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _name_of(path: str) -> str:
    return path.removeprefix("chalice_app/").removeprefix("vendor/").removesuffix(".py").replace("/", ".")


@dataclass(eq=False)
class _Recorder:
    """A plugin that notes what each test reaches, its fixtures included."""

    reached: Reached
    measured: dict[str, Measured] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.reached.clear()
        began = time.process_time()
        result = yield
        if item.nodeid not in self._failed:
            self.measured[item.nodeid] = Measured(time.process_time() - began, frozenset(self.reached))
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._failed.add(report.nodeid)


@dataclass(eq=False)
class _Chosen:
    """A plugin that runs these tests in this order, and notes the first that fails."""

    tests: Sequence[str]
    failed: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {test: place for place, test in enumerate(self.tests)}
        items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid
