"""The life of a stage on MiniStack: deployed, deployed again, rolled back, destroyed, its data imported again.

MiniStack has neither GetAccount (SES) nor GetAccountSettings (Lambda) nor Fargate's quota, and no image is really
built: fakes replace these here. The rehearsal deploys the real package.
"""

# ruff: noqa: F811 - fixtures are imported, and requested by name

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml
from botocore.exceptions import ClientError

from infrastructure.checkout import checkout
from infrastructure.deploying import CannotDeploy, teardown
from infrastructure.deploying.aws import bootstrap_token, images, operators
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.artifacts import Artifacts
from infrastructure.deploying.aws.changes import ChangeSet
from infrastructure.deploying.aws.stack import Stack, StillChanges
from infrastructure.deploying.context import Context
from infrastructure.deploying.deployment import deploy
from infrastructure.deploying.readiness import Health
from infrastructure.deploying.rollback import rollback
from infrastructure.deploying.settings import REMEMBERED, Settings, parse
from infrastructure.local.aws import REGION, Aws
from infrastructure.local.environment import plain_environment
from infrastructure.local.preflight import MINISTACK_PYTHON
from infrastructure.local.processes import Child, wait_until_ready
from infrastructure.local.settings import Ports
from infrastructure.packaging import lambda_python, package
from infrastructure.packaging.package import Architecture, Package
from tests.unit.infrastructure.conftest import Time, programs, reported, repository, time  # noqa: F401 - fixtures
from tests.unit.infrastructure.deploying.aws.test_availability_zones import Ec2
from tests.unit.infrastructure.deploying.aws.test_images import MANIFEST
from tests.unit.infrastructure.deploying.aws.test_quotas import Lambda, Quotas
from tests.unit.infrastructure.doctor.test_stage import Refusing

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

NUMBERS = itertools.count(1)
GIVEN = {"MAIL_FROM": "line@agency.example", "OPERATORS_EMAIL": "us@agency.example"}
DECIDED = ["Stage", "Commit", "RunnerImage", "MailIdentity", "ApiLogsAreSetUp"]
DECIDED += ["ThinkAtOnce", "RunnerZoneA", "RunnerZoneB"]
RETAIN = {"DeletionPolicy": "Retain"}
KEYS = {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]}
KEYS["KeySchema"] = [{"AttributeName": "pk", "KeyType": "HASH"}]


def body(**more: Any) -> dict[str, Any]:
    """A small stage: data stores, the address, a schedule."""
    name = {"Fn::Sub": "${AWS::StackName}"}
    declared = {parameter: {"Type": "String", "Default": ""} for parameter in REMEMBERED.values()}
    declared |= {name: {"Type": "String", "Default": ""} for name in DECIDED}
    resources: dict[str, Any] = {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            **RETAIN,
            "Properties": {"TableName": name, "BillingMode": "PAY_PER_REQUEST", **KEYS},
        },
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            **RETAIN,
            "Properties": {
                "BucketName": {"Fn::Sub": "${AWS::StackName}-data"},
                "VersioningConfiguration": {"Status": "Enabled"},
            },
        },
        "Key": {"Type": "AWS::KMS::Key", **RETAIN, "Properties": {"KeyPolicy": {}, "Description": "tenants"}},
        "UserPool": {
            "Type": "AWS::Cognito::UserPool",
            **RETAIN,
            "Properties": {"UserPoolName": name, "Policies": {"PasswordPolicy": {"RequireSymbols": False}}},
        },
        "Every": {"Type": "AWS::Events::Rule", "Properties": {"Name": name, "ScheduleExpression": "rate(1 minute)"}},
        "Told": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Name": {"Fn::Sub": "/${AWS::StackName}/told"},
                "Type": "String",
                "Value": {"Fn::Sub": "${Commit} ${RunnerImage} ${RunnersAtLeast} ${RunnerCapacity}"},
            },
        },
        "Address": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Name": {"Fn::Sub": "/${AWS::StackName}/public-base-url"},
                "Type": "String",
                "Value": "https://line.agency.example/api",
            },
        },
    }
    return {"Parameters": declared, "Resources": {**resources, **more}}


