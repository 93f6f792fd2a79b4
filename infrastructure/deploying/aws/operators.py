"""Cognito: the invitation of a stage's first operator."""

from dataclasses import dataclass
from typing import Any

from infrastructure.passwords import new_password

#: Cognito's status of a user who was invited and has not signed in yet.
INVITED = "FORCE_CHANGE_PASSWORD"


@dataclass(frozen=True, slots=True)
class FirstOperator:
    """The invited operator, with the password if it is printed instead of mailed."""

    email: str
    password: str | None


def any_operator(cognito: Any, user_pool: str) -> bool:
    """Returns whether the pool has an operator."""
    return bool(cognito.list_users(UserPoolId=user_pool, Limit=1)["Users"])


def invite_first(cognito: Any, user_pool: str, email: str, *, mailed: bool) -> FirstOperator | None:
    """Invites the first operator, again at each deployment until one has signed in; then returns None.

    An invitation expires, and its mail may not have arrived.

    Args:
        cognito: a boto3 client.
        user_pool: the pool's id.
        email: the operator's address.
        mailed: Cognito mails the temporary password; otherwise it is returned, once.
    """
    users = cognito.list_users(UserPoolId=user_pool)["Users"]
    if any(user["UserStatus"] != INVITED for user in users):
        return None
    password = None if mailed else new_password()
    if email.lower() in {
        each["Value"].lower() for user in users for each in user["Attributes"] if each["Name"] == "email"
    }:
        _invite_again(cognito, user_pool, email, password)
    else:
        _invite(cognito, user_pool, email, password)
    return FirstOperator(email, password)


def _invite(cognito: Any, user_pool: str, email: str, password: str | None) -> None:
    cognito.admin_create_user(
        UserPoolId=user_pool,
        Username=email,
        UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
        **(
            {"DesiredDeliveryMediums": ["EMAIL"]}
            if password is None
            else {"TemporaryPassword": password, "MessageAction": "SUPPRESS"}
        ),
    )


def _invite_again(cognito: Any, user_pool: str, email: str, password: str | None) -> None:
    if password is None:
        cognito.admin_create_user(
            UserPoolId=user_pool, Username=email, MessageAction="RESEND", DesiredDeliveryMediums=["EMAIL"]
        )
    else:
        cognito.admin_set_user_password(UserPoolId=user_pool, Username=email, Password=password, Permanent=False)
