"""The invitation of the first operator."""

from typing import Any

import pytest

from infrastructure.deploying.aws import (
    operators,
)
from infrastructure.deploying.aws.account import Account


@pytest.mark.parametrize("mailed", [True, False])
def test_the_first_operator_is_invited_until_an_operator_has_signed_in(account: Account, mailed: bool) -> None:
    cognito = account.client("cognito-idp")
    policies = {"PasswordPolicy": {"MinimumLength": 12, "RequireSymbols": False}}
    made = cognito.create_user_pool(PoolName="operators", UsernameAttributes=["email"], Policies=policies)
    pool = made["UserPool"]["Id"]
    first = operators.invite_first(cognito, pool, "us@agency.example", mailed=mailed)
    assert first is not None
    assert (first.password is None) is mailed
    (user,) = cognito.list_users(UserPoolId=pool)["Users"]
    assert {"Name": "email", "Value": "us@agency.example"} in user["Attributes"]
    assert user["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    again = operators.invite_first(cognito, pool, "us@agency.example", mailed=mailed)
    assert again is not None
    assert (again.password is None) is mailed
    assert mailed or again.password != first.password
    users = cognito.list_users(UserPoolId=pool)["Users"]  # moto makes another one of RESEND
    assert {user["UserStatus"] for user in users} == {"FORCE_CHANGE_PASSWORD"}
    assert operators.invite_first(cognito, pool, "corrected@agency.example", mailed=mailed) is not None
    cognito.admin_set_user_password(
        UserPoolId=pool, Username="corrected@agency.example", Password="Their-own-1-word", Permanent=True
    )
    assert operators.invite_first(cognito, pool, "us@agency.example", mailed=mailed) is None


def test_an_expired_invitation_is_mailed_again(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    cognito = account.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="operators", UsernameAttributes=["email"])["UserPool"]["Id"]
    operators.invite_first(cognito, pool, "us@agency.example", mailed=True)
    asked: list[Any] = []
    cognito.meta.events.register(
        "provide-client-params.cognito-identity-provider.AdminCreateUser",
        lambda params, **_: asked.append(params["MessageAction"]),
    )
    operators.invite_first(cognito, pool, "us@agency.example", mailed=True)
    assert asked == ["RESEND"]