class World:
    """A context to deploy from, and the operator at its terminal; each has a stage of its own."""

    def __init__(self, account: Account, repository: Path, reported: list[str], time: Time) -> None:
        self.stage = f"unit{next(NUMBERS)}"
        self.account = account
        self.repository = repository
        self.reported = reported
        self.time = time
        self.body = body()
        self.answers: list[str] = []
        self.seen = ""
        self.hours = 0

    @property
    def context(self) -> Context:
        return Context(
            self.account,
            self.repository,
            report=self.reported.append,
            ask=self._ask,
            clock=self.time,
            pause=self.time.pause,
            now=self._now,
            check_health=lambda url: Health({"commit": self.seen, "base_url": url}),
            runner_commits=lambda dynamodb, stack, pause: [self.seen],
        )

    @property
    def name(self) -> str:
        return f"answerline-{self.stage}"

    @property
    def stack(self) -> Stack:
        return self.context.stack(self.name)

    @property
    def commit(self) -> str:
        return checkout(self.repository).commit

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.account, self.name)

    def settings(self, **reported: str) -> Settings:
        return parse({"STAGE": self.stage, **reported})

    def deploy(self, **more: str) -> None:
        self.seen = self.commit
        deploy(self.context, self.settings(**{**GIVEN, "YES": "1", **more}))

    def change_the_checkout(self, text: str) -> str:
        (self.repository / "file").write_text(text)
        return self.commit

    def named(self, found: list[dict[str, Any]], by: str) -> list[str]:
        """Filters the names that belong to this stage."""
        return [each[by] for each in found if each[by] == self.name or each[by].startswith(f"{self.name}-")]

    def parameters(self) -> dict[str, str]:
        return self.stack.parameters()

    def sign_in(self) -> None:
        """Signs the first operator in, with a password of their own."""
        pool = self.stack.resources()["UserPool"][1]
        self.account.client("cognito-idp").admin_set_user_password(
            UserPoolId=pool, Username="us@agency.example", Password="Their-own-1-word", Permanent=True
        )

    def build(self, out: Path, *, architecture: Architecture = "arm64") -> Package:
        """Builds a package as `infrastructure.packaging.package` does, without Chalice."""
        out.mkdir(parents=True, exist_ok=True)
        (out / "template.yaml").write_text(yaml.safe_dump(self.body))
        (out / "deployment.zip").write_bytes(b"zip")
        return Package(out / "template.yaml", out / "deployment.zip", 3, "", "python3.13", architecture, 6)

    def _ask(self, _question: str) -> str:
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def _now(self) -> int:
        self.hours += 1
        return self.hours * 3_600_000


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """MiniStack with all its services, as it comes: the one-machine stack's has seven."""
    data, port = tmp_path_factory.mktemp("ministack"), Ports.free().ministack
    endpoint = f"http://127.0.0.1:{port}"
    own = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_REGION": REGION, "LOG_LEVEL": "WARNING"}
    command = [str(MINISTACK_PYTHON), "-m", "ministack"]
    child = Child("ministack", command, {**plain_environment(), **own}, data / "ministack.log")
    try:
        wait_until_ready(child, lambda: _answers(f"{endpoint}/_ministack/health"), 60)
        yield Aws(endpoint, endpoint, "test", "test")
    finally:
        child.kill_tree()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def account(aws: Aws) -> Account:
    session = boto3.Session(region_name=REGION, aws_access_key_id=aws.key_id, aws_secret_access_key=aws.secret)
    return Account(session, aws.endpoint)


