"""Notes of checks that are due: one for each chat, and a look removes only the note that it read."""

import itertools

import pytest

from chalicelib.store.conversation.due_checks import FORGOTTEN_AFTER, DueCheck, DueChecks
from tests.unit.support.racing_table import RacingTable

NOW = 1_790_000_000_000
T, CHAT = "tenantaaaa", "4711@lid"


@pytest.fixture
def table() -> RacingTable:
    return RacingTable()


@pytest.fixture
def checks(table: RacingTable) -> DueChecks:
    names = map(str, itertools.count(1))
    return DueChecks(table, lambda: next(names))


def due(checks: DueChecks, at: int = NOW, **more: int) -> list[tuple[str, int]]:
    return [(each.chat, each.due_at) for each in checks.due(due_before=at, now=at, **more)]


def noted(checks: DueChecks) -> DueCheck:
    found = checks.get(T, CHAT)
    assert found is not None
    return found


def test_a_note_is_listed_once_it_is_due_the_earliest_first(checks: DueChecks) -> None:
    for number, chat in enumerate(("b", "a", CHAT)):
        checks.note(T, chat, NOW - number, now=NOW)
    assert due(checks, NOW - 3) == []
    assert due(checks) == [(CHAT, NOW - 2), ("a", NOW - 1), ("b", NOW)]
    assert due(checks, limit=1) == [(CHAT, NOW - 2)]
    assert checks.get(T, "another") is None


def test_a_later_request_replaces_the_note(checks: DueChecks) -> None:
    first = checks.note(T, CHAT, NOW, now=NOW - 9)
    assert first == DueCheck(T, CHAT, NOW, first.request)
    later = checks.note(T, CHAT, NOW + 5, now=NOW)
    assert later.request != first.request
    assert (due(checks), noted(checks)) == ([], DueCheck(T, CHAT, NOW + 5, later.request, since=NOW - 9))


def test_it_is_not_known_since_when_nothing_looked_after_a_look(checks: DueChecks) -> None:
    checks.note(T, CHAT, NOW, now=NOW)
    checks.note_after(T, CHAT, NOW, seen=noted(checks))
    assert noted(checks).since is None
    checks.note(T, CHAT, NOW, now=NOW)
    assert noted(checks).since is None
    checks.remove(noted(checks))
    checks.note(T, CHAT, NOW, now=NOW + 7)
    assert noted(checks).since == NOW + 7


def test_a_look_removes_the_note_that_it_read(checks: DueChecks) -> None:
    checks.note(T, CHAT, NOW, now=NOW)
    checks.remove(noted(checks))
    assert (due(checks), checks.get(T, CHAT)) == ([], None)


def test_a_look_leaves_a_note_that_came_meanwhile(checks: DueChecks) -> None:
    checks.note(T, CHAT, NOW - 1, now=NOW)
    seen = noted(checks)
    checks.note(T, CHAT, NOW, now=NOW)
    checks.remove(seen)
    checks.postpone(seen, NOW + 1_000)
    assert checks.note_after(T, CHAT, NOW + 1_000, seen=seen) is None
    assert due(checks) == [(CHAT, NOW)]


def test_a_look_that_read_none_leaves_a_note_that_came_meanwhile(checks: DueChecks) -> None:
    checks.note(T, CHAT, NOW, now=NOW)
    assert checks.note_after(T, CHAT, NOW + 1_000, seen=None) is None
    assert due(checks) == [(CHAT, NOW)]


@pytest.mark.parametrize("before", ["none", "one", "removed"])
def test_a_look_notes_its_next_one(checks: DueChecks, before: str) -> None:
    if before != "none":
        checks.note(T, CHAT, NOW, now=NOW)
    seen = checks.get(T, CHAT)
    if before == "removed" and seen is not None:
        checks.remove(seen)
        seen = checks.get(T, CHAT)
    later = checks.note_after(T, CHAT, NOW + 1_000, seen=seen)
    assert later == noted(checks) == DueCheck(T, CHAT, NOW + 1_000, noted(checks).request)
    assert seen is None or later.request != seen.request


def test_a_postponed_note_keeps_its_name_so_that_a_look_under_way_removes_it(checks: DueChecks) -> None:
    checks.note(T, CHAT, NOW, now=NOW)
    seen = noted(checks)
    checks.postpone(seen, NOW + 1_000)
    assert (due(checks), due(checks, NOW + 1_000)) == ([], [(CHAT, NOW + 1_000)])
    checks.remove(seen)
    assert due(checks, NOW + 1_000) == []


def test_a_note_that_nothing_can_look_at_is_forgotten(checks: DueChecks) -> None:
    checks.note(T, CHAT, NOW, now=NOW)
    age = FORGOTTEN_AFTER.total_seconds()
    checks.postpone(noted(checks), NOW + 1)
    assert [len(due(checks, NOW + round(1000 * seconds))) for seconds in (age - 1, age, age + 1)] == [1, 0, 0]
