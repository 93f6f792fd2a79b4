"""The AWS of one stack: its endpoints, and the access key of this start, for boto3 here and in child processes."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

REGION = "eu-central-1"
ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Aws:
    """The addresses of the table and of all other services, and the key that signs requests to them."""

    #: MiniStack: every service but the table
    endpoint: str
    #: dynoxide: the table
    table_endpoint: str
    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def with_new_key(cls, endpoint: str, table_endpoint: str) -> "Aws":
        """Makes an access key that no earlier start had; a key id of twelve digits would name another account."""
        return cls(endpoint, table_endpoint, f"LOCAL{secrets.token_hex(8).upper()}", secrets.token_urlsafe(32))

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "Aws":
        """Reads what :meth:`environment` returned; raises KeyError outside of a stack."""
        return cls(
            environment["AWS_ENDPOINT_URL"],
            environment["AWS_ENDPOINT_URL_DYNAMODB"],
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def key(self) -> dict[str, str]:
        """The variables of the access key alone."""
        return {"AWS_ACCESS_KEY_ID": self.key_id, "AWS_SECRET_ACCESS_KEY": self.secret}

    def environment(self) -> dict[str, str]:
        """Returns the variables that point boto3 at this stack and disable its other sources of configuration."""
        return {
            **self.key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": self.table_endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self, service: str) -> Any:
        """Returns a boto3 client of this stack."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.table_endpoint if service == "dynamodb" else self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                max_pool_connections=64,
                retries={"total_max_attempts": 3, "mode": "standard"},
            ),
        )
