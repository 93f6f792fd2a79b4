"""The choice of zones for runners."""

from typing import Any

import pytest

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import (
    availability_zones,
)
from infrastructure.deploying.aws.account import Account


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


def test_only_available_zones_of_the_region_itself_are_requested(account: Account) -> None:
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
