"""A dynoxide of one test or of all: in memory or on a file, and tables in it as the template declares them."""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from chalicelib.store.table import Table
from infrastructure.local.environment import plain_environment
from infrastructure.local.processes import Child, wait_until_ready
from infrastructure.local.table.program import find_dynoxide
from infrastructure.local.template import Template, load

REGION = "eu-west-1"
READY_TIMEOUT_SECONDS = 20.0
#: How `resources.yaml` declares the table, but for what only a real account has.
DECLARED = ("BillingMode", "AttributeDefinitions", "KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes")


def find_program() -> Path:
    """Returns the program; raises CannotStart without one."""
    return find_dynoxide(os.environ.get("DYNOXIDE") or None)


class Dynoxide:
    """A running engine; a context manager. Without a file its tables end with it."""

    def __init__(self, logs: Path, file: Path | None = None, prefix: tuple[str, ...] = ()) -> None:
        """``prefix`` is a command that starts the engine: `prlimit`, for example."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.file = file
        self._command = [*prefix, str(find_program()), "--port", str(port), *(["--db-path", str(file)] if file else [])]
        self._log = logs / "dynoxide.log"
        self._clients = cache(lambda attempts: client_of(self.url, attempts))
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the engine (again) and waits until it answers."""
        self.child = Child("dynoxide", self._command, plain_environment(), self._log)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Waits until the engine answers."""
        wait_until_ready(self.child, self._answers, READY_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """Stops the engine as the stack does."""
        self.child.stop(10)

    def kill(self) -> None:
        """Kills the engine, as `kill -9` does."""
        self.child.kill_tree()

    def client(self, attempts: int = 3) -> Any:
        """Returns a boto3 client of this engine; making one takes longer than a test."""
        return self._clients(attempts)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


def client_of(url: str | None, attempts: int = 3) -> Any:
    """Returns a boto3 client of DynamoDB at this address; without one, of AWS, which moto plays."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


@cache
def declared() -> Mapping[str, Any]:
    """Returns the table's properties in `resources.yaml`; parsed once, because YAML in pure Python is slow."""
    template = Template(load(), {"AWS::StackName": "engines", "AWS::Region": REGION, "AWS::AccountId": "1" * 12})
    return template.properties("Table")


def new_table(client: Any, name: str) -> Table:
    """Creates the declared table under this name, empty; drops the one before."""
    if name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    client.create_table(TableName=name, **{property: declared()[property] for property in DECLARED})
    return Table(client, name, pause=lambda seconds: None)
