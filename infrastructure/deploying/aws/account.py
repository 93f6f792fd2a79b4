"""The AWS account and region that a deployment talks to."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config


@dataclass(frozen=True, slots=True)
class Identity:
    """Who these credentials are."""

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

    @property
    def region(self) -> str:
        """Empty if none is set."""
        return str(self._session.region_name or "")

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` …"""
        return str(self._session.get_partition_for_region(self.region))

    @cached_property
    def identity(self) -> Identity:
        """Asks STS; raises what botocore raises without usable credentials."""
        caller = self.client("sts").get_caller_identity()
        return Identity(caller["Account"], caller["Arn"])

    def client(self, service: str) -> Any:
        """The client of a service, made once."""
        if service not in self._clients:
            config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 5})
            self._clients[service] = self._session.client(
                service,  # type: ignore[call-overload]
                region_name=self.region,
                endpoint_url=self._endpoint,
                config=config,
            )
        return self._clients[service]
