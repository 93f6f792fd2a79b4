"""The small outside things: SES, quotas, Route 53, the token, the first operator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infrastructure.checks import CheckResult, State, any_bad, bad, ok, run_check
from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import (
    api_logs,
    availability_zones,
    bootstrap_token,
    hosted_zones,
    operators,
    quotas,
    sender,
    service_role,
)
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.sender import Sender
from infrastructure.deploying.context import Context
from infrastructure.deploying.settings import Settings
from infrastructure.deploying.token_rotation import rotate_token
from tests.unit.infrastructure.conftest import STACK

# -- the sender -------------------------------------------------------------------------------------------------------


def test_a_verified_domain_speaks_for_its_addresses(account: Account) -> None:
    ses = account.client("sesv2")
    ses.create_email_identity(EmailIdentity="agency.example")
    found = sender.find(ses, "Your agency <line@agency.example>")
    assert (found.address, found.identity) == ("line@agency.example", "agency.example")
    assert found.identity_to_create("") == ""  # somebody else's identity is not made again


def test_the_stack_makes_the_domain_that_nobody_verified_and_keeps_the_one_it_made(account: Account) -> None:
    ses = account.client("sesv2")
    found = sender.find(ses, "line@agency.example")
    assert (found.identity, found.identity_to_create("")) == (None, "agency.example")
    ses.create_email_identity(EmailIdentity="agency.example")  # as the stack does
    found = sender.find(ses, "line@agency.example")
    assert found.identity_to_create("") == ""
    assert found.identity_to_create("agency.example") == "agency.example"
    assert found.identity_to_create("other.example") == ""


@pytest.mark.parametrize(
    ("found", "deployed", "state", "says"),
    [
        (Sender("a@b.example", "b.example", True), False, State.OK, "may send as a@b.example"),
        (Sender("a@b.example", None), False, State.UNKNOWN, "this stack creates b.example"),
        (Sender("a@b.example", None), True, State.BAD, "deploy again"),
        (Sender("a@b.example", "b.example", False, ("t1",)), False, State.BAD, "t1._domainkey.b.example  CNAME"),
        (Sender("a@b.example", "a@b.example"), False, State.BAD, "click its link"),
    ],
)
def test_how_a_sender_stands_is_said_with_the_mend(found: Sender, deployed: bool, state: State, says: str) -> None:
    result = sender.check_identity(found, deployed=deployed)
    assert result.state is state
    assert says in str(result)


def test_an_unverified_domain_does_not_stop_a_deployment_because_its_records_may_come_later() -> None:
    assert not sender.check_identity(Sender("a@b.example", "b.example")).blocks


class Ses:
    """moto has no GetAccount."""

    def __init__(self, **account: Any) -> None:
        self._account = account

    def get_account(self) -> dict[str, Any]:
        return self._account


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ({"ProductionAccessEnabled": False, "SendQuota": {"Max24HourSend": 50_000}}, "sandbox"),
        ({"ProductionAccessEnabled": True, "SendQuota": {"Max24HourSend": 100.0}}, "0 of 100 mails"),
        ({"ProductionAccessEnabled": True, "SendQuota": {"Max24HourSend": 1000, "SentLast24Hours": 900}}, "900 of"),
        ({"ProductionAccessEnabled": True, "SendingEnabled": False}, "paused"),
    ],
)
def test_what_keeps_mails_from_strangers_is_bad_but_stops_no_deployment(account: dict[str, Any], says: str) -> None:
    found = [result for result in sender.check_account(Ses(**account)) if result.state is State.BAD]
    assert [says in result.subject for result in found] == [True]
    assert not found[0].blocks


def test_a_productive_account_has_nothing_to_mend() -> None:
    quota = {"Max24HourSend": 50_000.0, "SentLast24Hours": 10.0}
    assert not any_bad(sender.check_account(Ses(ProductionAccessEnabled=True, SendQuota=quota)))


# -- quotas -----------------------------------------------------------------------------------------------------------


class Quotas:
    """moto knows only quotas of VPCs."""

    def __init__(self, value: float | None) -> None:
        self._value = value
        self.asked: list[dict[str, str]] = []

    def get_service_quota(self, **request: str) -> dict[str, Any]:
        self.asked.append(request)
        if self._value is None:
            raise ClientError({"Error": {"Code": "NoSuchResourceException"}}, "GetServiceQuota")
        return {"Quota": {"Value": self._value}}


@pytest.mark.parametrize(
    ("value", "runners", "state"),
    [(6.0, 1, State.OK), (6.0, 2, State.BAD), (8.0, 2, State.OK), (3.0, 1, State.BAD), (None, 1, State.UNKNOWN)],
)
def test_fargate_must_hold_twice_the_runners_while_they_are_replaced(
    value: float | None, runners: int, state: State
) -> None:
    assert quotas.check_fargate(Quotas(value), runners=runners, cpu_units=2048, spot=False).state is state


def test_spot_has_a_quota_of_its_own() -> None:
    asked = Quotas(100)
    quotas.check_fargate(asked, runners=1, cpu_units=2048, spot=True)
    assert asked.asked == [{"ServiceCode": "fargate", "QuotaCode": quotas.FARGATE_SPOT}]


class Lambda:
    """moto has no GetAccountSettings."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": self._allowed}}


