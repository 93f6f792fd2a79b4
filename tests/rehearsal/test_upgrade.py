"""The conditions for the end of a replaced runner, and for the verdict."""

from dataclasses import replace

import pytest

from chalicelib.model import Draining, Runner, RunnerState
from tests.rehearsal.conversations import Outcome
from tests.rehearsal.fargate import Ended
from tests.rehearsal.upgrade import Replaced, Verdict

OLD = Runner(
    id="old",
    state=RunnerState.DEAD,
    token_sha256="",
    lease_until=0,
    capacity=8,
    registered_at=0,
    lease_held_since=0,
    task="task/old",
    draining=Draining(since=1, free_since=2),
)
ENDED = Ended("task/old", by_ecs=True, sessions=0)
GOOD = Outcome(asked=9, answered=9, mixed=0, duplicated=0)


def test_a_runner_that_ended_once_it_was_drained_is_good() -> None:
    assert Replaced("upgrade", OLD, [ENDED]).complaints == []


@pytest.mark.parametrize(
    "replaced",
    [
        Replaced("upgrade", replace(OLD, draining=None), [ENDED]),
        Replaced("upgrade", replace(OLD, draining=Draining(since=1)), [ENDED]),
        Replaced("upgrade", OLD, [replace(ENDED, sessions=1)]),
        Replaced("upgrade", OLD, [replace(ENDED, by_ecs=False)]),
        Replaced("upgrade", OLD, []),
        Replaced("upgrade", OLD, [ENDED, replace(ENDED, task="task/new")]),
    ],
    ids=["not drained", "not free", "with a session", "by itself", "not at all", "another one too"],
)
def test_any_other_end_is_complained_of(replaced: Replaced) -> None:
    assert len(replaced.complaints) == 1
    assert replaced.complaints[0].startswith("upgrade: ")


def test_the_last_line_is_the_verdict() -> None:
    assert Verdict(GOOD, 0).line == (
        "rehearsal: upgraded and rolled back, 9 answered, 0 mixed, 0 duplicated, 0 new codes"
    )


@pytest.mark.parametrize(
    "verdict",
    [Verdict(replace(GOOD, answered=8), 0), Verdict(GOOD, 1), Verdict(GOOD, 0, ["a function failed"])],
    ids=["unanswered", "a code", "problem"],
)
def test_any_problem_fails_the_verdict(verdict: Verdict) -> None:
    assert not verdict.ended_well
    assert "FAILED" in verdict.line
