"""The rotation of the bootstrap token."""

from pathlib import Path

import pytest

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import (
    bootstrap_token,
)
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.context import Context
from infrastructure.deploying.settings import Settings
from infrastructure.deploying.token_rotation import rotate_token
from tests.unit.infrastructure.conftest import STACK


def test_a_rotated_token_is_not_printed(account: Account, reported: list[str], tmp_path: Path) -> None:
    ssm = account.client("ssm")
    context = Context(account, tmp_path, report=reported.append)
    with pytest.raises(CannotDeploy, match="no stage unit"):
        rotate_token(context, Settings("unit"))
    assert not bootstrap_token.exists(ssm, STACK)
    bootstrap_token.ensure(ssm, STACK)
    values = []
    for _ in range(2):
        rotate_token(context, Settings("unit"))
        parameter = ssm.get_parameter(Name=bootstrap_token.name(STACK), WithDecryption=True)["Parameter"]
        assert parameter["Type"] == "SecureString" and len(parameter["Value"]) >= 43
        values.append(parameter["Value"])
    assert parameter["Version"] == 3 and values[0] != values[1]
    (tag,) = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=bootstrap_token.name(STACK))["TagList"]
    assert tag == {"Key": "answerline:stack", "Value": STACK}
    assert len(reported) == 2 and reported[0].startswith("unit has a new bootstrap token")
    assert not any(value in line for value in values for line in reported)
