"""Cognito: somebody must be able to sign in first."""

from dataclasses import dataclass
from typing import Any

from infrastructure.local.operators import new_password


@dataclass(frozen=True, slots=True)
class First:
    """Who was invited, and the password if it was asked for instead of mailed."""

    email: str
    password: str | None


def anybody(cognito: Any, user_pool: str) -> bool:
    """Whether there is any operator."""
    return bool(cognito.list_users(UserPoolId=user_pool, Limit=1)["Users"])


def invite_first(cognito: Any, user_pool: str, email: str, *, mailed: bool) -> First | None:
    """The first operator, if there is none: Cognito mails the temporary password, or it is returned, once."""
    if anybody(cognito, user_pool):
        return None
    password = None if mailed else new_password()
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
    return First(email, password)
