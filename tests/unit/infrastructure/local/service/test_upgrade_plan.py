"""The plan of an upgrade: a table of situations, and what follows each step that fails."""

from dataclasses import replace

import pytest

from infrastructure.local.service.upgrade import StepFailed, follow
from infrastructure.local.service.upgrade_plan import (
    DOCTOR_FAILED,
    Plan,
    Situation,
    Step,
    new_problems,
    plan_upgrade,
    problem_key,
    problems_of,
    steps_back,
)

OLD, NEW, OLDER = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"
ALL = (Step.INSTALL, Step.STOP, Step.START, Step.AWAIT)
USUAL = Situation(commit=NEW, clean=True, installed=True, running=OLD, unfinished_from="", backs_up=False)


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        ({}, Plan(steps=ALL, back_to=OLD)),
        ({"backs_up": True}, Plan(steps=(Step.BACK_UP, *ALL), back_to=OLD)),
        # the same again
        ({"running": NEW}, Plan()),
        ({"running": NEW, "backs_up": True}, Plan()),
        # ended while it waited
        ({"running": NEW, "unfinished_from": OLD}, Plan(steps=(Step.AWAIT,), back_to=OLD)),
        # ended between stop and start; a backup was taken then
        ({"running": "", "unfinished_from": OLD, "backs_up": True}, Plan(steps=ALL, back_to=OLD)),
        # ended before the stop, and another release is checked out since
        ({"unfinished_from": OLDER}, Plan(steps=ALL, back_to=OLD)),
        # the operator went back by hand
        ({"running": "", "unfinished_from": NEW}, Plan(steps=ALL)),
        ({"running": NEW, "unfinished_from": NEW}, Plan(steps=(Step.AWAIT,))),
        # what runs cannot be checked out again
        ({"running": f"{OLD}+1234abcd"}, Plan(steps=ALL)),
        ({"running": "unknown"}, Plan(steps=ALL)),
        ({"running": f"{NEW}+1234abcd"}, Plan(steps=ALL)),
    ],
)
def test_what_an_upgrade_does(changes: dict[str, object], plan: Plan) -> None:
    assert plan_upgrade(replace(USUAL, **changes)) == plan  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("running", "unfinished_from", "former"),
    [(OLD, "", OLD), (NEW, OLD, OLD), ("", OLD, OLD), (OLD, OLDER, OLD), (OLD, OLD, OLD)],
)
def test_an_upgrade_that_is_interrupted_twice_still_knows_the_former_release(
    running: str, unfinished_from: str, former: str
) -> None:
    assert replace(USUAL, running=running, unfinished_from=unfinished_from).former == former


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"commit": "", "clean": False}, "no git checkout"),
        ({"commit": f"{NEW}+1234abcd", "clean": False}, f"Files differ from commit {NEW}: commit, stash or remove"),
        ({"clean": False, "running": NEW}, "Files differ"),
        ({"installed": False}, "no service to upgrade: `make service`"),
        ({"installed": False, "running": ""}, "no service to upgrade"),
        ({"running": ""}, "does not run"),
    ],
)
def test_an_upgrade_that_is_refused_says_what_to_do(changes: dict[str, object], sentence: str) -> None:
    plan = plan_upgrade(replace(USUAL, **changes))  # type: ignore[arg-type]
    assert sentence in plan.refusal
    assert not plan.steps


class FakeMachine:
    """Fails the steps that the test names, the first time or for good."""

    def __init__(self, *failing: str, always: bool = False) -> None:
        self.done: list[str] = []
        self._failing, self._always = list(failing), always

    def carry_out(self, step: Step) -> None:
        self.done.append(step.name)
        if step.name in self._failing:
            if not self._always:
                self._failing.remove(step.name)
            raise StepFailed(f"{step.name} is broken")

    def check_out(self, commit: str) -> None:
        self.done.append(commit)


@pytest.mark.parametrize(
    ("failing", "done"),
    [
        ("", ["BACK_UP", "INSTALL", "STOP", "START", "AWAIT"]),
        ("BACK_UP", ["BACK_UP", OLD]),
        ("INSTALL", ["BACK_UP", "INSTALL", OLD, "INSTALL"]),
        ("STOP", ["BACK_UP", "INSTALL", "STOP", OLD, "INSTALL", "STOP", "START", "AWAIT"]),
        ("START", ["BACK_UP", "INSTALL", "STOP", "START", OLD, "INSTALL", "STOP", "START", "AWAIT"]),
        ("AWAIT", ["BACK_UP", "INSTALL", "STOP", "START", "AWAIT", OLD, "INSTALL", "STOP", "START", "AWAIT"]),
    ],
)
def test_a_step_that_fails_leads_back(failing: str, done: list[str]) -> None:
    machine, said = FakeMachine(failing), list[str]()
    plan = plan_upgrade(replace(USUAL, backs_up=True))
    assert follow(plan, machine, said.append) is (failing == "")
    assert machine.done == done
    if failing:
        assert f"that failed: {failing} is broken" in said
        assert said[-1].startswith(f"{OLD} runs again")


def test_without_a_former_release_it_stays_and_says_so() -> None:
    machine, said = FakeMachine("AWAIT"), list[str]()
    assert not follow(Plan(steps=ALL), machine, said.append)
    assert machine.done == [step.name for step in ALL]
    assert "no release to go back to" in said[-1]


@pytest.mark.parametrize("failing", ["START", "AWAIT"])
def test_a_way_back_that_fails_too_is_said(failing: str) -> None:
    said = list[str]()
    assert not follow(Plan(steps=ALL, back_to=OLD), FakeMachine(failing, always=True), said.append)
    assert said[-1].startswith("Going back failed too")


def test_every_step_has_a_way_back() -> None:
    assert steps_back(Step.BACK_UP) == ()  # nothing was changed but the checkout
    assert steps_back(Step.INSTALL) == (Step.INSTALL,)
    assert {steps_back(step) for step in (Step.STOP, Step.START, Step.AWAIT)} == {ALL}


BEFORE = """\
ok       running on /data (process 4711)
bad      3 of 12 mails wait for the mail server — the outbox's page says why: SMTP_URL=…
bad        hotel is logged_out (runner 12ab) — see its page in the admin
unknown  the state was saved 130 s ago — it is saved when something changes
"""


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("ok       everything", False),
        ("unknown  the lines", False),
        ("bad      4 of 13 mails wait for the mail server — the outbox's page says why: SMTP_URL=…", False),
        ("bad        hotel is logged_out (runner 12ab) — see its page in the admin", False),
        ("bad        garage is logged_out (runner 12ab) — see its page in the admin", True),
        ("bad      no runner is alive — see the runners' log and the service's events", True),
        ("bad      1.5 GiB free for /data — make room", True),
    ],
)
def test_only_what_is_newly_bad_ends_an_upgrade(line: str, new: bool) -> None:
    assert new_problems(problems_of(BEFORE), f"ok  a\n{line}\n") == ([line] if new else [])


def test_a_doctor_that_does_not_run_is_never_an_old_problem() -> None:
    output = f"{DOCTOR_FAILED}: TypeError: 'NoneType' object is not callable\n"
    assert new_problems(problems_of(output), output) == [output.rstrip()]


def test_a_problem_is_the_same_with_other_numbers() -> None:
    assert problem_key("bad      0.9 GiB free — x") == problem_key("bad      1,024.5 GiB free — y")
    assert problem_key("bad      runner a1 is silent") != problem_key("bad      runner b1 is silent")
