"""`make rehearse`: the story on a deployed stage, then attacks, a bounced mail, a crash, a search for hidden errors."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import ClientError
from playwright.sync_api import Browser

from infrastructure.local.processes import kill_tree
from runner.log_events import LogEvent
from tests.rehearsal import release
from tests.rehearsal.emulated.mailbox_simulator import BOUNCES
from tests.rehearsal.stage import Deployed, Say, deployed
from tests.simulators.whatsapp.client import SimulatorClient
from tests.story.people import Client, Operator
from tests.story.story import CLIENTS, CONTACT, NUMBERS, PASSWORD, StoryResult, browser, run_story, sign_in

#: Fewer than in `make story`: here the deployment is tested.
MESSAGES_EACH = 3
#: The first archive of a login comes ten seconds after it.
ARCHIVED_WITHIN_SECONDS = 60.0
#: ECS's event, a new task, its browsers from the archives, and an answer.
ANSWERED_WITHIN_SECONDS = 120.0
#: The schedule's first tick comes a minute after it was made.
RAN_WITHIN_SECONDS = 100.0
POLL_EVERY_SECONDS = 0.5

#: The functions that a story needs, as the names of their log groups end.
NEEDED = ("doors", "think", "reconcile", "task-stopped")
#: … and those that a former release may lack, or that only a rehearsal of this one calls.
NEEDED_HERE = (*NEEDED, "snapshots", "authorizer", "notify", "mail-event")
#: A mail event goes over the bus to its function, and the page shows it.
HEARD_WITHIN_SECONDS = 60.0
#: A client whose address does not work.
UNREACHABLE = Client("Florist Unreachable", BOUNCES, "sk-story-florist-9999FLOR", "You sell flowers. Be brief.")
BOUNCED = "Mail to the owner does not arrive"
#: A token of a runner's shape that nobody has.
NOBODYS = f"{'0' * 20}.{'x' * 43}"


@dataclass(frozen=True)
class Verdict:
    """The result of the rehearsal."""

    resources: int
    told: StoryResult
    problems: list[str]

    @property
    def line(self) -> str:
        """The last line of the output."""
        how = "ok" if self.ended_well else f"FAILED ({self.told.summary}; {len(self.problems)} problems)"
        return f"rehearsal: {self.resources} resources, story {how}"

    @property
    def ended_well(self) -> bool:
        return self.told.is_good and not self.problems


def rehearse(data: Path, say: Say) -> Verdict:
    """Rehearses everything; raises if a step of it fails."""
    this = release.of_this_checkout(data / "package")
    say(f"packaged: {this.package.zip_bytes / 1e6:.1f} MB for {this.package.runtime}")
    with deployed(this, data, say) as stage, browser(*stage.world.browser_flags) as people:
        try:
            operator = sign_in(stage, people, None, say)
            told = run_story(stage, people, None, say, MESSAGES_EACH, operator=operator)
            say(told.summary)
            ask_for_the_app(stage, people, operator, say)
            hear_of_a_bounce(operator, say)
            refuse_strangers(stage, say)
            refuse_stolen_token(stage, say)
            keep_logins_inside(stage, say)
            survive_a_crash(stage, say)
        except Exception:
            for complaint in complaints(stage, '"level":"WARNING"', '"level":"ERROR"', "Task timed out"):
                say(complaint)
            raise
        return Verdict(stage.resources, told, problems(stage, NEEDED_HERE))


def ask_for_the_app(stage: Deployed, people: Browser, operator: Operator, say: Say) -> None:
    """Signs in from another browser: the password alone is not enough, nor a wrong code."""
    assert operator.authenticator is not None, "the first sign-in set up no authenticator app"
    Operator(people, stage.admin_url, None).sign_in_again(stage.operator.email, PASSWORD, operator.authenticator)
    say("the operator signed in again, asked for the authenticator's code")


def hear_of_a_bounce(operator: Operator, say: Say) -> None:
    """Creates a tenant whose owner's address does not exist: SES's event reaches the tenant's page."""
    tenant = operator.create(UNREACHABLE)

    def shown() -> bool:
        operator.open_tenant(tenant, "")
        return BOUNCED in operator.page.inner_text("main")

    until(shown, HEARD_WITHIN_SECONDS, "the tenant's page shows that the invite bounced")
    say("an invite bounced: the tenant's page shows it")


