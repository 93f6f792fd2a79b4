"""`make upgrade`: carries the plan out, and goes back to the former release if the new one is not well."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from infrastructure.checkout import checkout
from infrastructure.doctor.machine import running_stack
from infrastructure.local.credentials import DIRECTORY, with_credentials
from infrastructure.local.service import systemd
from infrastructure.local.service.account import Account, give, holder_of, identity_of
from infrastructure.local.service.installation import read_settings
from infrastructure.local.service.installed import Places
from infrastructure.local.service.settings_file import parse_file
from infrastructure.local.service.upgrade_plan import (
    DOCTOR_FAILED,
    Plan,
    Situation,
    Step,
    new_problems,
    plan_upgrade,
    problems_of,
    steps_back,
)
from infrastructure.local.settings import CannotStart

#: How long the lines may take until all are back: the doctor is asked again and again.
CONTENT_WITHIN_SECONDS = 600.0
ASK_EVERY_SECONDS = 5.0
#: The limit for packages to be fetched, and for a backup to be written.
COMMAND_SECONDS = 3_600

Report = Callable[[str], None]


class StepFailed(Exception):
    """A step of the upgrade failed; the message says why, in a few lines."""


class Machine(Protocol):
    """The machine that an upgrade changes; a step that fails raises StepFailed."""

    def carry_out(self, step: Step) -> None:
        """Carries one step out."""

    def check_out(self, commit: str) -> None:
        """Changes the checkout to a commit."""


def follow(plan: Plan, machine: Machine, report: Report) -> bool:
    """Carries a plan out; returns whether the checked-out release runs and is well. Goes back after a failure."""
    for step in plan.steps:
        report(f"{step} …")
        try:
            machine.carry_out(step)
        except StepFailed as failure:
            report(f"that failed: {failure}")
            _go_back(plan.back_to, step, machine, report)
            return False
    return True


def _go_back(back_to: str, failed: Step, machine: Machine, report: Report) -> None:
    if not back_to:
        report("There is no release to go back to: `make doctor` and `journalctl -u answerline -n 50` say more.")
        return
    report(f"going back to {back_to} …")
    try:
        machine.check_out(back_to)
        for step in steps_back(failed):
            report(f"{step} …")
            machine.carry_out(step)
    except StepFailed as failure:
        report(f"Going back failed too: {failure}. `journalctl -u answerline -n 50` says more.")
        return
    report(f"{back_to} runs again, and is checked out. Your branch is unchanged: check it out once it is repaired.")


def upgrade(checkout_directory: Path, environment: Mapping[str, str], report: Report) -> int:
    """Upgrades the service to the checked-out release; returns the exit code. Raises CannotStart."""
    places = Places.from_environment(environment)
    if places.unit.exists() and not os.access(places.unit, os.W_OK):
        raise CannotStart("The service belongs to root: run this command with sudo.")
    machine = ServiceMachine(checkout_directory, places, environment)
    now = machine.situation()
    plan = plan_upgrade(now)
    if plan.refusal:
        raise CannotStart(plan.refusal)
    if not plan.steps:
        report(f"{now.commit} runs already")
        return 0
    report(f"from {now.former} to {now.commit}")
    machine.remember(now.former)
    succeeded = follow(plan, machine, report)
    machine.forget()
    if succeeded:
        report(f"{now.commit} runs, and every line that ran before runs")
    return 0 if succeeded else 1


class ServiceMachine:
    """This machine's service."""

    def __init__(self, directory: Path, places: Places, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._python = str(directory / ".venv" / "bin" / "python")
        self._places = places
        self._settings = read_settings(places, environment)
        self._record = self._settings.data / "upgrade.json"
        given = parse_file(places.settings.read_text()) if places.settings.exists() else {}
        kept = {name: environment[name] for name in ("PATH", "LANG", "SERVICE_ETC") if name in environment}
        self._environment = {**kept, **given, "DATA": str(self._settings.data), "PYTHONDONTWRITEBYTECODE": "1"}
        if places.credentials.is_dir():
            self._environment[DIRECTORY] = str(places.credentials)
        #: what was bad before the stop; None until that is known
        self._problems: set[str] | None = None
        self._former = ""
        self._content_within_seconds = float(environment.get("WITHIN") or CONTENT_WITHIN_SECONDS)
        wanted = environment.get("BACKUP") != "no"
        self._backs_up = wanted and bool(with_credentials(self._environment).get("BACKUP_TO"))

    def situation(self) -> Situation:
        """Returns what is known before the upgrade."""
        found = checkout(self._directory)
        return Situation(
            commit=found.commit,
            clean=found.clean,
            installed=self._places.unit.exists(),
            running=self._running_commit(),
            unfinished_from=self._unfinished(),
            backs_up=self._backs_up,
        )

    def remember(self, former: str) -> None:
        """Notes, on disk, that an upgrade began, and what runs."""
        self._former = former
        content = json.dumps({"from": former, "problems": None if self._problems is None else sorted(self._problems)})
        self._record.write_text(content)
        self._record.chmod(0o600)
        give(self._record, holder_of(self._settings.data))

    def forget(self) -> None:
        """Notes that the upgrade has ended."""
        self._record.unlink(missing_ok=True)

    def carry_out(self, step: Step) -> None:
        match step:
            case Step.BACK_UP:
                self._back_up()
            case Step.INSTALL:
                self._as_owner(["make", "--silent", "install"])
                self._note_problems()
            case Step.STOP:
                self._systemd(systemd.stop)
            case Step.START:
                self._systemd(systemd.start)
            case Step.AWAIT:
                self._await_content()

    def check_out(self, commit: str) -> None:
        self._as_owner(["git", "checkout", "--quiet", "--detach", commit])

    # -- steps ----------------------------------------------------------------------------------------------------

    def _note_problems(self) -> None:
        """Notes what is bad while the former release still runs, seen by the new one's doctor."""
        if self._problems is None:
            output = self._doctor()
            if output.startswith(DOCTOR_FAILED):
                raise StepFailed(output.removeprefix("bad").strip())
            self._problems = problems_of(output)
            self.remember(self._former)

    def _await_content(self) -> None:
        deadline = time.monotonic() + self._content_within_seconds
        while new := new_problems(self._problems or (), self._doctor()):
            if time.monotonic() > deadline:
                raise StepFailed("`make doctor` is not content:\n" + "\n".join(new))
            time.sleep(ASK_EVERY_SECONDS)

    def _back_up(self) -> None:
        done = self._run([self._python, "-m", "infrastructure.local", "backup-now"])
        if done.returncode:
            raise StepFailed(f"{_last_lines(done.stdout)} (`make upgrade BACKUP=no` goes on without a backup)")

    def _systemd(self, command: Callable[[], None]) -> None:
        try:
            systemd.reload()
            command()
        except CannotStart as error:
            raise StepFailed(str(error)) from None

    def _as_owner(self, command: list[str]) -> None:
        """Runs a command as the checkout's owner: nothing in it may come to belong to root."""
        done = self._run(command, holder_of(self._directory))
        if done.returncode:
            raise StepFailed(_last_lines(done.stdout) or f"{command[0]} ended with {done.returncode}")

    def _doctor(self) -> str:
        done = self._run([self._python, "-m", "infrastructure.doctor"])
        if any(line.startswith(("ok ", "bad ")) for line in done.stdout.splitlines()):
            return done.stdout
        return f"{DOCTOR_FAILED}: {done.stdout.strip().rpartition(chr(10))[2]}"

    def _run(self, command: Sequence[str], account: Account | None = None) -> subprocess.CompletedProcess[str]:
        paths = {
            "PYTHONPATH": ".:chalice_app:chalice_app/vendor",
            "HOME": str(account.home if account else Path.home()),
        }
        try:
            return subprocess.run(
                command,
                cwd=self._directory,
                env={**paths, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
                **(identity_of(account) if account else {}),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StepFailed(f"{command[0]} cannot be run: {error}") from None

    # -- what is known ----------------------------------------------------------------------------------------------

    def _running_commit(self) -> str:
        """Returns the commit that runs; ``unknown`` for a stack that does not say, empty without one."""
        running = running_stack(self._settings.data)
        if running is None:
            return ""
        return str(running.get("commit", "")) or "unknown"

    def _unfinished(self) -> str:
        """Returns the release before an upgrade that did not end, whose known problems still count."""
        try:
            record = json.loads(self._record.read_text())
            self._problems = None if record["problems"] is None else set(record["problems"])
            return str(record["from"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def _last_lines(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-5:])
