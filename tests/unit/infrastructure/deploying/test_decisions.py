"""Decisions of a deployment, and when they are made anew."""

import pytest

from infrastructure.deploying import decisions
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.decisions import Resources
from infrastructure.deploying.settings import Settings, parse
from tests.unit.infrastructure.deploying.aws.test_api_logs import ApiGateway
from tests.unit.infrastructure.deploying.aws.test_availability_zones import Ec2
from tests.unit.infrastructure.deploying.aws.test_quotas import Lambda

GIVEN = {"STAGE": "unit", "MAIL_FROM": "line@agency.example"}
HELD: Resources = {"MailSender": ("AWS::SES::EmailIdentity", "agency.example")}


@pytest.fixture
def account(account: Account) -> Account:
    ours = {"lambda": Lambda(1000), "apigateway": ApiGateway(), "ec2": Ec2(a="euw1-az1", b="euw1-az2", c="euw1-az3")}
    account._clients.update(ours)
    return account


def decide(
    account: Account,
    reported: list[str],
    resources: Resources | None = None,
    former: dict[str, str] | None = None,
    settings: Settings | None = None,
) -> dict[str, str]:
    parameters = (settings or parse(GIVEN)).over(former or {})
    return decisions.decide(account, resources or {}, parameters, reported.append)


# -- the concurrency limit of the think function ----------------------------------------------------------------------


def test_a_low_quota_is_halved_and_reported_in_one_sentence(account: Account, reported: list[str]) -> None:
    account._clients["lambda"] = Lambda(10)
    assert decide(account, reported)["ThinkAtOnce"] == "5"
    (sentence,) = reported
    assert "only 5 chats instead of 50" in sentence
    assert "Service Quotas" in sentence


def test_a_raised_quota_raises_the_limit_at_the_next_deployment_and_is_not_reported(
    account: Account, reported: list[str]
) -> None:
    assert decide(account, reported, former={"ThinkAtOnce": "5", "ThinkAtOnceGiven": "0"})["ThinkAtOnce"] == "50"
    assert reported == []


def test_an_operators_own_limit_stays_and_is_not_reported(account: Account, reported: list[str]) -> None:
    account._clients["lambda"] = Lambda(10)
    own = parse({**GIVEN, "THINK_AT_ONCE": "30"})
    later = parse(GIVEN)
    declared = dict.fromkeys(("ThinkAtOnce", "ThinkAtOnceGiven", "MailFrom"))

    def values(settings: Settings, former: dict[str, str]) -> dict[str, str]:
        decided = {"ThinkAtOnce": decide(account, reported, former=former, settings=settings)["ThinkAtOnce"]}
        return settings.over(former).with_decisions(decided).for_template(declared)

    former = values(own, {})
    assert values(later, former)["ThinkAtOnceGiven"] == "30"
    assert reported == []
    decide(account, reported, former=former, settings=parse({**GIVEN, "THINK_AT_ONCE": "none"}))
    assert len(reported) == 1


# -- the zones of runners --------------------------------------------------------------------------------------------


def test_a_new_stage_gets_two_zones(account: Account, reported: list[str]) -> None:
    decided = decide(account, reported)
    assert (decided["RunnerZoneA"], decided["RunnerZoneB"]) == ("a", "b")


def test_an_existing_subnet_stays_in_its_zone(account: Account, reported: list[str]) -> None:
    subnets: Resources = {"SubnetA": ("AWS::EC2::Subnet", "subnet-1")}
    assert "RunnerZoneA" not in decide(account, reported, subnets)


# -- the sender's identity --------------------------------------------------------------------------------------------


def test_an_identity_that_ses_does_not_know_is_created_and_then_held(account: Account, reported: list[str]) -> None:
    assert decide(account, reported)["MailIdentity"] == "agency.example"
    account.client("sesv2").create_email_identity(EmailIdentity="agency.example")
    assert decide(account, reported, HELD)["MailIdentity"] == "agency.example"


def test_an_existing_identity_outside_of_the_stack_is_not_created_even_if_it_is_remembered(
    account: Account, reported: list[str]
) -> None:
    account.client("sesv2").create_email_identity(EmailIdentity="agency.example")
    for former in ({}, {"MailIdentity": "agency.example"}):  # destroyed; rolled back, or never confirmed
        assert decide(account, reported, former=former)["MailIdentity"] == ""
