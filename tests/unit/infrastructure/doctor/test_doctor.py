"""The doctor: one line per thing, with the fix, and nothing that is wrong passes for well."""

import json
import os
import socket
import time as wall
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.model import Assignment, Problem, Runner, RunnerState, Session, Tenant, TenantState
from chalicelib.store.table import Table
from chalicelib.store.tenants import Tenants
from chalicelib.store.timeline import Timeline
from infrastructure.checkout import REPOSITORY
from infrastructure.checks import CheckResult, State, bad, ok, unknown
from infrastructure.deploying.aws import images
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.stack import Stack
from infrastructure.deploying.readiness import Health
from infrastructure.doctor import __main__, lines, machine, stage
from infrastructure.doctor.lines import Lines
from infrastructure.doctor.machine import Machine
from infrastructure.local.emulator.checkpoints import Generations
from infrastructure.local.settings import Settings
from runner.disk import ROOM_TO_HOST_BYTES, ROOM_TO_SAVE_BYTES
from tests.unit.conftest import REGION, STACK, a_tenant
from tests.unit.infrastructure.deploying.aws.test_images import MANIFEST
from tests.unit.infrastructure.deploying.test_parts import Lambda
from wire import Phase, ProblemCode

NOW = 1_790_000_000_000
URL = "https://line.agency.example/api"
TENANT = a_tenant("bakery0001", key_ciphertext="c2VhbGVk")
ONLINE = Session(tenant=TENANT.id, phase=Phase.ONLINE, number="4915112345678", runner="r1")
RUNNER = Runner(
    id="r1",
    state=RunnerState.ALIVE,
    token_sha256="",
    lease_until=NOW + 30_000,
    capacity=8,
    registered_at=0,
    lease_held_since=0,
    assigned=(Assignment(tenant=TENANT.id, epoch=1),),
    commit="abc",
    chromium="147.0.1",
    wa_js="4.6.0",
)


def some_lines(*tenants: tuple[Tenant, Session], runners: tuple[Runner, ...] = (RUNNER,)) -> Lines:
    return Lines(list(tenants), list(runners), NOW)


def bads(found: list[CheckResult]) -> list[str]:
    return [result.subject for result in found if result.state is State.BAD]


# -- lines and runners ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tenant", "session", "wrong"),
    [
        (TENANT, ONLINE, False),
        (TENANT, replace(ONLINE, phase=Phase.OFFLINE), True),
        (TENANT, replace(ONLINE, phase=Phase.IDLE, runner=None), True),
        (replace(TENANT, wanted=TenantState.PAUSED), replace(ONLINE, phase=Phase.IDLE), False),
        (TENANT, Session(tenant=TENANT.id), False),  # nobody linked it, nobody watches it
        (TENANT, Session(tenant=TENANT.id, awake_until=NOW + 1000), True),
        (TENANT, Session(tenant=TENANT.id, awake_until=NOW + 1000, phase=Phase.QR), False),
    ],
)
def test_active_means_running(tenant: Tenant, session: Session, wrong: bool) -> None:
    found = lines.check_tenants(some_lines((tenant, session)))
    assert bool(bads(found)) is wrong
    if wrong:
        assert f"{tenant.id} is {session.phase}" in bads(found)[1]


def test_what_only_a_person_can_mend_is_named() -> None:
    tenant = replace(TENANT, assistant_problem=Problem(ProblemCode.OUT_OF_CREDIT, NOW, ""))
    assert "out_of_credit" in bads(lines.check_tenants(some_lines((tenant, ONLINE))))[0]


def test_many_lines_that_are_down_are_counted() -> None:
    down = [(replace(TENANT, id=f"t{n}"), replace(ONLINE, tenant=f"t{n}", phase=Phase.OFFLINE)) for n in range(30)]
    found = bads(lines.check_tenants(some_lines(*down)))
    assert found[0].startswith("0 of 30 lines")
    assert found[-1].strip() == "and 10 more"


@pytest.mark.parametrize(
    ("runners", "says"),
    [
        ((), "no runner is alive"),
        ((replace(RUNNER, lease_until=NOW),), "runner r1 is silent"),
        ((replace(RUNNER, commit="old"),), "runners' commit: old, and abc here"),
        ((RUNNER, replace(RUNNER, id="r2", commit="old")), "runners' commit: abc ×1, old ×1"),
        ((RUNNER, replace(RUNNER, id="r2", chromium="140")), "runners' Chromium: 140 ×1, 147.0.1 ×1"),
        ((replace(RUNNER, wa_js="3.0.0"),), "runners' wa-js: 3.0.0, and 4.6.0 here"),
    ],
)
def test_runners_are_heard_and_all_alike(runners: tuple[Runner, ...], says: str) -> None:
    found = bads(lines.check_runners(some_lines(runners=runners), commit="abc", wa_js="4.6.0", again="again"))
    assert any(what.startswith(says) for what in found), found


def test_good_runners_tell_their_versions() -> None:
    found = lines.check_runners(some_lines(), commit="abc", wa_js="4.6.0", again="again")
    assert bads(found) == []
    assert "runners' Chromium: 147.0.1" in [result.subject for result in found]


