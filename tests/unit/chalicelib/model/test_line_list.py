"""The order of the list of lines, its pages, its search and its counts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.model import Problem, Session, TenantState
from chalicelib.model.line_health import Line, line_of
from chalicelib.model.line_list.counts import LineCounts, count_lines
from chalicelib.model.line_list.order import PAGE_ROWS, Entry, count_pages, entry_of, matches, page_of, sort_lines
from tests.unit.conftest import a_tenant
from wire import Phase, ProblemCode

NOW = 1_790_000_000_000
NUMBER = "491701234567"
BROKEN = Problem(ProblemCode.OUT_OF_CREDIT, NOW)


def line(id: str, name: str = "Bakery", *, problem: Problem | None = None, paused: bool = False, **seen: Any) -> Line:
    state = TenantState.PAUSED if paused else TenantState.ACTIVE
    tenant = a_tenant(id, name=name, assistant_problem=problem, state=state)
    return line_of(tenant, replace(Session(id), **seen), (), None, NOW)


ONLINE: dict[str, Any] = {"phase": Phase.ONLINE, "number": NUMBER, "linked_at": NOW}
DOWN: dict[str, Any] = {"phase": Phase.OFFLINE, "number": NUMBER, "linked_at": NOW, "down_since": NOW - 400_000}
LINES = [
    line("a", "Zoo", phase=Phase.LOGGED_OUT, logged_out_at=NOW, last_number=NUMBER),
    line("b", "Yard", **DOWN),
    line("c", "Xylophones", problem=BROKEN, **ONLINE),
    line("d", "Walnut", **ONLINE),
    line("e", "attic", **ONLINE),
    line("f", "Bakery"),
    line("g", "Bakery", paused=True),
    line("h", "cellar", awake_until=NOW + 1),
]


def test_lines_that_need_a_person_come_first_and_the_others_by_name() -> None:
    assert [each.tenant.id for each in sort_lines(reversed(LINES))] == [*"abc", *"efghd"]
    assert [each.tenant.id for each in sort_lines(LINES, frozenset("dh"))] == [*"abc", *"hd", *"efg"]
    assert sort_lines(LINES, frozenset("a"))[0].tenant.id == "a", "it is not merely slow"


def test_the_counts_are_of_all_lines() -> None:
    assert count_lines([]) == LineCounts()
    slow = replace(LINES[3], overdue_for=timedelta(minutes=3))
    assert count_lines([*LINES, slow]) == LineCounts(
        total=9, online=4, disconnected=1, not_running=1, need_person=1, slow=1, linked=5
    )


def test_an_entry_is_what_finds_a_line() -> None:
    assert entry_of(LINES[0]) == Entry("a", "Zoo", "owner@example.com", NUMBER)
    assert entry_of(replace(LINES[3], overdue_for=timedelta(minutes=3))).slow
    assert NUMBER not in repr(entry_of(LINES[0])) and "Zoo" not in repr(entry_of(LINES[0]))


FOUND = Entry("k3jr9x2m", "Café Müller & Söhne", "Maria.Muller@example.com", NUMBER)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("müller", True),
        ("MULLER", True),
        ("cafe sohne", True),
        ("söhne café", True),
        ("maria.muller@", True),
        ("k3jr9x2m", True),
        ("üller", True),
        ("&", True),
        ("", True),
        ("café bäcker", False),
        ("mueller", False),
        ("+49 170 1234567", True),
        ("0170/1234567", False),
        ("170-123", True),
        ("(49) 170", True),
        ("4917099", False),
        ("+", False),
        ("2m", True),
    ],
)
def test_a_search_finds_words_without_capitals_and_accents_and_numbers_as_people_write_them(
    words: str, found: bool
) -> None:
    assert matches(FOUND, words) is found


@pytest.mark.parametrize(
    ("name", "words"), [("Groß & Klein", "gross"), ("ΑΘΗΝΑ", "αθηνα"), ("İstanbul", "istanbul"), ("Ｗｉｄｅ", "wide")]
)
def test_a_search_folds_what_looks_alike(name: str, words: str) -> None:
    assert matches(replace(FOUND, name=name), words)


@pytest.mark.parametrize(("entries", "pages"), [(0, 1), (1, 1), (PAGE_ROWS, 1), (PAGE_ROWS + 1, 2), (2_000, 40)])
def test_each_line_is_on_one_page(entries: int, pages: int) -> None:
    all_of_them = [replace(FOUND, id=str(number)) for number in range(entries)]
    assert count_pages(entries) == pages
    assert [each for number in range(1, pages + 1) for each in page_of(all_of_them, number)] == all_of_them
    assert page_of(all_of_them, pages + 1) == []
