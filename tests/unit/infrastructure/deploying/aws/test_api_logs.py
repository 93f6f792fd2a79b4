"""API Gateway's role for logs, of which an account has one."""

import pytest

from infrastructure.deploying.aws import (
    api_logs,
)


class ApiGateway:
    """moto has no writable account."""

    def __init__(self, **account: str) -> None:
        self._account = account

    def get_account(self) -> dict[str, str]:
        return self._account


@pytest.mark.parametrize(
    ("account", "resources", "elsewhere"),
    [
        ({}, {}, False),
        ({"cloudwatchRoleArn": "arn:aws:iam::1:role/theirs"}, {}, True),
        ({"cloudwatchRoleArn": "arn:aws:iam::1:role/ours"}, {"A": ("AWS::ApiGateway::Account", "id")}, False),
    ],
)
def test_a_setting_of_the_whole_account_is_created_only_where_it_is_missing(
    account: dict[str, str], resources: dict[str, tuple[str, str]], elsewhere: bool
) -> None:
    assert api_logs.configured_elsewhere(ApiGateway(**account), resources) is elsewhere