class Kms:
    """moto decrypts instead of a dry run, and knows no key policy."""

    def __init__(self, answer: str = lines.WOULD_WORK, state: str = "Enabled") -> None:
        self._answer = answer
        self._state = state
        self.asked: list[dict[str, Any]] = []

    def describe_key(self, **_: Any) -> dict[str, Any]:
        return {"KeyMetadata": {"KeyState": self._state}}

    def decrypt(self, **request: Any) -> None:
        self.asked.append(request)
        raise ClientError({"Error": {"Code": self._answer}}, "Decrypt")


@pytest.mark.parametrize(
    ("kms", "state", "says"),
    [
        (Kms(), State.OK, "decrypts all 1"),
        (Kms(state="PendingDeletion"), State.BAD, "PendingDeletion"),
        (Kms("IncorrectKeyException"), State.BAD, "another KMS key"),
        (Kms("InvalidCiphertextException"), State.BAD, "another KMS key"),
        (Kms("AccessDeniedException"), State.UNKNOWN, "is enabled"),
        (Kms("ThrottlingException"), State.UNKNOWN, "Throttling"),
    ],
)
def test_secrets_would_open_and_none_is_opened(kms: Kms, state: State, says: str) -> None:
    (found,) = lines.check_secrets(kms, "alias/x", some_lines((TENANT, ONLINE)))
    assert found.state is state
    assert says in found.subject
    for request in kms.asked:
        assert request["DryRun"] is True
        assert request["EncryptionContext"]["tenant"] == TENANT.id


def test_lines_are_read_with_the_applications_own_eyes(table: Table) -> None:
    from chalicelib.model import Assistant

    Tenants(table, Timeline(table)).create(TENANT, Assistant(version=1, model="m", instructions=""), by="us")
    read = lines.read(boto3.client("dynamodb", region_name=REGION), STACK, NOW, lambda seconds: None)
    assert [tenant.id for tenant, _ in read.tenants] == [TENANT.id]
    assert read.runners == []


# -- a stage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "says"),
    [
        (Health({}, "HTTP 503: The parameter is missing"), "gives no good answer"),
        (Health({"commit": "old", "runners": ["old"], "base_url": URL}), "control plane at old, this checkout at abc"),
        (Health({"commit": "abc", "runners": ["old"], "base_url": URL}), "runners at old, control plane at abc"),
        (Health({"commit": "abc", "runners": [], "base_url": "https://other.example"}), "its own address is"),
        (Health({"commit": "abc", "base_url": URL}, ahead_seconds=-45.0), "45 s apart"),
    ],
)
def test_what_is_seen_from_outside_is_judged(health: Health, says: str) -> None:
    assert any(says in what for what in bads(stage.check_answer(URL, health, "abc")))


def test_a_good_answer_leaves_nothing_to_mend() -> None:
    health = Health({"commit": "abc", "runners": ["abc"], "base_url": URL}, ahead_seconds=0.4)
    assert bads(stage.check_answer(URL, health, "abc")) == []


@pytest.fixture
def account(aws: None) -> Account:
    return Account(boto3.Session(region_name=REGION))


def a_stage(account: Account, health: Health | None = None) -> stage.Stage:
    told = health or Health({}, "nobody")
    return stage.Stage(account, "unit", "abc", "4.6.0", NOW, lambda seconds: None, lambda url: told)


@pytest.mark.parametrize("address", [None, "http://line.agency.example", "https://localhost/api", "https://10.0.0.1"])
def test_an_address_that_nobody_can_open_is_not_even_tried(account: Account, address: str | None) -> None:
    if address:
        account.client("ssm").put_parameter(Name=f"/{STACK}/public-base-url", Value=address, Type="String")
    (found,) = stage.check_public_address(a_stage(account, Health({"commit": "abc"})))
    assert found.state is State.BAD
    assert "public address" in found.subject


def test_dead_letters_and_a_queue_that_nobody_empties_are_bad(account: Account) -> None:
    sqs = account.client("sqs")
    assert bads(stage.check_queues(sqs, STACK)) == ["there are no queues"]
    jobs, dead = (sqs.create_queue(QueueName=f"{STACK}-{name}")["QueueUrl"] for name in ("jobs", "jobs-dead"))
    assert bads(stage.check_queues(sqs, STACK)) == []
    sqs.send_message(QueueUrl=jobs, MessageBody="a look")
    assert bads(stage.check_queues(sqs, STACK)) == []
    sqs.send_message(QueueUrl=dead, MessageBody="a look")
    assert bads(stage.check_queues(sqs, STACK)) == [f"queue {STACK}-jobs-dead: 1 waiting"]
    for _ in range(stage.MAX_WAITING):
        sqs.send_message(QueueUrl=jobs, MessageBody="a look")
    assert len(bads(stage.check_queues(sqs, STACK))) == 2


