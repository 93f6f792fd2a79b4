"""Enums of the wire in storage: what a later release wrote reads as something neutral."""

from enum import StrEnum

import pytest

from chalicelib.model import Problem
from chalicelib.store.wire_enums import NEUTRAL, read_enum, read_notice, read_problem
from wire import Phase, ProblemCode


@pytest.mark.parametrize("kind", NEUTRAL)
def test_a_value_is_its_member_and_an_unknown_one_is_neutral(kind: type[StrEnum]) -> None:
    assert [read_enum(kind, member.value) for member in kind] == list(kind)
    assert {read_enum(kind, value) for value in ("later", "", None)} == {NEUTRAL[kind]}


def test_a_problem_is_read_with_its_time_and_an_unknown_one_is_none() -> None:
    code = next(iter(ProblemCode))
    assert read_problem({"code": code.value, "since": 7}) == Problem(code, 7, "")
    assert read_problem({"code": code.value, "since": 7, "detail": "why"}) == Problem(code, 7, "why")
    assert [read_problem(item) for item in (None, {}, {"code": "later", "since": 7})] == [None, None, None]


def test_the_subject_of_a_notice_is_a_problem_or_a_logout() -> None:
    assert [read_notice(code.value) for code in ProblemCode] == list(ProblemCode)
    assert read_notice("logged_out") is Phase.LOGGED_OUT
    assert [read_notice(value) for value in ("online", "later", "", None)] == [None] * 4
