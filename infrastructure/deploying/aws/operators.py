"""Cognito: somebody must be able to sign in first."""

from dataclasses import dataclass
from typing import Any

from infrastructure.passwords import new_password


@dataclass(frozen=True, slots=True)
class First:
    """Who was invited, and the password if it was asked for instead of mailed."""

    email: str
    password: str | None


#: Cognito's word for somebody who was invited and has not signed in yet.
INVITED = "FORCE_CHANGE_PASSWORD"


def anybody(cognito: Any, user_pool: str) -> bool:
    """Whether there is any operator."""
    return bool(cognito.list_users(UserPoolId=user_pool, Limit=1)["Users"])


def invite_first(cognito: Any, user_pool: str, email: str, *, mailed: bool) -> First | None:
    """The first operator, until one has signed in: Cognito mails the temporary password, or it is returned, once.

    An invitation runs out, and its mail may never have arrived, so it is sent again as long as nobody came of it.
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
    return First(email, password)


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
