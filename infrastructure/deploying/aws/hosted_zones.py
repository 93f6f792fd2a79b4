"""Route 53: the hosted zone in which a domain's records are created."""

from collections.abc import Iterator
from typing import Any


def find(route53: Any, domain: str) -> str:
    """Returns the id of the closest public zone that holds this domain; empty if there is none."""
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