@pytest.fixture
def world(
    account: Account,
    repository: Path,
    reported: list[str],
    time: Time,
    programs: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    world = World(account, repository, reported, time)
    programs("podman", "exit 0")
    (repository / ".gitignore").write_text("build\n")
    python = programs("python3.13", "echo 3 13")
    monkeypatch.setattr(lambda_python, "candidates", lambda: iter([python]))
    monkeypatch.setattr(package, "build", world.build)
    account._clients.update({"lambda": Lambda(1000), "service-quotas": Quotas(64)})
    quota = {"ProductionAccessEnabled": True, "SendQuota": {"Max24HourSend": 50_000.0}}
    monkeypatch.setattr(account.client("sesv2"), "get_account", lambda: quota)
    with suppress(account.client("sesv2").exceptions.AlreadyExistsException):
        account.client("sesv2").create_email_identity(EmailIdentity="agency.example")
    really = images._run

    def run(command: list[str], seconds: float, **more: Any) -> None:
        really(command, seconds, **more)
        if command[1] == "push":
            tag = command[-1].rpartition(":")[2]
            account.client("ecr").put_image(
                repositoryName=f"{world.name}-runner",
                imageManifest=json.dumps({**json.loads(MANIFEST), "of": tag}),
                imageTag=tag,
            )

    monkeypatch.setattr(images, "_run", run)
    return world


def test_one_command_creates_a_stage_and_prints_its_addresses(world: World) -> None:
    world.deploy()
    output = "\n".join(world.reported)
    assert "https://line.agency.example/api/admin" in output
    assert f"commit {world.commit}, runners at {world.commit}" in output
    assert "Cognito has mailed the first password" in output
    parameters = world.parameters()
    assert parameters["Commit"] == world.commit
    assert parameters["MailFrom"] == "line@agency.example"
    assert parameters["MailIdentity"] == ""  # SES knows the domain already
    assert "-runner@sha256:" in parameters["RunnerImage"]
    assert bootstrap_token.exists(world.account.client("ssm"), world.name)
    release = world.artifacts.release(world.commit)
    assert release is not None
    assert release.image == parameters["RunnerImage"]
    digest = release.image.partition("@")[2]
    tag = f"released-{digest.removeprefix('sha256:')}"
    assert images.digest_of(world.account.client("ecr"), world.name, tag) == digest


def test_later_deployments_remember_the_settings(world: World) -> None:
    world.deploy(RUNNER_CAPACITY="5")
    world.change_the_checkout("two\n")
    world.seen = world.commit
    deploy(world.context, world.settings(YES="1", RUNNERS_AT_LEAST="2"))
    parameters = world.parameters()
    assert (parameters["MailFrom"], parameters["RunnerCapacity"]) == ("line@agency.example", "5")
    assert (parameters["RunnersAtLeast"], parameters["Commit"]) == ("2", world.commit)


def test_an_unchanged_checkout_changes_nothing(world: World) -> None:
    world.deploy()
    world.reported.clear()
    world.deploy()
    assert any("nothing changes" in line for line in world.reported)
    assert any("is there already" in line for line in world.reported)


def test_all_missing_prerequisites_are_reported_together_and_nothing_is_created(
    world: World, programs: Callable[[str, str], Path]
) -> None:
    programs("podman", "exit 1")
    world.account._clients.update({"lambda": Lambda(3), "service-quotas": Quotas(1)})
    with pytest.raises(CannotDeploy, match="Nothing was built or changed"):
        world.stage = "prod"
        deploy(world.context, world.settings(DOMAIN="line.agency.example"))
    bad = [line for line in world.reported if line.startswith("bad")]
    for missing in ("+", "container builder", "MAIL_FROM", "OPERATORS_EMAIL", "vCPU", "Lambda", "Route 53"):
        assert any(missing in line for line in bad), missing
    assert not world.named(world.account.client("s3").list_buckets()["Buckets"], "Name")
    assert not world.named(world.account.client("ecr").describe_repositories()["repositories"], "repositoryName")


def test_nothing_changes_without_a_yes(world: World) -> None:
    for answer in ([], [""], ["n"]):
        world.answers = list(answer)
        with pytest.raises(CannotDeploy, match="Nothing was changed"):
            world.deploy(YES="")
        assert not world.stack.exists()


def test_a_no_after_the_stores_reports_them_and_how_to_go_on(world: World) -> None:
    for answers in (["y", "n"], ["n"]):
        world.answers = answers
        with pytest.raises(CannotDeploy) as refusal:
            world.deploy(YES="")
        output = str(refusal.value)
        assert "Nothing was changed" not in output
        for words in ("Bucket, Key, Table, UserPool", f"make deploy STAGE={world.stage}", "make destroy"):
            assert words in output
        assert set(world.stack.resources()) == {"Table", "Bucket", "Key", "UserPool"}
    world.answers = ["y"]
    world.deploy(YES="")
    assert "Every" in world.stack.resources()
    world.change_the_checkout("two\n")
    with pytest.raises(CannotDeploy, match="Nothing was changed"):
        world.deploy(YES="")


def test_each_deployment_decides_anew_but_runners_stay_in_their_zones(world: World) -> None:
    world.body = body(
        Network={"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.71.0.0/24"}},
        SubnetA={
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "VpcId": {"Ref": "Network"},
                "CidrBlock": "10.71.0.0/25",
                "AvailabilityZone": {"Ref": "RunnerZoneA"},
            },
        },
    )
    world.account._clients["lambda"] = Lambda(10)
    world.deploy()
    first = world.parameters()
    assert (first["RunnerZoneA"], first["RunnerZoneB"]) == (f"{REGION}a", f"{REGION}b")
    assert first["ThinkAtOnce"] == "5"
    subnet = world.stack.resources()["SubnetA"]
    world.account._clients.update({"lambda": Lambda(1000), "ec2": Ec2(elsewhere="az9")})
    world.change_the_checkout("two\n")
    world.deploy()
    second = world.parameters()
    assert (second["RunnerZoneA"], second["RunnerZoneB"]) == (first["RunnerZoneA"], first["RunnerZoneB"])
    assert second["ThinkAtOnce"] == "50"
    assert world.stack.resources()["SubnetA"] == subnet


