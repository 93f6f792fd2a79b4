"""The plan of an upgrade: what is done in which order, or why nothing is; pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

#: The line that stands for the output of a doctor that did not run.
DOCTOR_FAILED = "bad      the doctor did not run"


class Step(StrEnum):
    """One step; its value is what the operator reads."""

    BACK_UP = "taking a backup"
    INSTALL = "installing what the release needs"
    STOP = "stopping; the runners drain"
    START = "starting"
    AWAIT = "waiting until `make doctor` is content and every line is back"


@dataclass(frozen=True)
class Situation:
    """The state before an upgrade."""

    #: The checked-out commit; empty without git.
    commit: str
    #: No file differs from the commit.
    clean: bool
    #: `make service` has installed the unit.
    installed: bool
    #: The commit that runs; empty if nothing does.
    running: str
    #: The release before an upgrade that did not end; empty if each did.
    unfinished_from: str
    #: A place for backups is set.
    backs_up: bool

    @property
    def former(self) -> str:
        """The release before this upgrade, also if it goes on where an earlier try ended."""
        return self.unfinished_from if self.running in ("", self.commit) else self.running


@dataclass(frozen=True)
class Plan:
    """The steps of an upgrade."""

    #: Why nothing is done: one sentence with the next step.
    refusal: str = ""
    steps: tuple[Step, ...] = ()
    #: The release to go back to if a step fails; empty: there is none.
    back_to: str = ""


def plan_upgrade(now: Situation) -> Plan:
    """Returns the steps that bring the checked-out release to life. The first case that applies decides."""
    if not now.commit:
        return Plan("This is no git checkout: an upgrade needs one, to find the release before again.")
    if not now.clean:
        return Plan(
            f"Files differ from commit {now.commit.partition('+')[0]}: commit, stash or remove the changes first."
        )
    if not now.installed:
        return Plan("There is no service to upgrade: `make service` installs it.")
    if now.running == now.commit and not now.unfinished_from:
        return Plan()
    if now.running == now.commit:  # the upgrade ended while it waited
        return Plan(steps=(Step.AWAIT,), back_to=_way_back(now.unfinished_from, now.commit))
    if now.running:
        first = (Step.BACK_UP,) if now.backs_up else ()
        return Plan(
            steps=(*first, Step.INSTALL, Step.STOP, Step.START, Step.AWAIT), back_to=_way_back(now.running, now.commit)
        )
    if now.unfinished_from:  # the upgrade ended between stop and start
        back_to = _way_back(now.unfinished_from, now.commit)
        return Plan(steps=(Step.INSTALL, Step.STOP, Step.START, Step.AWAIT), back_to=back_to)
    return Plan("The service does not run, so nothing shows what worked before: `make service` starts this release.")


def steps_back(failed: Step) -> tuple[Step, ...]:
    """Returns the steps, after the former release is checked out, that follow the failure of a step."""
    if failed is Step.BACK_UP:
        return ()
    if failed is Step.INSTALL:
        return (Step.INSTALL,)  # the former release still runs
    return (Step.INSTALL, Step.STOP, Step.START, Step.AWAIT)


def _way_back(former: str, commit: str) -> str:
    """Returns the former release if it is another one, and a commit that git can find again."""
    return former if former != commit and re.fullmatch(r"[0-9a-f]{7,40}", former) else ""


def problem_key(line: str) -> str:
    """Returns what a line of the doctor is about: without its numbers, which change from minute to minute."""
    return re.sub(r"\d+(?:[.,]\d+)*", "#", line.partition(" — ")[0].removeprefix("bad").strip())


def problems_of(output: str) -> set[str]:
    """Returns what the doctor's output calls bad; a doctor that does not run is never an old problem."""
    lines = [line for line in output.splitlines() if line.startswith("bad ")]
    return {problem_key(line) for line in lines if not line.startswith(DOCTOR_FAILED)}


def new_problems(before: Iterable[str], output: str) -> list[str]:
    """Returns the lines of the doctor that are bad and were not before the upgrade."""
    known = set(before)
    return [line for line in output.splitlines() if line.startswith("bad ") and problem_key(line) not in known]