def test_alarms_that_ring_are_told_with_their_description(account: Account) -> None:
    cloudwatch = account.client("cloudwatch")
    for name in (f"{STACK}-unanswered", f"{STACK}-dead-letters", "somebody-elses"):
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
    for name in (f"{STACK}-unanswered", "somebody-elses"):
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
    """moto's services are at once as they should be."""

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
def test_as_many_runners_run_as_should(account: Account, ecs: Ecs, state: State, says: str) -> None:
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


def test_a_stage_that_is_not_there_is_said_and_no_more(account: Account) -> None:
    found = stage.examine(a_stage(account))
    assert [result.subject for result in found if result.state is State.BAD] == [f"there is no stack {STACK} here"]


def test_every_part_of_a_stage_is_looked_at_whatever_is_broken(account: Account) -> None:
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps({"Resources": {}}))
    for service in ("lambda", "service-quotas", "ecs", "sesv2"):
        account._clients[service] = Refusing()
    told = "\n".join(str(result) for result in stage.examine(a_stage(account)))
    for part in (
        "stack",
        "public address",
        "service",
        "table",
        "queue",
        "schedules",
        "alarms",
        "token",
        "image",
        "SES",
        "Fargate",
        "Lambda",
    ):
        assert part in told, part


class Refusing:
    """A service that these credentials may not ask."""

    def __getattr__(self, name: str) -> Any:
        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, name)

        return refuse


def test_the_checkouts_wa_js_is_known() -> None:
    assert stage.wa_js_of(REPOSITORY).count(".") == 2


# -- this machine -----------------------------------------------------------------------------------------------------


def test_where_nothing_runs_the_command_is_said(tmp_path: Path) -> None:
    found = machine.examine(Machine(Settings(data=tmp_path / "none"), "abc", "4.6.0", NOW, lambda seconds: None))
    assert found[0].state is State.BAD
    assert "make up" in found[0].fix


def test_a_stack_whose_process_ended_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"pid": 2**22 + 1}))
    assert machine.running_stack(tmp_path) is None
    (tmp_path / "stack.json").write_text(json.dumps({"pid": os.getpid()}))
    assert machine.running_stack(tmp_path) == {"pid": os.getpid()}
    (tmp_path / "stack.json").write_text("{")
    assert machine.running_stack(tmp_path) is None


@pytest.mark.parametrize(
    ("free", "state"),
    [
        (ROOM_TO_HOST_BYTES, State.OK),
        (ROOM_TO_HOST_BYTES - 1, State.BAD),
        (ROOM_TO_SAVE_BYTES, State.BAD),
        (ROOM_TO_SAVE_BYTES - 1, State.BAD),
    ],
)
def test_a_disk_is_full_where_runners_find_it_full(
    tmp_path: Path, free: int, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert machine.check_disk(tmp_path / "not" / "there").state is state


def test_a_part_that_does_not_listen_is_named_unless_it_was_not_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as open_one, socket.create_server(("127.0.0.1", 0)) as closed_one:
        there, gone = open_one.getsockname()[1], closed_one.getsockname()[1]
        closed_one.close()
        assert bads(machine.check_ports({"gateway": there, "openai": gone})) == []
        assert bads(machine.check_ports({"gateway": gone})) == [f"gateway does not listen on port {gone}"]


def test_owners_address_is_tried_too(tmp_path: Path) -> None:
    def look(url: str) -> Health:
        if url == URL:
            return Health({}, "certificate expired")
        return Health({"commit": "abc", "runners": ["abc"], "base_url": URL})

    here = Machine(Settings(data=tmp_path), "abc", "4.6.0", NOW, lambda seconds: None, look)
    found = machine.check_addresses(here, "http://localhost:4700/api")
    assert bads(found) == [f"owners cannot reach {URL}: certificate expired"]


def test_mails_that_a_mail_server_does_not_take_are_told(tmp_path: Path) -> None:
    outbox = tmp_path / "ministack" / "outbox"
    outbox.mkdir(parents=True)
    record = {"identifier": "m1@x", "sent_at": NOW / 1000 - 3600, "sender": "a", "recipients": ["b"], "raw": ""}
    (outbox / "1.json").write_text(json.dumps(record))
    assert bads([machine.check_outbox(tmp_path, NOW)]) == []  # nobody takes them on
    (outbox / "relayed").mkdir()
    assert bads([machine.check_outbox(tmp_path, NOW)]) == ["1 of 1 mails wait for the mail server"]
    (outbox / "relayed" / "m1").touch()
    assert bads([machine.check_outbox(tmp_path, NOW)]) == []


def test_a_state_that_was_never_written_is_bad(tmp_path: Path) -> None:
    now = round(wall.time() * 1000)
    assert machine.check_checkpoints(tmp_path, now).state is State.BAD
    Generations(tmp_path / "ministack" / "generations").write(lambda directory: None)
    assert machine.check_checkpoints(tmp_path, now).state is State.OK
    assert machine.check_checkpoints(tmp_path, now + 3_600_000).state is State.UNKNOWN


# -- the command ------------------------------------------------------------------------------------------------------


def test_one_bad_line_makes_the_command_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.report([ok("fine"), unknown("who knows")]) == 0
    assert __main__.report([ok("fine"), bad("broken", "fix it")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "bad      broken — fix it"