@pytest.mark.parametrize("service", ["lambda", "ec2"])
def test_missing_permissions_for_decisions_are_reported_before_anything_is_built(world: World, service: str) -> None:
    world.account._clients[service] = Refusing()
    with pytest.raises(ClientError, match="AccessDenied"):
        world.deploy()
    assert not any("packag" in line or "building" in line for line in world.reported)
    assert not world.artifacts.exists()


def test_an_identity_that_came_to_ses_without_the_stack_is_not_created_again(world: World) -> None:
    domain = f"{world.stage}.example"
    world.body = body(
        MailSender={
            "Type": "AWS::SES::EmailIdentity",
            "Condition": "HasMailIdentity",
            **RETAIN,
            "Properties": {"EmailIdentity": {"Ref": "MailIdentity"}},
        }
    )
    world.body["Conditions"] = {"HasMailIdentity": {"Fn::Not": [{"Fn::Equals": [{"Ref": "MailIdentity"}, ""]}]}}
    world.answers = ["y", "n"]
    with pytest.raises(CannotDeploy):
        world.deploy(YES="", MAIL_FROM=f"line@{domain}")
    assert world.parameters()["MailIdentity"] == domain  # remembered, and not made
    world.account.client("sesv2").create_email_identity(EmailIdentity=domain)
    world.deploy(MAIL_FROM="")
    assert world.parameters()["MailIdentity"] == ""
    assert "MailSender" not in world.stack.resources()


