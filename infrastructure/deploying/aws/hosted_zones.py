"""Route 53: the zone in which a domain's records are made."""

from collections.abc import Iterator
from typing import Any


def zone_of(route53: Any, domain: str) -> str:
    """The id of the public zone that holds this domain, the closest one; empty if there is none."""
    for name in _parents(domain):
        answer = route53.list_hosted_zones_by_name(DNSName=name, MaxItems="10")
        for zone in answer["HostedZones"]:
            if zone["Name"].rstrip(".") == name and not zone.get("Config", {}).get("PrivateZone"):
                return str(zone["Id"]).rpartition("/")[2]
    return ""


def _parents(domain: str) -> Iterator[str]:
    labels = domain.rstrip(".").lower().split(".")
    for first in range(len(labels) - 1):
        yield ".".join(labels[first:])
