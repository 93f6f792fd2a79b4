"""A campaign on one store: a mutant that is found, one that survives, and what is kept from run to run."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.mutation import report, sides
from tests.mutation.campaign import all_mutants, judge
from tests.mutation.mutant import Mutant
from tests.mutation.named import Gone, read_equivalent, read_named
from tests.mutation.processes import in_process
from tests.mutation.reach import Reach, statements_at
from tests.mutation.results import HISTORIES, NOTHING, UNITS, Result, Results
from tests.mutation.sides import CONTROL_PLANE, ROOT, RUNNER, side_of
from tests.mutation.trial import measure

STORE = "chalice_app/chalicelib/store/counters.py"
TESTS = "tests/unit/chalicelib/store/test_counters.py"


@cache
def mutants_of_all() -> list[Mutant]:
    return all_mutants()


def a_mutant(before: str, after: str, path: str = STORE) -> Mutant:
    source = (ROOT / path).read_text()
    assert source.count(before) == 1
    line = source[: source.index(before)].count("\n") + 1
    return Mutant(path, (line, line), "f", f"{before} → {after}", source.replace(before, after))


@pytest.fixture(scope="module")
def reach() -> Reach:
    side = replace(CONTROL_PLANE, units=TESTS, more=())
    return Reach(side, in_process(measure, side.tests, [STORE]))


@pytest.mark.parametrize(
    ("before", "after", "by"),
    [
        ("now // length", "now // length + 1", UNITS),
        ("one(item, _counted_from) or 0", "(one(item, _counted_from) or 0)", NOTHING),
        ("from datetime import timedelta\n", "from datetime import timedelta\n\nassert False\n", UNITS),
    ],
    ids=["a function differs", "nothing differs", "the module cannot be imported"],
)
def test_a_mutant_is_found_by_a_test_that_fails_or_survives(
    reach: Reach, tmp_path: Path, before: str, after: str, by: str
) -> None:
    mutant = a_mutant(before, after)
    result = judge(mutant, reach, Results(tmp_path / "mutate.json"), histories=0)
    assert result.by == by
    kept = Results(tmp_path / "mutate.json").valid(mutant)
    assert kept == (result if by == UNITS else None), "histories may find it later"
    assert result.finder.startswith(TESTS if by == UNITS else "")
    assert bool(result.finder) is (by == UNITS)


def test_histories_judge_what_no_unit_test_reaches(tmp_path: Path) -> None:
    unreached = Reach(CONTROL_PLANE, {})
    fails = a_mutant('return {"wanted" if', 'return 1 // 0 or {"wanted" if', "chalice_app/chalicelib/store/tenants.py")
    result = judge(fails, unreached, Results(tmp_path / "mutate.json"), histories=1)
    assert result.by == HISTORIES
    assert result.finder.startswith("history of seed 0")


# -- what is kept --------------------------------------------------------------------------------------------------

TEST = "tests/unit/chalicelib/store/test_counters.py::test_it"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one module, one test and its fixtures."""
    for file in (STORE, TESTS, "tests/unit/conftest.py", "tests/unit/other.py", "runner/host.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("A = 1\n")
    monkeypatch.setattr(sides, "ROOT", tmp_path)
    return tmp_path


def kept(project: Path, by: str, finder: str, mutant: Mutant, change: str = "") -> bool:
    """True if the result is valid for another process after a change of a file."""
    file = project / "build" / "mutate.json"
    file.unlink(missing_ok=True)
    Results(file).keep(mutant, by, finder, 1.0)
    if change:
        (project / change).write_text(f"A = {change!r}\n")
    return Results(file).valid(mutant) is not None


@pytest.mark.parametrize(
    ("change", "found_by_unit", "survived"),
    [
        ("", True, True),
        (TESTS, False, False),
        ("tests/unit/conftest.py", False, False),
        ("runner/host.py", True, False),
    ],
)
def test_a_result_is_kept_while_what_judged_it_is_the_same(
    project: Path, change: str, found_by_unit: bool, survived: bool
) -> None:
    mutant = Mutant(STORE, (1, 1), "module", "1 → 2", "A = 2\n")
    assert kept(project, UNITS, TEST, mutant, change) is found_by_unit
    (project / TESTS).write_text("A = 1\n")
    assert kept(project, NOTHING, "", mutant, change and f"./{change}") is survived or change == TESTS
    assert kept(project, HISTORIES, "history of seed 3: epoch", mutant)


def test_a_result_is_of_one_text_of_the_module(project: Path) -> None:
    results = Results(project / "mutate.json")
    mutant = Mutant(STORE, (1, 1), "module", "1 → 2", "A = 2\n")
    results.keep(mutant, UNITS, TEST, 1.0)
    edited = replace(mutant, source="A = 2\nB = 1\n")
    assert results.valid(mutant) is not None
    assert results.valid(edited) is None
    assert results.former_finder(edited) == TEST


def test_results_of_many_threads_are_all_kept(project: Path) -> None:
    results = Results(project / "mutate.json")
    mutants = [Mutant(STORE, (line, line), "f", f"{line} → 0", "A = 2\n") for line in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda mutant: results.keep(mutant, UNITS, TEST, 1.0), mutants))
    kept = Results(project / "mutate.json")
    assert all(kept.valid(mutant) for mutant in mutants)


