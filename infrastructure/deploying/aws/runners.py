"""DynamoDB: the versions of a stage's runners, which no address on the internet tells."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import TransientError
from chalicelib.store.runners import Runners
from chalicelib.store.table import Table


def commits(dynamodb: Any, stack: str, pause: Callable[[float], None]) -> list[str]:
    """Lists the commits of the runners that are alive; none if the table cannot be read just now."""
    try:
        return sorted({runner.commit for runner in Runners(Table(dynamodb, stack, pause)).alive()})
    except (TransientError, ClientError, BotoCoreError):
        return []
