"""`make rehearse`: the story on a deployed stage; then a thief knocks and a runner dies; nothing goes wrong unseen."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.processes import kill_tree
from runner.log_events import LogEvent
from tests.rehearsal.stage import Deployed, Say, deployed
from tests.simulators.whatsapp.client import SimulatorClient
from tests.story.story import CLIENTS, CONTACT, NUMBERS, Told, browser, tell

#: The story itself asks more on `make story`; here it is about the way there.
MESSAGES_EACH = 3
#: The first archive of a login comes ten seconds after it.
ARCHIVED_WITHIN_SECONDS = 60.0
#: ECS's event, a new task, its browsers from the archives, and an answer.
ANSWERED_WITHIN_SECONDS = 120.0
#: The schedule's first tick comes a minute after it was made.
RAN_WITHIN_SECONDS = 100.0
LOOK_EVERY_SECONDS = 0.5

#: The functions that a story needs, as their log groups end.
NEEDED = ("doors", "think", "reconcile", "task-stopped")


@dataclass(frozen=True)
class Verdict:
    """How the rehearsal went."""

    resources: int
    told: Told
    troubles: list[str]

    @property
    def line(self) -> str:
        """The last one."""
        how = "ok" if self.ended_well else f"FAILED ({self.told.line}; {len(self.troubles)} troubles)"
        return f"rehearsal: {self.resources} resources, story {how}"

    @property
    def ended_well(self) -> bool:
        return self.told.ended_well and not self.troubles


def rehearse(data: Path, say: Say) -> Verdict:
    """All of it; raises where a person would be let down."""
    with deployed(data, say) as stage, browser(*stage.world.browser_flags) as people:
        try:
            told = tell(stage, people, None, say, MESSAGES_EACH)
            say(told.line)
            keep_thieves_out(stage, say)
            survive_a_crash(stage, say)
        except Exception:
            for complaint in complaints(stage, '"level":"WARNING"', '"level":"ERROR"', "Task timed out"):
                say(complaint)
            raise
        return Verdict(stage.resources, told, troubles(stage))


def keep_thieves_out(stage: Deployed, say: Say) -> None:
    """The bootstrap token, read in a runner's container: neither for its task nor for another is there a second one."""
    (task,) = stage.fargate.pids
    for named in (task, task[:-8] + "0" * 8, task.replace(stage.stack, "another"), ""):
        answer = stage.register(named)
        if answer != (401, "task_refused"):
            raise AssertionError(f"a registration that names the task {named!r} was answered {answer}")
    say("whoever knows the bootstrap token got no runner by it")


def survive_a_crash(stage: Deployed, say: Say) -> None:
    """The runner is killed; ECS tells of it, starts another, and both lines answer without a new code."""
    ((task, pid),) = stage.fargate.pids.items()
    until(
        lambda: stage.fargate.log(task).count(f'"{LogEvent.SNAPSHOT_TAKEN}"') >= len(NUMBERS),
        ARCHIVED_WITHIN_SECONDS,
        "both logins are archived",
    )
    kill_tree(pid)
    with SimulatorClient(stage.phone_url) as whatsapp:
        phones = [whatsapp.phone(number, client.name) for number, client in zip(NUMBERS, CLIENTS, strict=True)]
        contacts = [phone.contact(CONTACT) for phone in phones]
        before = [len(contact.replies()) for contact in contacts]
        for contact in contacts:
            contact.write("Are you still there?")
        for contact, count in zip(contacts, before, strict=True):
            contact.wait_for_reply(count + 1, timeout=ANSWERED_WITHIN_SECONDS)
    say("a runner was killed: both lines answered again without a new code")


def troubles(stage: Deployed) -> list[str]:
    """What is wrong although the story ended well; empty is good."""
    found = []
    try:
        until(lambda: not _idle(stage), RAN_WITHIN_SECONDS, "every function that a story needs ran")
    except TimeoutError:
        found.append(f"these functions never ran: {', '.join(_idle(stage))}")
    found += complaints(stage, '"level":"ERROR"')
    found += [f"somebody called {name}" for name in sorted(stage.world.internet.strangers)]
    return found


def complaints(stage: Deployed, *signs: str) -> list[str]:
    """What the functions said that has one of these in it."""
    return [
        f"{group}: {message}"
        for group, messages in _logs(stage).items()
        for message in messages
        if any(sign in message for sign in signs)
    ]


def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for it; TimeoutError with what was not seen otherwise."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it was not seen within {seconds:.0f} s that {what}")
        time.sleep(LOOK_EVERY_SECONDS)


def _idle(stage: Deployed) -> list[str]:
    """Those of the needed functions that never ran."""
    logs = _logs(stage)
    ran = {group for group, said in logs.items() if any(message.startswith("REPORT ") for message in said)}
    return [function for function in NEEDED if f"/aws/lambda/{stage.stack}-{function}" not in ran]


def _logs(stage: Deployed) -> dict[str, list[str]]:
    """What every function said, by its log group."""
    logs = stage.world.account.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    return {group["logGroupName"]: _messages(logs, group["logGroupName"]) for group in groups}


def _messages(logs: Any, group: str) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return [str(event["message"]) for page in pages for event in page["events"]]
