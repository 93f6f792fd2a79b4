"""The hosted zone of a domain."""

from infrastructure.deploying.aws import (
    hosted_zones,
)
from infrastructure.deploying.aws.account import Account


def test_a_domain_lies_in_the_closest_public_zone(account: Account) -> None:
    route53 = account.client("route53")
    assert hosted_zones.find(route53, "line.agency.example") == ""
    route53.create_hosted_zone(Name="example", CallerReference="0")
    outer = route53.create_hosted_zone(Name="agency.example", CallerReference="1")["HostedZone"]["Id"]
    assert outer.endswith(hosted_zones.find(route53, "line.agency.example"))
    assert hosted_zones.find(route53, "line.agencyx.example") == ""
    inner = route53.create_hosted_zone(Name="line.agency.example", CallerReference="2")["HostedZone"]["Id"]
    assert inner.endswith(hosted_zones.find(route53, "line.agency.example"))


def test_a_private_zone_is_ignored(account: Account) -> None:
    vpc = {"VPCRegion": account.region, "VPCId": "vpc-1"}
    account.client("route53").create_hosted_zone(
        Name="agency.example", CallerReference="1", VPC=vpc, HostedZoneConfig={"PrivateZone": True}
    )
    assert hosted_zones.find(account.client("route53"), "line.agency.example") == ""
