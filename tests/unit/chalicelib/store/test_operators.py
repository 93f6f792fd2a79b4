"""Operators' browsers and the steps of a sign-in, on the template's own table."""

from dataclasses import replace

import pytest

from chalicelib.store.operators import Operators, OperatorSession, SignInStep, StepKind
from chalicelib.store.table import ConditionFailed
from tests.unit.chalicelib.store.conftest import OPERATOR
from tests.unit.conftest import Clock
from tests.unit.support.racing_table import RacingTable

HOUR = 3_600


def a_browser(now: int) -> OperatorSession:
    return OperatorSession("token", OPERATOR, "csrf", now, now)


def test_a_browser_is_known_until_it_idles_for_half_an_hour(clock: Clock, operators: Operators) -> None:
    operators.create(a_browser(clock()))
    clock.pass_seconds(29 * 60)
    session = operators.find("token", now=clock())
    assert session is not None
    operators.touch(session, now=clock())
    clock.pass_seconds(30 * 60 - 1)
    assert operators.find("token", now=clock()) is not None
    clock.pass_seconds(1)
    assert operators.find("token", now=clock()) is None


def test_a_busy_browser_is_signed_out_after_twelve_hours(clock: Clock, operators: Operators) -> None:
    operators.create(a_browser(clock()))
    clock.pass_seconds(12 * HOUR - 60)
    operators.touch(a_browser(0), now=clock())
    assert operators.find("token", now=clock()) is not None
    clock.pass_seconds(60)
    assert operators.find("token", now=clock()) is None


def test_a_late_touch_does_not_restore_an_ended_browser(clock: Clock, operators: Operators) -> None:
    session = a_browser(clock())
    operators.create(session)
    operators.end("token")
    operators.touch(session, now=clock.pass_seconds(120))
    assert operators.find("token", now=clock()) is None


def test_the_next_step_of_a_sign_in_is_remembered_for_fifteen_minutes(clock: Clock, operators: Operators) -> None:
    step = SignInStep("visitor", OPERATOR, StepKind.CODE, "sub-1", "cognito-session", clock())
    operators.store_step(step)
    assert operators.find_step("visitor", now=clock()) == step
    another = replace(step, kind=StepKind.SET_UP, secret="ABC")
    operators.store_step(another)
    assert operators.find_step("visitor", now=clock.pass_seconds(899)) == another
    assert operators.find_step("visitor", now=clock.pass_seconds(1)) is None
    operators.delete_step("visitor")
    assert operators.find_step("visitor", now=step.asked_at) is None


def test_the_last_request_of_a_browser_is_written_once_a_minute(clock: Clock, racing: RacingTable) -> None:
    operators, session = Operators(racing), a_browser(clock())
    operators.create(session)
    operators.touch(session, now=clock() + 59_999)
    assert operators.find("token", now=clock()) == session
    operators.touch(session, now=clock() + 60_000)
    assert operators.find("token", now=clock()) == replace(session, seen_at=clock() + 60_000)


def test_a_browser_that_is_signed_out_meanwhile_is_not_made_again(clock: Clock, racing: RacingTable) -> None:
    operators, session = Operators(racing), a_browser(clock())
    operators.create(session)
    racing.before_next("update", lambda: operators.end("token"))
    operators.touch(session, now=clock() + 60_000)
    assert racing.get("OPERATOR#token", "OPERATOR") is None


def test_the_token_of_a_browser_is_given_to_no_other(clock: Clock, operators: Operators) -> None:
    operators.create(a_browser(clock()))
    with pytest.raises(ConditionFailed):
        operators.create(replace(a_browser(clock()), email="another@example.com"))
    found = operators.find("token", now=clock())
    assert found is not None and found.email == OPERATOR
