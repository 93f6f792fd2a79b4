"""The campaign: all mutants on all cores; each is judged by unit tests first, then by histories."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.mutation.mutant import Mutant
from tests.mutation.mutator import bare, mutants_of
from tests.mutation.named import read_named
from tests.mutation.processes import Ended, in_process
from tests.mutation.reach import Reach, read_reach
from tests.mutation.results import HISTORIES, NOTHING, UNITS, Result, Results
from tests.mutation.sides import ROOT, SIDES, side_of
from tests.mutation.swap import NotSwappable, is_swappable
from tests.mutation.trial import try_histories, try_tests
from tests.mutation.warm import try_swapped

BUILD = ROOT / "build"
#: A mutant that no unit test finds has so many histories of the default plan, and of the rough one.
HISTORIES_EACH = 30
#: A named mutant that has histories of its own has so many of them.
OWN_HISTORIES = 30
_EVERY = 25


def all_mutants(chosen: Sequence[str] = ()) -> list[Mutant]:
    """Returns the mutants whose path or name has one of these texts (all without any), by module, each once."""
    named = read_named()
    known = {(mutant.path, bare(mutant.source)) for mutant in named}
    mechanical = [
        mutant
        for side in SIDES
        for path in side.modules()
        for mutant in mutants_of(path, (ROOT / path).read_text())
        if (path, bare(mutant.source)) not in known
    ]
    return [mutant for mutant in [*mechanical, *named] if not chosen or any(text in mutant.title for text in chosen)]


def run(
    mutants: Sequence[Mutant], *, processes: int | None = None, histories: int = HISTORIES_EACH
) -> dict[str, Result]:
    """Judges these mutants and returns the results by label; those of an earlier run that are valid are kept."""
    results = Results(BUILD / "mutate.json")
    judged = {mutant.label: result for mutant in mutants if (result := results.valid(mutant)) is not None}
    waiting = [mutant for mutant in mutants if mutant.label not in judged]
    if judged:
        print(f"{len(judged)} results of an earlier run are valid", flush=True)
    reaches = _reaches(waiting)
    began = time.monotonic()
    with ThreadPoolExecutor(processes or os.cpu_count()) as pool:
        running = {
            pool.submit(judge, mutant, reaches[side_of(mutant.path).code], results, histories): mutant
            for mutant in waiting
        }
        try:
            for number, future in enumerate(as_completed(running), 1):
                mutant = running[future]
                judged[mutant.label] = result = future.result()
                if result.by != UNITS:
                    print(f"  {mutant.title}: {result.finder or 'survives'}", flush=True)
                if number % _EVERY == 0 or number == len(waiting):
                    print(f"{number} of {len(waiting)} mutants · {time.monotonic() - began:.0f} s", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else all others are judged before anybody reads of the error
            raise
    return judged


def judge(mutant: Mutant, reach: Reach, results: Results, histories: int) -> Result:
    """Judges one mutant up to its first finder, and keeps the result unless histories, left out, may find it."""
    began = time.monotonic()
    by, finder = _find(mutant, reach, results.former_finder(mutant), histories)
    seconds = time.monotonic() - began
    if by == NOTHING and not histories:  # not kept: histories may find it
        return Result(by, finder, "", "", seconds)
    return results.keep(mutant, by, finder, seconds)


def _find(mutant: Mutant, reach: Reach, former: str | None, histories: int) -> tuple[str, str]:
    own, others = reach.tests(mutant)
    first = [former] if former in own or former in others else []
    for tests in (first, own, others):
        if tests and (failed := _failed_test(mutant, reach, tests)) is not None:
            return UNITS, failed
    plans: list[tuple[dict[str, Any] | None, range]] = [(None, range(histories)), ({}, range(histories))]
    if mutant.histories:
        seeds = range(*mutant.histories.get("seeds", (OWN_HISTORIES,)))
        plans.insert(0, (mutant.histories["plan"], seeds))
    for plan, chosen in plans:
        try:
            failed = in_process(try_histories, {mutant.path: mutant.source}, plan, chosen)
        except Ended as error:
            failed = f"a history: {error}"
        if failed is not None:
            return HISTORIES, failed
    return NOTHING, ""


def _failed_test(mutant: Mutant, reach: Reach, tests: list[str]) -> str | None:
    """Returns the first of these tests that fails on the mutant, or None."""
    try:
        if is_swappable((ROOT / mutant.path).read_text(), mutant.source):
            with suppress(NotSwappable):
                return try_swapped(reach.side.tests, mutant.path, mutant.source, tests)
        failed: str | None = in_process(try_tests, {mutant.path: mutant.source}, tests)
    except Ended as error:
        return f"{tests[0]} or a later one: {error}"
    return failed


def _reaches(mutants: Sequence[Mutant]) -> dict[str, Reach]:
    """Returns the reach of the tests of each side that has mutants, by the side's folder."""
    found = {}
    everything = {mutant.path for mutant in read_named()}
    for side in SIDES:
        if any(side_of(mutant.path) is side for mutant in mutants):
            paths = sorted({*side.modules(), *(path for path in everything if side_of(path) is side)})
            found[side.code] = read_reach(side, paths, _reach_file(side.code))
    return found


def _reach_file(code: str) -> Path:
    return BUILD / f"mutate-reach-{Path(code).name}.json"
