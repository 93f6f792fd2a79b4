"""The mutator on small modules: each kind of edit, and what is left alone."""

import ast

import pytest

from tests.mutation.mutator import mutants_of

ALWAYS = "Attr('pk').exists() | Attr('pk').not_exists()"


@pytest.mark.parametrize(
    ("line", "mutants"),
    [
        ("if a: return b", {"if True:", "if False:"}),
        ("return b if a else c", {"return b if True else c", "return b if False else c"}),
        ("while a: pass", {"while False:"}),
        ("return a and b", {"return a", "return b"}),
        ("return a and b and c", {"return a and b", "return a and c", "return b and c"}),
        ("return a or 0", {"return a", "return 0"}),
        ("return a is None", {"return True", "return False"}),
        ("return not a", {"return True", "return False"}),
        ("return a < 1", {"return True", "return False", "return a <= 1"}),
        ("return a >= 1", {"return True", "return False", "return a > 1"}),
        (
            "return 0 < a <= 1",
            {"return True", "return False", "return 0 <= a <= 1", "return 0 < a < 1"},
        ),
        ("return [x for x in a if x]", {"return [x for x in a if True]"}),
        ("return max(a, 0)", {"return a", "return 0"}),
        ("return min(a, b, key=c)", {"return a", "return b"}),
        ("return Attr('x').eq(a)", {f"return {ALWAYS}"}),
        ("return Attr('x').lt(a)", {f"return {ALWAYS}", "return Attr('x').lte(a)"}),
        (
            "return Attr('x').exists() & Attr('y').eq(a)",
            {f"return {ALWAYS}", "return Attr('x').exists()", "return Attr('y').eq(a)"},
        ),
        (
            "return Attr('x').exists() & (Attr('y').eq(a) | b)",
            {
                f"return {ALWAYS}",
                "return Attr('x').exists()",
                "return Attr('y').eq(a) | b",
                "return Attr('x').exists() & Attr('y').eq(a)",
                "return Attr('x').exists() & b",
            },
        ),
        ("table.put(Put(a))", {"table.put(Put(a, when=None))"}),
    ],
)
def test_each_condition_is_removed_in_each_way(line: str, mutants: set[str]) -> None:
    found = {
        ast.unparse(ast.parse(mutant.source).body[0].body[-1]).splitlines()[0]  # type: ignore[attr-defined]
        for mutant in mutants_of("module.py", f"def f(a, b, c):\n    {line}\n")
    }
    assert found == mutants


@pytest.mark.parametrize(
    "source",
    [
        "def f(a):\n    while True: g(a)\n",
        "def f(a: int | None = None) -> str | None:\n    x: int | None = a\n",
        "def f(a, b):\n    return {**a} | {**b}\n",
        "def f(path):\n    return path.exists()\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\n",
        "def f(table, a):\n    table.put(Put(a, when=None))\n",
    ],
)
def test_what_is_no_condition_is_left_alone(source: str) -> None:
    assert mutants_of("module.py", source) == []


def test_a_condition_is_known_by_its_local_name_and_by_what_a_function_returns() -> None:
    source = """
def f(a, when: ConditionBase | None):
    state = Attr("state")
    may = state.eq(a)
    return may & when & g()

def g() -> ConditionBase:
    return h
"""
    changes = {mutant.change for mutant in mutants_of("module.py", source)}
    assert changes == {
        "state.eq(a) → no condition",
        "may & when & g() → no condition",
        "may & when & g() without may",
        "may & when & g() without when",
        "may & when & g() without g()",
    }


def test_a_mutant_is_one_edit_of_the_text_and_keeps_every_other_line() -> None:
    source = 'def f(a, b):\n    x = "ä", (  # ö\n        a\n        and b\n    )\n    return x\n'
    for mutant in mutants_of("module.py", source):
        assert mutant.lines == (3, 4)
        assert mutant.source.splitlines()[:2] == source.splitlines()[:2]
        assert mutant.source.splitlines()[-1] == source.splitlines()[-1]
        assert len(mutant.source.splitlines()) == len(source.splitlines())


def test_equal_edits_in_one_function_have_labels_of_their_own() -> None:
    source = "class A:\n    def f(self, a):\n        b = a or 0\n        return a or 0\n"
    labels = [mutant.label for mutant in mutants_of("a/b.py", source)]
    assert "a/b.py A.f: a or 0 without a" in labels
    assert "a/b.py A.f: a or 0 without a (2)" in labels
    assert len(set(labels)) == len(labels) == 4


def test_an_edit_that_yields_the_same_module_twice_is_one_mutant() -> None:
    source = "def f(a):\n    if a or True:\n        return 1\n"
    changes = [mutant.change for mutant in mutants_of("module.py", source)]
    assert changes == ["a or True → True", "a or True → False", "a or True without True"]  # and not: without a
