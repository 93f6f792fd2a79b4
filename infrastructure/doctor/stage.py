"""Checks of a stage on AWS, from outside and inside; nothing is changed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.model.public_address import unfit_path, unfit_reason
from infrastructure.checks import CheckResult, any_bad, bad, ok, run_check
from infrastructure.deploying import prerequisites
from infrastructure.deploying.aws import bootstrap_token, images, operators_webhook, public_address, quotas, sender
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.stack import Stack
from infrastructure.deploying.readiness import Health, check_health
from infrastructure.deploying.settings import stack_name
from infrastructure.doctor import lines, news

#: The times of tokens and presigned links are compared with other clocks.
SKEW_SECONDS = 30.0
#: A turn-taking check waits two seconds in its queue; more than these mean that the think function takes none.
MAX_WAITING = 50
AGAIN = "deploy again"


@dataclass(frozen=True)
class Stage:
    """The stage to examine, and the versions to compare it with."""

    account: Account
    name: str
    #: of this checkout
    commit: str
    wa_js: str
    #: epoch milliseconds
    now: int
    pause: Callable[[float], None]
    check_health: Callable[[str], Health] = check_health
    #: posts a test message to the webhook; None: none is posted
    post: news.Post | None = None

    @property
    def stack(self) -> str:
        """The name of its stack."""
        return stack_name(self.name)


def examine(stage: Stage) -> list[CheckResult]:
    """Runs all checks; an error of AWS makes one result `unknown`, and the others still run."""
    results = prerequisites.check_credentials(stage.account)
    if any_bad(results):
        return results
    stack = Stack(stage.account.client("cloudformation"), stage.stack)
    results += run_check("the stack", lambda: check_stack(stack))
    if any_bad(results) and not stack.exists():
        return results
    parameters = stack.parameters()
    results += run_check("the public address", lambda: check_public_address(stage))
    results += run_check("the runners' service", lambda: check_service(stage))
    results += check_lines(stage)
    results += check_news(stage, parameters)
    results += run_check("the queues", lambda: check_queues(stage.account.client("sqs"), stage.stack))
    results += run_check("schedules", lambda: check_schedules(stage.account.client("events"), stack))
    results += run_check("alarms", lambda: check_alarms(stage.account.client("cloudwatch"), stage.stack))
    results += run_check("the bootstrap token", lambda: check_token(stage))
    results += run_check("the runners' image", lambda: check_image(stage, parameters.get("RunnerImage", "")))
    ses, mail_from = stage.account.client("sesv2"), parameters.get("MailFrom", "")
    results += run_check("the sender", lambda: _check_sender(ses, mail_from))
    results += run_check("SES", lambda: sender.check_account(ses))
    return results + check_quotas(stage, parameters)


def check_stack(stack: Stack) -> CheckResult:
    """Checks the status of the stack."""
    described = stack.described()
    if described is None:
        return bad(f"there is no stack {stack.name} here", f"`make deploy STAGE={stack.name.partition('-')[2]}`")
    status = described["StackStatus"]
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
        return ok(f"stack {stack.name}: {status}")
    if status.endswith("_IN_PROGRESS"):
        return bad(f"stack {stack.name}: {status}", "a deployment is in progress: check again afterwards")
    return bad(f"stack {stack.name}: {status}", "the last deployment failed: deploy again, which prints the reason")


def check_public_address(stage: Stage) -> list[CheckResult]:
    """Checks the address that owners use, from here."""
    address = public_address.read(stage.account.client("ssm"), stage.stack)
    if reason := unfit_reason(address) or unfit_path(address):
        return [bad(f"public address {address or 'missing'}: {reason}", "deploy again with BASE_URL=… or DOMAIN=…")]
    return check_answer(address, stage.check_health(address), stage.commit)


def check_answer(address: str, health: Health, commit: str, *, again: str = AGAIN) -> list[CheckResult]:
    """Compares the answer of `/health` with this checkout and our clock."""
    if health.error:
        return [bad(f"{address} gives no good answer: {health.error}", "see DNS, certificate, and the API's log")]
    results = [ok(f"{address} answers")]
    own = health.answer.get("base_url")
    if own != address:
        results.append(bad(f"it reports {own} as its own address", f"wait five minutes after a change; else {again}"))
    subject = f"control plane at {health.commit}, this checkout at {commit}"
    results.append(ok(subject) if health.commit == commit else bad(subject, f"{again}, or check out what runs"))
    if health.ahead_seconds is not None:
        subject = f"its clock and ours are {abs(health.ahead_seconds):.0f} s apart"
        skewed = abs(health.ahead_seconds) > SKEW_SECONDS
        results.append(bad(subject, "set this machine's clock (timedatectl)") if skewed else ok(subject))
    return results


def check_service(stage: Stage) -> CheckResult:
    """Checks that as many runners run as should, and that no rollout failed."""
    name = f"{stage.stack}-runners"
    services = stage.account.client("ecs").describe_services(cluster=stage.stack, services=[name])["services"]
    service = next((each for each in services if each["status"] == "ACTIVE"), None)
    if service is None:
        return bad(f"there is no ECS service {name}", "deploy again")
    subject = f"ECS: {service['runningCount']} of {service['desiredCount']} runners run"
    failed = [each for each in service.get("deployments", []) if each.get("rolloutState") == "FAILED"]
    if service["runningCount"] >= service["desiredCount"] and not failed:
        return ok(subject)
    events = [str(event["message"]) for event in service.get("events", [])[:1]]
    return bad(subject, "ECS reports: " + (events[0] if events else "nothing; see the service's tasks in the console"))


def check_lines(stage: Stage) -> list[CheckResult]:
    """Checks tenants, runners and the encryption key, which need the table."""
    results: list[CheckResult] = []

    def check_table() -> list[CheckResult]:
        read = lines.read(stage.account.client("dynamodb"), stage.stack, stage.now, stage.pause)
        kms = stage.account.client("kms")
        results.extend(lines.check_tenants(read))
        results.extend(lines.check_saved(read))
        results.append(lines.check_outcomes(read))
        results.extend(lines.check_runners(read, commit=stage.commit, wa_js=stage.wa_js, again=AGAIN))
        return run_check("the KMS key", lambda: lines.check_secrets(kms, f"alias/{stage.stack}", read))

    return [*run_check("the table", check_table), *results]


def check_news(stage: Stage, parameters: dict[str, str]) -> list[CheckResult]:
    """Checks that somebody hears of problems, and that what is to be heard arrives."""
    addresses = [each for each in parameters.get("OperatorsEmail", "").split(",") if each.strip()]

    def ways() -> list[CheckResult]:
        url = operators_webhook.read(stage.account.client("ssm"), stage.stack)
        found = news.Ways(len(addresses), url, setting="OPERATORS_EMAIL", set=lambda setting: f"{AGAIN} with {setting}")
        return news.check_ways(found, post=stage.post)

    def waiting() -> list[CheckResult]:
        return news.check_news(news.read(stage.account.client("dynamodb"), stage.stack, stage.pause), stage.now)

    return [*run_check("who hears of problems", ways), *run_check("news on its way", waiting)]


def check_queues(sqs: Any, stack: str) -> list[CheckResult]:
    """Checks for dead letters, and for jobs that wait for long."""
    results = []
    for url in sorted(sqs.list_queues(QueueNamePrefix=f"{stack}-").get("QueueUrls", [])):
        name = url.rpartition("/")[2]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        waiting = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        subject = f"queue {name}: {waiting} waiting"
        if "dead" in name and waiting:
            results.append(
                bad(subject, "see the think function's log for their errors, then start a redrive in the SQS console")
            )
        elif waiting > MAX_WAITING:
            results.append(bad(subject, "is the think function running? See its errors and its concurrency"))
        else:
            results.append(ok(subject))
    return results or [bad("there are no queues", "deploy again")]


def check_schedules(events: Any, stack: Stack) -> list[CheckResult]:
    """Checks that the schedules are on, without which nothing is repaired, woken or deleted."""
    names = [own.rpartition("/")[2] for kind, own in stack.resources().values() if kind == "AWS::Events::Rule"]
    off = [name for name in names if events.describe_rule(Name=name)["State"] != "ENABLED"]
    if not names:
        return [bad("there are no schedules", "deploy again")]
    if off:
        return [bad(f"{name} is switched off", f"`aws events enable-rule --name {name}`") for name in off]
    return [ok(f"{len(names)} schedules and event rules are on")]


def check_alarms(cloudwatch: Any, stack: str) -> list[CheckResult]:
    """Checks for alarms in the alarm state; their descriptions say what to do."""
    results, known = [], 0
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=stack):
        for alarm in page["MetricAlarms"]:
            known += 1
            if alarm["StateValue"] == "ALARM":
                results.append(
                    bad(f"alarm {alarm['AlarmName']}", alarm.get("AlarmDescription") or "see it in CloudWatch")
                )
    return results or [ok(f"none of {known} alarms is in alarm")]


def check_token(stage: Stage) -> CheckResult:
    """Checks for the token with which new runners register."""
    name = bootstrap_token.name(stage.stack)
    if bootstrap_token.exists(stage.account.client("ssm"), stage.stack):
        return ok(f"{name} is there")
    return bad(f"{name} is missing: no new runner can register", "deploy again: it is created anew")


def check_image(stage: Stage, image: str) -> CheckResult:
    """Checks for the image that the next runner starts from; ECR's rules delete images whether they run or not."""
    ecr, digest = stage.account.client("ecr"), image.partition("@")[2]
    if not digest or not images.exists(ecr, stage.stack, digest):
        return bad("the runners' image is not in ECR: no new runner can start", AGAIN)
    if not images.is_released(ecr, stage.stack, digest):
        fix = f"{AGAIN}, which marks it: its deployment was interrupted"
        return bad("the runners' image is not marked as released, and is deleted after ten others", fix)
    return ok("the runners' image is in ECR, and is kept")


