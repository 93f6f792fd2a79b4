"""The bootstrap token: created once, and secret."""

from infrastructure.deploying.aws import (
    bootstrap_token,
)
from infrastructure.deploying.aws.account import Account
from tests.unit.infrastructure.conftest import STACK


def test_the_bootstrap_token_is_created_once_and_secret(account: Account) -> None:
    ssm = account.client("ssm")
    assert not bootstrap_token.exists(ssm, STACK)
    assert bootstrap_token.ensure(ssm, STACK)
    value = ssm.get_parameter(Name=bootstrap_token.name(STACK), WithDecryption=True)["Parameter"]
    assert value["Type"] == "SecureString"
    assert len(value["Value"]) >= 43
    assert not bootstrap_token.ensure(ssm, STACK)
    assert (
        ssm.get_parameter(Name=bootstrap_token.name(STACK), WithDecryption=True)["Parameter"]["Value"] == value["Value"]
    )
    assert bootstrap_token.exists(ssm, STACK)
    bootstrap_token.delete(ssm, STACK)
    assert not bootstrap_token.exists(ssm, STACK)
