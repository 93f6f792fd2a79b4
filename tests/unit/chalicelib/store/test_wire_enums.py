"""Enums of the wire in storage: what a later release wrote reads as something neutral."""

from enum import StrEnum

import pytest

from chalicelib.model import Problem
from chalicelib.model.notices.kinds import NoticeKind, kind_of
from chalicelib.store.records.wire_enums import NEUTRAL, read_enum, read_kind, read_problem
from wire import ProblemCode


@pytest.mark.parametrize("kind", NEUTRAL)
def test_a_value_is_its_member_and_an_unknown_one_is_neutral(kind: type[StrEnum]) -> None:
    assert [read_enum(kind, member.value) for member in kind] == list(kind)
    assert {read_enum(kind, value) for value in ("later", "", None)} == {NEUTRAL[kind]}


def test_a_problem_is_read_with_its_time_and_an_unknown_one_is_none() -> None:
    code = next(iter(ProblemCode))
    assert read_problem({"code": code.value, "since": 7}) == Problem(code, 7, "")
    assert read_problem({"code": code.value, "since": 7, "detail": "why"}) == Problem(code, 7, "why")
    assert [read_problem(item) for item in (None, {}, {"code": "later", "since": 7})] == [None, None, None]


def test_a_kind_of_news_is_a_problem_or_a_logout_or_the_like_and_an_unknown_one_is_none() -> None:
    assert [read_kind(code.value) for code in ProblemCode] == [kind_of(code) for code in ProblemCode]
    assert read_kind("logged_out") is NoticeKind.DISCONNECTED
    assert [read_kind(value) for value in ("online", "later", "", "unknown", None)] == [None] * 5
    assert {kind.problem for kind in NoticeKind} - {None} == set(ProblemCode)