def _check_sender(ses: Any, mail_from: str) -> CheckResult:
    try:
        found = sender.find(ses, mail_from)
    except ValueError as error:
        return bad(f"the sender {mail_from}: {error}", "deploy again with MAIL_FROM='Your agency <line@…>'")
    return sender.check_identity(found, deployed=True)


def check_quotas(stage: Stage, parameters: dict[str, str]) -> list[CheckResult]:
    """Checks the account's limits against the runners that should run now."""
    describe = stage.account.client("ecs").describe_services
    runners = int(parameters.get("RunnersAtLeast") or 1)

    def fargate() -> CheckResult:
        services = describe(cluster=stage.stack, services=[f"{stage.stack}-runners"])["services"]
        return quotas.check_fargate(
            stage.account.client("service-quotas"),
            runners=max([runners, *(each["desiredCount"] for each in services)]),
            cpu_units=int(parameters.get("RunnerCpuUnits") or prerequisites.RUNNER_CPU_UNITS),
            spot=parameters.get("RunnersOnSpot") == "true",
        )

    lambdas = stage.account.client("lambda")
    decided, given = (int(parameters.get(name) or 0) for name in ("ThinkAtOnce", "ThinkAtOnceGiven"))
    return [
        *run_check("Fargate's quota", fargate),
        *run_check("Lambda's quota", lambda: quotas.check_lambda(lambdas, runners=runners)),
        *run_check(
            "how many chats at once",
            lambda: quotas.check_think_limit(lambdas, limit=given or decided, given=given > 0),
        ),
    ]


def wa_js_of(repository: Path) -> str:
    """The version of wa-js that this checkout names."""
    package = json.loads((repository / "runner" / "package.json").read_text())
    return str(package["dependencies"]["@wppconnect/wa-js"])
