"""EC2: the availability zones in which this account may have runners."""

from collections.abc import Mapping
from typing import Any, Final

from infrastructure.deploying import CannotDeploy

#: The zones with Fargate, of the regions where not all have it, by the ids that are the same in every account.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html (Linux containers)
WITH_FARGATE: Final[Mapping[str, frozenset[str]]] = {
    "ap-northeast-1": frozenset({"apne1-az1", "apne1-az2", "apne1-az4"}),
    "cn-north-1": frozenset({"cnn1-az1", "cnn1-az2"}),
    "us-west-1": frozenset({"usw1-az1", "usw1-az3"}),
}


def choose(ec2: Any, region: str) -> tuple[str, str]:
    """Returns the names of two zones, or of the only one twice. Raises CannotDeploy."""
    filters = [
        {"Name": "zone-type", "Values": ["availability-zone"]},
        {"Name": "state", "Values": ["available"]},
    ]
    zones = ec2.describe_availability_zones(Filters=filters)["AvailabilityZones"]
    with_fargate = WITH_FARGATE.get(region)
    names = sorted(zone["ZoneName"] for zone in zones if with_fargate is None or zone["ZoneId"] in with_fargate)
    if not names:
        raise CannotDeploy(f"This account has no zone of {region} in which Fargate runs: choose another AWS_REGION.")
    return names[0], names[min(1, len(names) - 1)]