@pytest.mark.parametrize(("allowed", "at_once"), [(10, 5), (3, 2), (99, 49), (100, 50), (1000, 50)])
def test_at_most_half_of_the_functions_think_so_that_doors_answer(allowed: int, at_once: int) -> None:
    assert quotas.think_at_once(Lambda(allowed)) == at_once


@pytest.mark.parametrize(("allowed", "runners", "state"), [(10, 1, State.OK), (10, 3, State.BAD), (1000, 90, State.OK)])
def test_each_runner_may_hold_a_call(allowed: int, runners: int, state: State) -> None:
    assert quotas.check_lambda(Lambda(allowed), runners=runners).state is state


# -- zones ------------------------------------------------------------------------------------------------------------


class Ec2:
    """moto knows no zone without Fargate."""

    def __init__(self, **zones: str) -> None:
        self._zones = zones

    def describe_availability_zones(self, **_: Any) -> dict[str, Any]:
        return {"AvailabilityZones": [{"ZoneName": name, "ZoneId": own} for name, own in self._zones.items()]}


def test_runners_live_in_two_zones_that_the_account_has(account: Account) -> None:
    assert availability_zones.choose(account.client("ec2"), account.region) == ("eu-west-1a", "eu-west-1b")


def test_a_zone_without_fargate_is_left_out() -> None:
    assert availability_zones.choose(
        Ec2(b="apne1-az3", d="apne1-az1", c="apne1-az2", a="apne1-az4"), "ap-northeast-1"
    ) == ("a", "c")
    assert availability_zones.choose(Ec2(b="usw1-az3", a="usw1-az2", c="usw1-az1"), "us-west-1") == ("b", "c")


def test_one_zone_is_enough_and_none_is_refused() -> None:
    assert availability_zones.choose(Ec2(a="usw1-az2", c="usw1-az1"), "us-west-1") == ("c", "c")
    with pytest.raises(CannotDeploy, match="choose another AWS_REGION"):
        availability_zones.choose(Ec2(a="usw1-az2"), "us-west-1")


def test_only_available_zones_of_the_region_itself_are_asked_for(account: Account) -> None:
    asked: list[Any] = []
    ec2 = account.client("ec2")
    ec2.meta.events.register(
        "provide-client-params.ec2.DescribeAvailabilityZones", lambda params, **_: asked.extend(params["Filters"])
    )
    availability_zones.choose(ec2, account.region)
    assert {each["Name"]: each["Values"] for each in asked} == {
        "zone-type": ["availability-zone"],
        "state": ["available"],
    }


# -- Route 53 ---------------------------------------------------------------------------------------------------------


