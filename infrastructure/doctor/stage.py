"""A stage on AWS, from outside and inside: one line per thing, with the mend; nothing is changed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.model.public_address import why_unfit
from infrastructure.checks import Finding, bad, is_bad, looked_at, ok
from infrastructure.deploying import prerequisites, readiness
from infrastructure.deploying.aws import bootstrap_token, images, quotas, sender
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.stack import Stack
from infrastructure.deploying.deployment import base_url
from infrastructure.deploying.readiness import Health
from infrastructure.deploying.settings import stack_name
from infrastructure.doctor import lines as doctor_lines

#: A token's and a presigned link's times are compared with other clocks.
SKEW_SECONDS = 30.0
#: A look waits two seconds; more than these mean that nobody takes them.
WAITING_AT_MOST = 50
AGAIN = "deploy again"


@dataclass(frozen=True)
class Stage:
    """Whom to examine, and with what."""

    account: Account
    name: str
    #: of this checkout
    commit: str
    wa_js: str
    #: epoch milliseconds
    now: int
    pause: Callable[[float], None]
    look: Callable[[str], Health] = readiness.ask

    @property
    def stack(self) -> str:
        return stack_name(self.name)


def examine(stage: Stage) -> list[Finding]:
    """Everything; what cannot be asked is `unknown`, and ends nothing."""
    found = prerequisites.account(stage.account)
    if is_bad(found):
        return found
    stack = Stack(stage.account.client("cloudformation"), stage.stack)
    found += looked_at("the stack", lambda: look_at_stack(stack))
    if is_bad(found) and not stack.exists():
        return found
    parameters = stack.parameters()
    found += looked_at("the public address", lambda: from_outside(stage))
    found += looked_at("the runners' service", lambda: look_at_service(stage))
    found += inside(stage)
    found += looked_at("the queues", lambda: look_at_queues(stage.account.client("sqs"), stage.stack))
    found += looked_at("schedules", lambda: look_at_schedules(stage.account.client("events"), stack))
    found += looked_at("alarms", lambda: look_at_alarms(stage.account.client("cloudwatch"), stage.stack))
    found += looked_at("the bootstrap token", lambda: look_at_token(stage))
    found += looked_at("the runners' image", lambda: look_at_image(stage, parameters.get("RunnerImage", "")))
    ses, mail_from = stage.account.client("sesv2"), parameters.get("MailFrom", "")
    found += looked_at("the sender", lambda: sender.look_at_identity(sender.find(ses, mail_from), deployed=True))
    found += looked_at("SES", lambda: sender.look_at_account(ses))
    return found + quota(stage, parameters)


def look_at_stack(stack: Stack) -> Finding:
    """CloudFormation's own opinion."""
    described = stack.described()
    if described is None:
        return bad(f"there is no stack {stack.name} here", f"`make deploy STAGE={stack.name.partition('-')[2]}`")
    status = described["StackStatus"]
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        return ok(f"stack {stack.name}: {status}")
    if status.endswith("_IN_PROGRESS"):
        return bad(f"stack {stack.name}: {status}", "a deployment is under way: look again afterwards")
    return bad(f"stack {stack.name}: {status}", "the last deployment failed: deploy again, it says why")


def from_outside(stage: Stage) -> list[Finding]:
    """The address, as owners reach it from here."""
    address = base_url(stage.account, stage.stack)
    if reason := why_unfit(address):
        return [bad(f"public address {address or 'missing'}: {reason}", "deploy again with BASE_URL=… or DOMAIN=…")]
    return judged(address, stage.look(address), stage.commit)


def judged(address: str, health: Health, commit: str, *, again: str = AGAIN) -> list[Finding]:
    """What `/health` says, against this checkout and our clock."""
    if health.trouble:
        return [bad(f"{address} gives no good answer: {health.trouble}", "see DNS, certificate, and the API's log")]
    found = [ok(f"{address} answers")]
    if health.told.get("base_url") != address:
        found.append(
            bad(f"it takes itself for {health.told.get('base_url')}", f"wait five minutes after a change; else {again}")
        )
    what = f"control plane at {health.commit}, this checkout at {commit}"
    found.append(ok(what) if health.commit == commit else bad(what, f"{again}, or check out what runs"))
    others = [each for each in health.runners if each != health.commit]
    if others:
        mend = "they drain one by one after a deployment; if it lasts, see the service's events"
        found.append(bad(f"runners at {', '.join(others)}, control plane at {health.commit}", mend))
    if health.ahead_seconds is not None:
        what = f"its clock and ours are {abs(health.ahead_seconds):.0f} s apart"
        late = abs(health.ahead_seconds) > SKEW_SECONDS
        found.append(bad(what, "set this machine's clock (timedatectl)") if late else ok(what))
    return found


def look_at_service(stage: Stage) -> Finding:
    """As many runners as should be, and no rollout that hangs."""
    name = f"{stage.stack}-runners"
    services = stage.account.client("ecs").describe_services(cluster=stage.stack, services=[name])["services"]
    service = next((each for each in services if each["status"] == "ACTIVE"), None)
    if service is None:
        return bad(f"there is no ECS service {name}", "deploy again")
    what = f"ECS: {service['runningCount']} of {service['desiredCount']} runners run"
    failed = [each for each in service.get("deployments", []) if each.get("rolloutState") == "FAILED"]
    if service["runningCount"] >= service["desiredCount"] and not failed:
        return ok(what)
    events = [str(event["message"]) for event in service.get("events", [])[:1]]
    return bad(what, "ECS says: " + (events[0] if events else "nothing; see the service's tasks in the console"))