def test_an_identity_that_the_stack_created_stays_its_own_until_the_stage_is_destroyed(world: World) -> None:
    domain = f"{world.stage}.example"
    sender = {"Type": "AWS::SES::EmailIdentity", **RETAIN, "Condition": "HasMailIdentity"}
    world.body = body(MailSender={**sender, "Properties": {"EmailIdentity": {"Ref": "MailIdentity"}}})
    world.body["Conditions"] = {"HasMailIdentity": {"Fn::Not": [{"Fn::Equals": [{"Ref": "MailIdentity"}, ""]}]}}
    world.deploy(MAIL_FROM=f"line@{domain}")
    world.change_the_checkout("two\n")
    world.deploy(MAIL_FROM="")
    assert world.stack.resources()["MailSender"][1] == domain
    world.answers = [world.stage]
    teardown.destroy(world.context, Settings(world.stage))
    world.deploy(MAIL_FROM=f"line@{domain}")
    assert world.parameters()["MailIdentity"] == ""
    assert "MailSender" not in world.stack.resources()


def test_a_loss_of_data_is_refused_even_with_yes(world: World) -> None:
    world.deploy()
    del world.body["Resources"]["Table"]
    world.change_the_checkout("two\n")
    with pytest.raises(CannotDeploy, match="Table holds data"):
        world.deploy()
    assert world.name in world.account.client("dynamodb").list_tables()["TableNames"]
    assert world.parameters()["Commit"] != world.commit


def test_a_package_for_another_python_is_not_deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        package, "build", lambda *_, **__: replace(world.build(Path(world.repository)), runtime="python3.11")
    )
    with pytest.raises(CannotDeploy, match=r"python3\.11"):
        world.deploy()


def test_a_stage_without_a_public_address_is_an_error(world: World) -> None:
    for address in ("http://line.agency.example", "https://localhost/api", "https://10.1.2.3"):
        world.body["Resources"]["Address"]["Properties"]["Value"] = address
        with pytest.raises(CannotDeploy, match="public address"):
            world.deploy()
    assert not operators.any_operator(world.account.client("cognito-idp"), world.stack.resources()["UserPool"][1])


def test_a_version_that_does_not_answer_is_an_error_that_names_the_doctor(world: World) -> None:
    with pytest.raises(CannotDeploy, match=r"make doctor STAGE=unit\d+"):
        deploy(world.context, world.settings(**GIVEN, YES="1"))
    assert any("admin" in line for line in world.reported)


def test_the_first_password_is_printed_only_on_request(world: World) -> None:
    world.deploy(PRINT_PASSWORD="1")
    assert any("first password " in line for line in world.reported)
    world.sign_in()
    world.reported.clear()
    world.deploy(PRINT_PASSWORD="1")
    assert not [line for line in world.reported if "first password" in line]


def test_a_failed_first_deployment_rolls_back_to_empty_stores_and_the_next_one_goes_on(world: World) -> None:
    properties = {"UserPoolId": "eu-west-1_nowhere", "ClientName": "people"}
    world.body["Resources"]["Broken"] = {"Type": "AWS::Cognito::UserPoolClient", "Properties": properties}
    with pytest.raises(CannotDeploy, match="The former version runs on"):
        world.deploy()
    made = world.stack.resources()
    assert set(made) == {"Table", "Bucket", "Key", "UserPool"}
    del world.body["Resources"]["Broken"]
    world.deploy()
    assert {name: world.stack.resources()[name] for name in made} == made
    assert "Every" in world.stack.resources()


# -- rollback ---------------------------------------------------------------------------------------------------------


def test_an_earlier_release_runs_again_with_todays_settings(world: World) -> None:
    world.deploy(RUNNER_CAPACITY="5")
    first, image = world.commit, world.parameters()["RunnerImage"]
    world.body["Resources"]["Extra"] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "extra"}}
    world.change_the_checkout("two\n")
    world.deploy(RUNNER_CAPACITY="9")
    assert world.parameters()["RunnerImage"] != image
    world.seen = first
    rollback(world.context, world.settings(YES="1", TO=first))
    parameters = world.parameters()
    assert (parameters["Commit"], parameters["RunnerImage"]) == (first, image)
    assert parameters["RunnerCapacity"] == "9"
    assert "Extra" not in world.stack.resources()


