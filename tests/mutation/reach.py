"""The tests that reach a mutant: no other can find it, and they are tried from the nearest and quickest on."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.mutation.mutant import Mutant, digest
from tests.mutation.processes import in_process
from tests.mutation.sides import ROOT, Side, judging_files
from tests.mutation.trial import Measured, measure

#: All tests of a side on the code as it is take a minute on an idle machine.
MEASURED_WITHIN_SECONDS = 3600


class Reach:
    """What each test of a side reaches in the modules that have mutants.

    Args:
        side: whose tests.
        measured: by test.
    """

    def __init__(self, side: Side, measured: dict[str, Measured]) -> None:
        self.side = side
        self._measured = measured

    def tests(self, mutant: Mutant) -> tuple[list[str], list[str]]:
        """Returns the tests that reach the mutant: those of its own module, then the others; the quickest first."""
        statements = {(mutant.path, line) for line in statements_at((ROOT / mutant.path).read_text(), *mutant.lines)}
        own: list[str] = []
        others: list[str] = []
        mirror = self.side.mirror(mutant.path)
        for test, measured in sorted(self._measured.items(), key=lambda item: (item[1].seconds, item[0])):
            if statements & measured.reached if statements else any(at[0] == mutant.path for at in measured.reached):
                (own if test.startswith(mirror) else others).append(test)
        return own, others


def read_reach(side: Side, paths: list[str], file: Path) -> Reach:
    """Returns the reach of a side's tests in these modules.

    Files of tests are run again if they, their fixtures, or a module that they reached changed; what the others reached
    is in ``file``.
    """
    try:
        kept = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        kept = {}
    modules = {path: digest((ROOT / path).read_text()) for path in paths}
    files = {test: judging_files(test) for test in side.test_files()}
    stale = [test for test, now in files.items() if not _is_valid(kept.get(test), now, modules)]
    if stale:
        print(f"running {len(stale)} files of tests of {side.code} to see what each test reaches", flush=True)
        measured = in_process(measure, stale, paths, within_seconds=MEASURED_WITHIN_SECONDS)
        for test in stale:
            of_file = {each: one for each, one in measured.items() if each.partition("::")[0] == test and one.reached}
            reached = {each: (one.seconds, sorted(one.reached)) for each, one in of_file.items()}
            seen = {path for _, at in reached.values() for path, _ in at}
            kept[test] = {"of": files[test], "modules": {path: modules[path] for path in seen}, "tests": reached}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({test: kept[test] for test in files}))
    return Reach(side, {each: _measured(*one) for test in files for each, one in kept[test]["tests"].items()})


def statements_at(source: str, first: int, last: int) -> set[int]:
    """Returns the lines of the statements that begin in these lines of a function, or that surround the first."""
    tree = ast.parse(source)
    inner = {
        statement
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in ast.walk(function)
        if isinstance(statement, ast.stmt) and not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    begun = {statement.lineno for statement in inner if first <= statement.lineno <= last}
    around = [each.lineno for each in inner if each.lineno <= first <= (each.end_lineno or each.lineno)]
    return begun | ({max(around)} if around else set())


def _is_valid(kept: dict[str, Any] | None, now: str, modules: Mapping[str, str]) -> bool:
    return kept is not None and kept["of"] == now and kept["modules"].items() <= modules.items()


def _measured(seconds: float, reached: list[list[object]]) -> Measured:
    return Measured(seconds, frozenset((str(path), int(str(line))) for path, line in reached))
