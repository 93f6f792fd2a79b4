"""The doctor's checks of a stage on AWS."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infrastructure.checkout import REPOSITORY
from infrastructure.checks import State
from infrastructure.deploying.aws import images, operators_webhook
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.stack import Stack
from infrastructure.deploying.readiness import Health
from infrastructure.doctor import stage
from tests.unit.conftest import REGION, STACK
from tests.unit.infrastructure.deploying.aws.test_images import MANIFEST
from tests.unit.infrastructure.deploying.aws.test_quotas import Lambda
from tests.unit.infrastructure.doctor.test_lines import NOW, URL, bads


@pytest.mark.parametrize(
    ("health", "says"),
    [
        (Health({}, "HTTP 503: The parameter is missing"), "gives no good answer"),
        (Health({"commit": "old", "runners": ["old"], "base_url": URL}), "control plane at old, this checkout at abc"),
        (Health({"commit": "abc", "runners": [], "base_url": "https://other.example"}), "as its own address"),
        (Health({"commit": "abc", "base_url": URL}, ahead_seconds=-45.0), "45 s apart"),
    ],
)
def test_a_wrong_answer_from_outside_is_bad(health: Health, says: str) -> None:
    assert any(says in what for what in bads(stage.check_answer(URL, health, "abc")))


def test_a_good_answer_needs_no_fix() -> None:
    health = Health({"commit": "abc", "base_url": URL}, ahead_seconds=0.4)
    assert bads(stage.check_answer(URL, health, "abc")) == []


@pytest.fixture
def account(aws: None) -> Account:
    return Account(boto3.Session(region_name=REGION))


def a_stage(account: Account, health: Health | None = None) -> stage.Stage:
    answer = health or Health({}, "unreachable")
    return stage.Stage(account, "unit", "abc", "4.6.0", NOW, lambda seconds: None, lambda url: answer)


@pytest.mark.parametrize("address", [None, "http://line.agency.example", "https://localhost/api", "https://10.0.0.1"])
def test_an_address_that_is_not_public_is_not_even_tried(account: Account, address: str | None) -> None:
    if address:
        account.client("ssm").put_parameter(Name=f"/{STACK}/public-base-url", Value=address, Type="String")
    (found,) = stage.check_public_address(a_stage(account, Health({"commit": "abc"})))
    assert found.state is State.BAD
    assert "public address" in found.subject


def test_dead_letters_and_a_growing_queue_are_bad(account: Account) -> None:
    sqs = account.client("sqs")
    assert bads(stage.check_queues(sqs, STACK)) == ["there are no queues"]
    jobs, dead = (sqs.create_queue(QueueName=f"{STACK}-{name}")["QueueUrl"] for name in ("jobs", "jobs-dead"))
    assert bads(stage.check_queues(sqs, STACK)) == []
    sqs.send_message(QueueUrl=jobs, MessageBody="a check")
    assert bads(stage.check_queues(sqs, STACK)) == []
    sqs.send_message(QueueUrl=dead, MessageBody="a check")
    assert bads(stage.check_queues(sqs, STACK)) == [f"queue {STACK}-jobs-dead: 1 waiting"]
    for _ in range(stage.MAX_WAITING):
        sqs.send_message(QueueUrl=jobs, MessageBody="a check")
    assert len(bads(stage.check_queues(sqs, STACK))) == 2


def test_alarms_that_ring_are_shown_with_their_description(account: Account) -> None:
    cloudwatch = account.client("cloudwatch")
    for name in (f"{STACK}-unanswered", f"{STACK}-dead-letters", "of-another-stack"):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            AlarmDescription="look at the think function",
            MetricName="m",
            Namespace="n",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            Statistic="Sum",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="-")
    assert bads(stage.check_alarms(cloudwatch, STACK)) == []
    for name in (f"{STACK}-unanswered", "of-another-stack"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="-")
    (found,) = stage.check_alarms(cloudwatch, STACK)
    assert (found.subject, found.fix) == (f"alarm {STACK}-unanswered", "look at the think function")


def test_a_schedule_that_is_off_is_bad(account: Account) -> None:
    rule = {"Type": "AWS::Events::Rule", "Properties": {"Name": "every", "ScheduleExpression": "rate(1 minute)"}}
    cloudformation, events = account.client("cloudformation"), account.client("events")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps({"Resources": {"Every": rule}}))
    events.enable_rule(Name="every")
    stack = Stack(cloudformation, STACK)
    assert bads(stage.check_schedules(events, stack)) == []
    events.disable_rule(Name="every")
    assert bads(stage.check_schedules(events, stack)) == ["every is switched off"]


class Ecs:
    """A service that is not as desired, which moto does not have."""

    def __init__(self, running: int, *, rollout: str = "COMPLETED", status: str = "ACTIVE") -> None:
        self._service = {
            "status": status,
            "runningCount": running,
            "desiredCount": 2,
            "deployments": [{"rolloutState": rollout}],
            "events": [{"message": "unable to pull the image"}],
        }

    def describe_services(self, **_: Any) -> dict[str, Any]:
        return {"services": [self._service]}


@pytest.mark.parametrize(
    ("ecs", "state", "says"),
    [
        (Ecs(2), State.OK, "2 of 2"),
        (Ecs(1), State.BAD, "unable to pull"),
        (Ecs(2, rollout="FAILED"), State.BAD, "unable to pull"),
        (Ecs(2, status="INACTIVE"), State.BAD, "no ECS service"),
    ],
)
def test_as_many_runners_must_run_as_desired(account: Account, ecs: Ecs, state: State, says: str) -> None:
    account._clients["ecs"] = ecs
    found = stage.check_service(a_stage(account))
    assert found.state is state
    assert says in str(found)


def test_an_image_that_runs_must_be_kept(account: Account) -> None:
    ecr, name = account.client("ecr"), images.repository_name(STACK)
    missing = f"{name}@sha256:{'0' * 64}"
    assert "not in ECR" in stage.check_image(a_stage(account), missing).subject
    images.ensure_repository(ecr, STACK)
    assert "not in ECR" in stage.check_image(a_stage(account), missing).subject
    pushed = ecr.put_image(repositoryName=name, imageManifest=MANIFEST, imageTag="abc")["image"]["imageId"]
    digest = pushed["imageDigest"]
    (found,) = bads([stage.check_image(a_stage(account), f"{name}@{digest}")])
    assert "not marked" in found
    images.mark_released(ecr, STACK, digest)
    assert stage.check_image(a_stage(account), f"{name}@{digest}").state is State.OK


@pytest.mark.parametrize(
    ("decided", "given", "fix"),
    [("5", "0", "deploy again to use it"), ("50", "0", ""), ("5", "8", "")],
    ids=["raised since", "as it is", "reported by an operator"],
)
def test_a_quota_that_was_raised_waits_for_a_deployment(account: Account, decided: str, given: str, fix: str) -> None:
    account._clients["lambda"] = Lambda(1000)
    found = stage.check_quotas(a_stage(account), {"ThinkAtOnce": decided, "ThinkAtOnceGiven": given})[-1]
    assert (found.state, found.fix) == (State.OK, fix)
    assert found.subject.startswith(f"Lambda: {decided if given == '0' else given} chats")


def test_a_missing_stage_ends_the_checks(account: Account) -> None:
    found = stage.examine(a_stage(account))
    assert [result.subject for result in found if result.state is State.BAD] == [f"there is no stack {STACK} here"]


def test_every_part_of_a_stage_is_checked_even_if_others_cannot_be(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps({"Resources": {}}))
    for service in ("lambda", "service-quotas", "ecs", "sesv2"):
        account._clients[service] = Refusing()
    output = "\n".join(str(result) for result in stage.examine(a_stage(account)))
    for part in (
        "stack",
        "public address",
        "service",
        "table",
        "queue",
        "schedules",
        "alarms",
        "hears of problems",
        "news",
        "token",
        "image",
        "SES",
        "Fargate",
        "Lambda",
    ):
        assert part in output, part


class Refusing:
    """A service that these credentials may not use."""

    def __getattr__(self, name: str) -> Any:
        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, name)

        return refuse


def test_the_checkouts_wa_js_is_known() -> None:
    assert stage.wa_js_of(REPOSITORY).count(".") == 2


@pytest.mark.parametrize(
    ("operators", "webhook", "wrong"),
    [
        ("a@agency.example,b@agency.example", "", False),
        ("", "", True),
        ("", "https://10.0.0.1/secret", True),
        ("a@agency.example", "https://10.0.0.1/secret", True),
    ],
)
def test_it_is_checked_who_hears_of_problems(account: Account, operators: str, webhook: str, wrong: bool) -> None:
    if webhook:
        operators_webhook.store(account.client("ssm"), STACK, webhook)
    found = stage.check_news(a_stage(account), {"OperatorsEmail": operators})
    assert bool(bads(found)) is wrong and "secret" not in " ".join(map(str, found))
    assert ("nobody hears" in " ".join(bads(found))) is (not operators and not webhook)