def test_a_release_that_outlasts_the_time_limit_can_be_rolled_back_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy()
    second = world.change_the_checkout("two\n")

    def outlasts(*_: Any) -> None:
        raise StillChanges("still changes")

    monkeypatch.setattr(Stack, "apply", outlasts)
    with pytest.raises(StillChanges):
        world.deploy()
    assert world.artifacts.release(second) is not None


@pytest.mark.parametrize("next_command", ["deploy", "rollback"])
def test_an_image_whose_deployment_was_interrupted_is_marked_by_the_next_command(
    world: World, monkeypatch: pytest.MonkeyPatch, next_command: str
) -> None:
    really = Stack.apply

    def interrupted(stack: Stack, change_set: ChangeSet) -> None:
        really(stack, change_set)  # CloudFormation goes on by itself
        if "Every" in stack.resources():
            raise KeyboardInterrupt

    with monkeypatch.context() as here, pytest.raises(KeyboardInterrupt):
        here.setattr(Stack, "apply", interrupted)
        world.deploy()
    ecr, digest = world.account.client("ecr"), world.parameters()["RunnerImage"].partition("@")[2]
    assert not images.is_released(ecr, world.name, digest)
    if next_command == "deploy":
        world.change_the_checkout("two\n")
        with pytest.raises(CannotDeploy, match="Nothing was changed"):
            world.deploy(YES="")
    else:
        rollback(world.context, world.settings())
    assert images.is_released(ecr, world.name, digest)


def test_without_a_commit_the_releases_are_listed(world: World) -> None:
    world.deploy()
    first = world.commit
    second = world.change_the_checkout("two\n")
    world.deploy()
    world.reported.clear()
    rollback(world.context, world.settings())
    assert [line.split()[0] for line in world.reported[:2]] == [second, first]
    assert "runs now" in world.reported[0]
    assert "runs now" not in world.reported[1]


def test_a_release_is_named_by_the_beginning_of_its_commit_but_never_by_a_guess(world: World) -> None:
    world.deploy()
    world.change_the_checkout("two\n")
    world.deploy()
    settings = Settings(world.stage, yes=True)
    with pytest.raises(CannotDeploy, match="2 releases begin"):
        rollback(world.context, replace(settings, to=world.commit[:6]))
    with pytest.raises(CannotDeploy, match="no release"):
        rollback(world.context, replace(settings, to="fffff"))
    rollback(world.context, replace(settings, to=world.commit[:-2]))


def test_a_release_without_its_image_is_refused_before_anything_changes(world: World) -> None:
    world.deploy()
    first = world.commit
    world.change_the_checkout("two\n")
    world.deploy()
    ecr = world.account.client("ecr")
    release = world.artifacts.release(first)
    assert release is not None
    ecr.batch_delete_image(
        repositoryName=f"{world.name}-runner", imageIds=[{"imageDigest": release.image.partition("@")[2]}]
    )
    with pytest.raises(CannotDeploy, match="check that commit out"):
        rollback(world.context, Settings(world.stage, yes=True, to=first))
    assert world.parameters()["Commit"] == world.commit


def test_a_stage_that_never_existed_cannot_be_rolled_back(world: World) -> None:
    with pytest.raises(CannotDeploy, match="Nothing was ever deployed"):
        rollback(world.context, Settings(world.stage, to="abc"))


# -- teardown ---------------------------------------------------------------------------------------------------------


def test_a_destroyed_stage_keeps_its_data_and_prints_the_costs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.deploy()
    resources = world.stack.resources()
    world.reported.clear()
    world.answers = [world.stage]
    teardown.destroy(world.context, Settings(world.stage, yes=True))
    assert not world.stack.exists()
    assert world.artifacts.kept() == {
        "Table": {"TableName": world.name},
        "Bucket": {"BucketName": f"{world.name}-data"},
        "Key": {"KeyId": resources["Key"][1]},
        "UserPool": {"UserPoolId": resources["UserPool"][1]},
    }
    output = "\n".join(world.reported)
    for kept in (
        world.name,
        f"{world.name}-data",
        resources["Key"][1],
        f"{world.name}-runner",
        world.artifacts.bucket,
        "$",
    ):
        assert kept in output