def test_a_file_of_results_that_is_damaged_is_as_good_as_none(project: Path) -> None:
    file = project / "mutate.json"
    file.write_text('{"a": {"by"')
    assert Results(file).valid(Mutant(STORE, (1, 1), "module", "1 → 2", "A = 2\n")) is None


# -- what is run ---------------------------------------------------------------------------------------------------


def test_a_test_is_tried_only_on_statements_that_it_reaches() -> None:
    source = "A = 1\n\n\ndef f(a):\n    if (\n        a\n    ):\n        return 1\n    return 2\n"
    assert statements_at(source, 6, 6) == {5}
    assert statements_at(source, 8, 9) == {8, 9}
    assert statements_at(source, 1, 1) == set()


def test_the_tests_of_the_mutated_module_come_first() -> None:
    assert CONTROL_PLANE.mirror("chalice_app/chalicelib/store/slots.py") == "tests/unit/chalicelib/store/test_slots"
    assert RUNNER.mirror("runner/messages/journal.py") == "tests/unit/runner/messages/test_journal"
    assert side_of(STORE) is CONTROL_PLANE
    assert side_of("runner/messages/journal.py") is RUNNER


def test_every_store_and_the_journal_have_mutants_with_labels_of_their_own() -> None:
    mutants = mutants_of_all()
    labels = [mutant.label for mutant in mutants]
    assert len(set(labels)) == len(labels)
    folders = ("", "conversation/", "fleet/", "notifications/", "records/")
    conditionless = {f"chalice_app/chalicelib/store/{folder}__init__.py" for folder in folders}
    paths = {path for side in sides.SIDES for path in side.modules()}
    assert {path for path in paths if not any(mutant.path == path for mutant in mutants)} == conditionless


def test_every_equivalent_mutant_is_one_and_has_a_reason() -> None:
    labels = {mutant.label for mutant in mutants_of_all()}
    for label, reason in read_equivalent().items():
        assert label in labels, f"{label}: there is no such mutant any more"
        assert len(reason.split()) >= 4, label


def test_a_named_mutant_whose_code_is_gone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def f(a):\n    return a < 2\n")
    named = tmp_path / "named.yaml"
    entry = "- name: a limit that is passed\n  path: code.py\n  edits: [{old: a < %d, new: a < 9}]\n"
    named.write_text(entry % 2)
    (mutant,) = read_named(named, tmp_path)
    assert (mutant.lines, mutant.source) == ((2, 2), "def f(a):\n    return a < 9\n")
    named.write_text(entry % 3)
    with pytest.raises(Gone, match="a limit that is passed"):
        read_named(named, tmp_path)


# -- the report ----------------------------------------------------------------------------------------------------


def test_the_last_line_counts_what_survives_and_what_histories_found() -> None:
    mutants = [Mutant(STORE, (line, line), "f", f"{line} → 0", "") for line in range(1, 6)]
    found = (UNITS, UNITS, HISTORIES, NOTHING)
    judged = {mutant.label: Result(by, by, "", "", 2.0) for mutant, by in zip(mutants[:4], found, strict=True)}
    assert report.last_line(judged) == "4 mutants, 1 survive, 1 found by histories"
    text = report.table(mutants, judged, {mutants[4].label: "both orders are the same"})
    assert text.index(f"{STORE}:4 f: 4 → 0") < text.index(f"{STORE}:3 f: 3 → 0") < text.index(f"{STORE}:1 f: 1 → 0")
    assert text.index("both orders are the same") > text.index(f"{STORE}:2 f: 2 → 0")