def inside(stage: Stage) -> list[Finding]:
    """Tenants, runners and secrets: they need the table."""
    found: list[Finding] = []

    def lines() -> list[Finding]:
        read = doctor_lines.read(stage.account.client("dynamodb"), stage.stack, stage.now, stage.pause)
        kms = stage.account.client("kms")
        found.extend(doctor_lines.look_at_tenants(read))
        found.extend(doctor_lines.look_at_runners(read, commit=stage.commit, wa_js=stage.wa_js, again=AGAIN))
        return looked_at("the KMS key", lambda: doctor_lines.look_at_secrets(kms, f"alias/{stage.stack}", read))

    return [*looked_at("the table", lines), *found]


def look_at_queues(sqs: Any, stack: str) -> list[Finding]:
    """Nothing dead, and nothing that waits for long."""
    found = []
    for url in sorted(sqs.list_queues(QueueNamePrefix=f"{stack}-").get("QueueUrls", [])):
        name = url.rpartition("/")[2]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        waiting = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        what = f"queue {name}: {waiting} waiting"
        if "dead" in name and waiting:
            found.append(
                bad(what, "see the think function's log for their errors, then start a redrive in the SQS console")
            )
        elif waiting > WAITING_AT_MOST:
            found.append(bad(what, "is the think function running? See its errors and its concurrency"))
        else:
            found.append(ok(what))
    return found or [bad("there are no queues", "deploy again")]


def look_at_schedules(events: Any, stack: Stack) -> list[Finding]:
    """Without them nothing is mended, woken or forgotten."""
    names = [own.rpartition("/")[2] for kind, own in stack.resources().values() if kind == "AWS::Events::Rule"]
    off = [name for name in names if events.describe_rule(Name=name)["State"] != "ENABLED"]
    if not names:
        return [bad("there are no schedules", "deploy again")]
    if off:
        return [bad(f"{name} is switched off", f"`aws events enable-rule --name {name}`") for name in off]
    return [ok(f"{len(names)} schedules and event rules are on")]


def look_at_alarms(cloudwatch: Any, stack: str) -> list[Finding]:
    """Those that ring now, with their own description."""
    found, known = [], 0
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=stack):
        for alarm in page["MetricAlarms"]:
            known += 1
            if alarm["StateValue"] == "ALARM":
                found.append(
                    bad(f"alarm {alarm['AlarmName']}", alarm.get("AlarmDescription") or "see it in CloudWatch")
                )
    return found or [ok(f"none of {known} alarms rings")]


def look_at_token(stage: Stage) -> Finding:
    """What new runners register with."""
    name = bootstrap_token.name(stage.stack)
    if bootstrap_token.there(stage.account.client("ssm"), stage.stack):
        return ok(f"{name} is there")
    return bad(f"{name} is missing: no new runner can register", "deploy again: it is made anew")


def look_at_image(stage: Stage, image: str) -> Finding:
    """What the next runner is started from; ECR forgets by rules that know nothing of ECS."""
    ecr, digest = stage.account.client("ecr"), image.partition("@")[2]
    if not digest or not images.there(ecr, stage.stack, digest):
        return bad("the runners' image is not in ECR: no new runner can start", AGAIN)
    if not images.marked_released(ecr, stage.stack, digest):
        mend = f"{AGAIN}, which marks it: its deployment was not seen to its end"
        return bad("the runners' image is not marked as one that ran, and is forgotten after ten others", mend)
    return ok("the runners' image is in ECR, and is kept")


def quota(stage: Stage, parameters: dict[str, str]) -> list[Finding]:
    """Against the runners that should be there now."""
    service = stage.account.client("ecs").describe_services
    runners = int(parameters.get("RunnersAtLeast") or 1)

    def fargate() -> Finding:
        told = service(cluster=stage.stack, services=[f"{stage.stack}-runners"])["services"]
        wanted = max([runners, *(each["desiredCount"] for each in told)])
        return quotas.look_at_fargate(
            stage.account.client("service-quotas"),
            runners=wanted,
            cpu_units=int(parameters.get("RunnerCpuUnits") or prerequisites.RUNNER_CPU_UNITS),
            spot=parameters.get("RunnersOnSpot") == "true",
        )

    lambdas = stage.account.client("lambda")
    decided, given = (int(parameters.get(name) or 0) for name in ("ThinkAtOnce", "ThinkAtOnceGiven"))
    return [
        *looked_at("Fargate's quota", fargate),
        *looked_at("Lambda's quota", lambda: quotas.look_at_lambda(lambdas, runners=runners)),
        *looked_at(
            "how many chats at once",
            lambda: quotas.look_at_thinking(lambdas, at_once=given or decided, given=given > 0),
        ),
    ]


def wa_js_of(repository: Path) -> str:
    """The version that this checkout's lock file names."""
    package = json.loads((repository / "runner" / "package.json").read_text())
    return str(package["dependencies"]["@wppconnect/wa-js"])