def test_a_stage_is_deleted_by_its_typed_name_and_its_data_by_a_second_sentence(world: World) -> None:
    world.deploy()
    stage = world.stage
    for answers in ([], ["prod"], [""]):
        world.answers = answers
        with pytest.raises(CannotDeploy, match="Nothing was removed"):
            teardown.destroy(world.context, Settings(stage, yes=True))
    for answers in ([stage], [stage, stage], [stage, "yes"]):
        world.answers = answers
        with pytest.raises(CannotDeploy, match="Nothing was removed"):
            teardown.destroy(world.context, Settings(stage, yes=True, delete_data=True))
    assert world.stack.exists()
    assert world.artifacts.kept() == {}


def test_data_is_deleted_after_two_confirmations_and_the_key_after_thirty_days(world: World) -> None:
    world.deploy()
    key = world.stack.resources()["Key"][1]
    account = world.account
    for number in range(3):  # several versions of one object
        account.client("s3").put_object(Bucket=f"{world.name}-data", Key="profile", Body=str(number).encode())
    account.client("s3").delete_object(Bucket=f"{world.name}-data", Key="profile")
    account.client("dynamodb").update_table(TableName=world.name, DeletionProtectionEnabled=True)
    world.answers = [world.stage, f"delete {world.stage}"]
    teardown.destroy(world.context, Settings(world.stage, delete_data=True))
    assert not world.named(account.client("s3").list_buckets()["Buckets"], "Name")
    assert world.name not in account.client("dynamodb").list_tables()["TableNames"]
    assert not world.named(account.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"], "Name")
    assert not world.named(account.client("ecr").describe_repositories()["repositories"], "repositoryName")
    assert not bootstrap_token.exists(account.client("ssm"), world.name)
    assert account.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_data_that_an_interrupted_destruction_listed_is_deleted_too(world: World) -> None:
    world.deploy()
    dynamodb = world.account.client("dynamodb")
    dynamodb.create_table(TableName=f"{world.name}-let-go", BillingMode="PAY_PER_REQUEST", **KEYS)
    world.artifacts.save_kept({"LetGo": {"TableName": f"{world.name}-let-go"}})
    world.answers = [world.stage, f"delete {world.stage}"]
    teardown.destroy(world.context, Settings(world.stage, delete_data=True))
    assert not {world.name, f"{world.name}-let-go"} & set(dynamodb.list_tables()["TableNames"])


def test_kept_data_can_be_deleted_later(world: World) -> None:
    world.deploy()
    world.answers = [world.stage]
    teardown.destroy(world.context, Settings(world.stage))
    world.answers = [f"delete {world.stage}"]
    teardown.destroy(world.context, Settings(world.stage, delete_data=True))
    assert world.name not in world.account.client("dynamodb").list_tables()["TableNames"]
    with pytest.raises(CannotDeploy, match="no stage"):
        teardown.destroy(world.context, Settings(world.stage, delete_data=True))


def test_kept_data_is_imported_when_the_stage_is_deployed_again(world: World) -> None:
    world.deploy()
    world.sign_in()
    before = world.stack.resources()
    dynamodb = world.account.client("dynamodb")
    dynamodb.put_item(TableName=world.name, Item={"pk": {"S": "TENANT#bakery"}})
    world.answers = [world.stage]
    teardown.destroy(world.context, Settings(world.stage))
    world.reported.clear()
    world.deploy()
    after = world.stack.resources()
    data = ("Table", "Bucket", "Key", "UserPool")
    assert {name: after[name] for name in data} == {name: before[name] for name in data}
    assert set(after) == set(before)
    assert dynamodb.get_item(TableName=world.name, Key={"pk": {"S": "TENANT#bakery"}})["Item"]
    assert any("imported" in line for line in world.reported)
    assert not any("first operator" in line for line in world.reported)  # they are still there
    assert world.artifacts.kept() == {}