def test_a_domain_lies_in_the_closest_public_zone(account: Account) -> None:
    route53 = account.client("route53")
    assert hosted_zones.find(route53, "line.agency.example") == ""
    route53.create_hosted_zone(Name="example", CallerReference="0")
    outer = route53.create_hosted_zone(Name="agency.example", CallerReference="1")["HostedZone"]["Id"]
    assert outer.endswith(hosted_zones.find(route53, "line.agency.example"))
    assert hosted_zones.find(route53, "line.agencyx.example") == ""
    inner = route53.create_hosted_zone(Name="line.agency.example", CallerReference="2")["HostedZone"]["Id"]
    assert inner.endswith(hosted_zones.find(route53, "line.agency.example"))


def test_a_private_zone_is_no_use(account: Account) -> None:
    vpc = {"VPCRegion": account.region, "VPCId": "vpc-1"}
    account.client("route53").create_hosted_zone(
        Name="agency.example", CallerReference="1", VPC=vpc, HostedZoneConfig={"PrivateZone": True}
    )
    assert hosted_zones.find(account.client("route53"), "line.agency.example") == ""


# -- the token and the first operator ---------------------------------------------------------------------------------


def test_the_bootstrap_token_is_made_once_and_secret(account: Account) -> None:
    ssm = account.client("ssm")
    assert not bootstrap_token.exists(ssm, STACK)
    assert bootstrap_token.ensure(ssm, STACK)
    value = ssm.get_parameter(Name=bootstrap_token.name(STACK), WithDecryption=True)["Parameter"]
    assert value["Type"] == "SecureString"
    assert len(value["Value"]) >= 43
    assert not bootstrap_token.ensure(ssm, STACK)
    assert (
        ssm.get_parameter(Name=bootstrap_token.name(STACK), WithDecryption=True)["Parameter"]["Value"] == value["Value"]
    )
    assert bootstrap_token.exists(ssm, STACK)
    bootstrap_token.delete(ssm, STACK)
    assert not bootstrap_token.exists(ssm, STACK)


def test_the_bootstrap_token_is_made_anew_without_being_shown(
    account: Account, reported: list[str], tmp_path: Path
) -> None:
    ssm = account.client("ssm")
    context = Context(account, tmp_path, report=reported.append)
    with pytest.raises(CannotDeploy, match="no stage unit"):
        rotate_token(context, Settings("unit"))
    assert not bootstrap_token.exists(ssm, STACK)
    bootstrap_token.ensure(ssm, STACK)
    values = []
    for _ in range(2):
        rotate_token(context, Settings("unit"))
        parameter = ssm.get_parameter(Name=bootstrap_token.name(STACK), WithDecryption=True)["Parameter"]
        assert parameter["Type"] == "SecureString" and len(parameter["Value"]) >= 43
        values.append(parameter["Value"])
    assert parameter["Version"] == 3 and values[0] != values[1]
    (tag,) = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=bootstrap_token.name(STACK))["TagList"]
    assert tag == {"Key": "answerline:stack", "Value": STACK}
    assert len(reported) == 2 and reported[0].startswith("unit has a new bootstrap token")
    assert not any(value in line for value in values for line in reported)