def refuse_strangers(stage: Deployed, say: Say) -> None:
    """Calls as a runner with other tokens: API Gateway refuses them, in the words of the endpoints."""
    for token, code in (("", ""), ("secret", ""), ("x" * 3_000 + "." + "y" * 43, ""), (NOBODYS, "unauthorised")):
        answer = stage.call_as_runner(token, "sync", {"sequence": 1, "capacity": 25})
        if answer != (401, code):
            raise AssertionError(f"a call with the token {token[:30]!r} was answered {answer}")
    say("runners' calls with tokens of strangers were refused before any endpoint")


def keep_logins_inside(stage: Deployed, say: Say) -> None:
    """Reads an archived login: neither a link from elsewhere opens it, nor the role of the doors."""
    bucket = stage.context.resources(stage.stack)["Bucket"][1]
    found = stage.world.account.client("s3").list_objects_v2(Bucket=bucket, Prefix="profiles/")
    name = {"Bucket": bucket, "Key": found["Contents"][0]["Key"]}
    link = stage.client_as("SnapshotsRole", "s3").generate_presigned_url("get_object", Params=name)
    for what, internet, expected in (
        ("elsewhere", stage.world.internet, 403),
        ("the runners' network", stage.world.runners_internet, 200),
    ):
        answer = httpx.get(link, proxy=internet.proxy, verify=stage.world.trust)
        if answer.status_code != expected:
            raise AssertionError(
                f"a link to a login from {what} was answered {answer.status_code}: {answer.text[:300]}"
            )
    try:
        stage.client_as("DoorsRole", "s3").get_object(**name)
    except ClientError as refused:
        if refused.response["Error"]["Code"] != "AccessDenied":
            raise
    else:
        raise AssertionError("the role of the doors read a login")
    say("a login was read through the runners' network only, and not by the doors")


def refuse_stolen_token(stage: Deployed, say: Say) -> None:
    """Registers with a bootstrap token that was read in a runner's container: every task has one runner already."""
    (task,) = stage.fargate.pids
    for name in (task, task[:-8] + "0" * 8, task.replace(stage.stack, "another"), ""):
        answer = stage.register(name)
        if answer != (401, "task_refused"):
            raise AssertionError(f"a registration that names the task {name!r} was answered {answer}")
    say("a registration with a stolen bootstrap token was refused")


def survive_a_crash(stage: Deployed, say: Say) -> None:
    """Kills the runner: ECS reports it and starts another one, and both lines answer without a new code."""
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


def problems(stage: Deployed, needed: Iterable[str] = NEEDED) -> list[str]:
    """Lists what is wrong although the story ended well; empty is good."""
    found = []
    try:
        until(lambda: not _idle(stage, needed), RAN_WITHIN_SECONDS, "every function that a story needs ran")
    except TimeoutError:
        found.append(f"these functions never ran: {', '.join(_idle(stage, needed))}")
    found += complaints(stage, '"level":"ERROR"')
    strangers = stage.world.internet.strangers | stage.world.runners_internet.strangers
    found += [f"a process called {name}, which is not played" for name in sorted(strangers)]
    return found


def complaints(stage: Deployed, *signs: str) -> list[str]:
    """Lists the log lines of the functions that contain one of these signs."""
    return [
        f"{group}: {message}"
        for group, messages in _logs(stage).items()
        for message in messages
        if any(sign in message for sign in signs)
    ]


def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls until it is done. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"within {seconds:.0f} s it did not happen that {what}")
        time.sleep(POLL_EVERY_SECONDS)


def _idle(stage: Deployed, needed: Iterable[str]) -> list[str]:
    """The needed functions that never ran."""
    logs = _logs(stage)
    ran = {group for group, messages in logs.items() if any(message.startswith("REPORT ") for message in messages)}
    return [function for function in needed if f"/aws/lambda/{stage.stack}-{function}" not in ran]


def _logs(stage: Deployed) -> dict[str, list[str]]:
    """The log lines of every function, by its log group."""
    logs = stage.world.account.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    return {group["logGroupName"]: _messages(logs, group["logGroupName"]) for group in groups}


def _messages(logs: Any, group: str) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return [str(event["message"]) for page in pages for event in page["events"]]
