"""The AWS account and region that a deployment talks to."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config


@dataclass(frozen=True, slots=True)
class Identity:
    """The owner of the credentials, as STS knows them."""

    account: str
    arn: str


class Account:
    """boto3 clients of one account in one region.

    Args:
        session: credentials and region.
        endpoint: an emulator's address; None is AWS.
    """

    def __init__(self, session: boto3.Session, endpoint: str | None = None) -> None:
        self._session = session
        self._endpoint = endpoint
        self._clients: dict[str, Any] = {}

    @classmethod
    def of_operator(cls, environment: Mapping[str, str]) -> "Account":
        """Takes the operator's credentials and region as the AWS CLI does; AWS_ENDPOINT_URL names an emulator."""
        session = boto3.Session(region_name=environment.get("AWS_REGION") or None)  # boto3 alone ignores AWS_REGION
        return cls(session, environment.get("AWS_ENDPOINT_URL") or None)

    @property
    def region(self) -> str:
        """The region's name; empty if none is set."""
        return str(self._session.region_name or "")

    @property
    def partition(self) -> str:
        """The partition of ARNs: ``aws``, ``aws-cn`` …"""
        return str(self._session.get_partition_for_region(self.region))

    @cached_property
    def identity(self) -> Identity:
        """The answer of STS. Raises botocore's errors without usable credentials."""
        caller = self.client("sts").get_caller_identity()
        return Identity(caller["Account"], caller["Arn"])

    def client(self, service: str) -> Any:
        """Returns the client of a service, created once."""
        if service not in self._clients:
            config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 5})
            self._clients[service] = self._session.client(
                service,  # type: ignore[call-overload]
                region_name=self.region,
                endpoint_url=self._endpoint,
                config=config,
            )
        return self._clients[service]