@pytest.mark.parametrize("mailed", [True, False])
def test_the_first_operator_is_invited_until_somebody_has_signed_in(account: Account, mailed: bool) -> None:
    cognito = account.client("cognito-idp")
    policies = {"PasswordPolicy": {"MinimumLength": 12, "RequireSymbols": False}}
    made = cognito.create_user_pool(PoolName="operators", UsernameAttributes=["email"], Policies=policies)
    pool = made["UserPool"]["Id"]
    first = operators.invite_first(cognito, pool, "us@agency.example", mailed=mailed)
    assert first is not None
    assert (first.password is None) is mailed
    (user,) = cognito.list_users(UserPoolId=pool)["Users"]
    assert {"Name": "email", "Value": "us@agency.example"} in user["Attributes"]
    assert user["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    again = operators.invite_first(cognito, pool, "us@agency.example", mailed=mailed)
    assert again is not None
    assert (again.password is None) is mailed
    assert mailed or again.password != first.password
    users = cognito.list_users(UserPoolId=pool)["Users"]  # moto makes another one of RESEND
    assert {user["UserStatus"] for user in users} == {"FORCE_CHANGE_PASSWORD"}
    assert operators.invite_first(cognito, pool, "corrected@agency.example", mailed=mailed) is not None
    cognito.admin_set_user_password(
        UserPoolId=pool, Username="corrected@agency.example", Password="Their-own-1-word", Permanent=True
    )
    assert operators.invite_first(cognito, pool, "us@agency.example", mailed=mailed) is None


def test_an_invitation_that_ran_out_is_mailed_again(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    cognito = account.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="operators", UsernameAttributes=["email"])["UserPool"]["Id"]
    operators.invite_first(cognito, pool, "us@agency.example", mailed=True)
    asked: list[Any] = []
    cognito.meta.events.register(
        "provide-client-params.cognito-identity-provider.AdminCreateUser",
        lambda params, **_: asked.append(params["MessageAction"]),
    )
    operators.invite_first(cognito, pool, "us@agency.example", mailed=True)
    assert asked == ["RESEND"]


# -- what an account has one of --------------------------------------------------------------------------------------


class ApiGateway:
    """moto has no writable account."""

    def __init__(self, **account: str) -> None:
        self._account = account

    def get_account(self) -> dict[str, str]:
        return self._account


@pytest.mark.parametrize(
    ("account", "resources", "elsewhere"),
    [
        ({}, {}, False),
        ({"cloudwatchRoleArn": "arn:aws:iam::1:role/theirs"}, {}, True),
        ({"cloudwatchRoleArn": "arn:aws:iam::1:role/ours"}, {"A": ("AWS::ApiGateway::Account", "id")}, False),
    ],
)
def test_a_setting_of_the_whole_account_is_made_only_where_nobody_made_it(
    account: dict[str, str], resources: dict[str, tuple[str, str]], elsewhere: bool
) -> None:
    assert api_logs.configured_elsewhere(ApiGateway(**account), resources) is elsewhere


class Iam:
    """moto says otherwise than AWS that the role is there."""

    def __init__(self, message: str) -> None:
        self._message = message

    def create_service_linked_role(self, **_: str) -> None:
        raise ClientError({"Error": {"Code": "InvalidInput", "Message": self._message}}, "CreateServiceLinkedRole")


def test_ecs_has_its_role_before_a_service_needs_it_and_keeps_one_that_is_there(account: Account) -> None:
    iam = account.client("iam")
    for _ in range(2):
        service_role.ensure(iam)
    assert [role["Path"] for role in iam.list_roles()["Roles"]] == ["/aws-service-role/ecs.amazonaws.com/"]
    service_role.ensure(Iam("Service role name AWSServiceRoleForECS has been taken in this account"))
    with pytest.raises(ClientError):
        service_role.ensure(Iam("no such service"))


# -- findings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetAccount"), "may not call GetAccount"),
        (ClientError({"Error": {"Code": "Throttling"}}, "GetAccount"), "Throttling"),
        (EndpointConnectionError(endpoint_url="https://aws.example"), "cannot be reached"),
    ],
)
def test_what_cannot_be_asked_is_unknown_and_ends_nothing(error: Exception, says: str) -> None:
    def look() -> CheckResult:
        raise error

    (found,) = run_check("SES", look)
    assert found.state is State.UNKNOWN
    assert says in found.fix


def test_a_finding_is_one_line_with_its_mend() -> None:
    look: Callable[[], CheckResult] = lambda: bad("no region", "say which")  # noqa: E731
    assert [str(result) for result in run_check("region", look)] == ["bad      no region — say which"]
    assert str(ok("fine")) == "ok       fine"
