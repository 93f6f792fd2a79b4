"""The swap of functions and the import of a mutant: both run the mutant's code, and the former only where it can."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.injection import Reached, inject, report_statements
from tests.mutation.swap import NotSwappable, functions_by_file, is_swappable, swap

SOURCE = '''"""A module."""

import functools

LIMIT = 2


def small(a):
    if a < LIMIT:
        return True
    return False


class Box:
    """A box."""

    @property
    def full(self):
        return all(small(each) for each in (1, 1))

    @functools.cached_property
    def once(self):
        return small(1)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module `mutated_here`, which no test before has imported."""
    file = tmp_path / "mutated_here.py"
    file.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield file
    sys.modules.pop("mutated_here", None)


def imported() -> ModuleType:
    return importlib.import_module("mutated_here")


@pytest.mark.parametrize(
    ("before", "after", "swappable"),
    [
        ("a < LIMIT", "a <= LIMIT", True),
        ("all(small", "any(not small", True),
        ("LIMIT = 2", "LIMIT = 3", False),
        ("def small(a)", "def small(a=1)", False),
        ("    @property\n", "", False),
    ],
)
def test_only_bodies_of_functions_are_swapped(before: str, after: str, swappable: bool) -> None:
    assert is_swappable(SOURCE, SOURCE.replace(before, after)) is swappable


def test_a_swapped_function_is_the_same_object_with_the_code_of_the_mutant(module: Path) -> None:
    code = imported()
    held, box = code.small, code.Box()
    assert not held(2) and box.full
    mutant = SOURCE.replace("a < LIMIT", "a <= LIMIT").replace("all(small", "any(not small")
    swap(module, mutant, functions_by_file()[str(module)])
    assert held(2) and not box.full
    assert code.LIMIT == 2


def test_a_swap_that_changes_nothing_is_an_error(module: Path) -> None:
    imported()
    with pytest.raises(NotSwappable):
        swap(module, SOURCE, functions_by_file()[str(module)])


def test_an_injected_module_is_imported_instead_of_its_file(module: Path) -> None:
    inject(module.parent, {module.name: SOURCE.replace("LIMIT = 2", "LIMIT = 7")})
    assert imported().small(6)


def test_a_module_reports_the_statements_that_run(module: Path) -> None:
    reached: Reached = set()
    report_statements(module.parent, [module.name], reached)
    code = imported()
    assert reached == set()
    lines = {line.strip(): number for number, line in enumerate(SOURCE.splitlines(), 1)}
    assert code.small(1)
    assert reached == {(module.name, lines["if a < LIMIT:"]), (module.name, lines["return True"])}
    assert not code.small(9)
    assert (module.name, lines["return False"]) in reached
