"""Creates the first operator in Cognito and remembers the password that is printed until it is used."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.passwords import new_password


@dataclass(frozen=True)
class Operator:
    """Who signs in first; ``first_password`` is ``None`` once they chose their own."""

    email: str
    first_password: str | None


def ensure(cognito: Any, user_pool: str, email: str, remembered: Path) -> Operator:
    """The operator, created if missing."""
    try:
        status = cognito.admin_get_user(UserPoolId=user_pool, Username=email)["UserStatus"]
    except cognito.exceptions.UserNotFoundException:
        password = new_password()
        cognito.admin_create_user(
            UserPoolId=user_pool,
            Username=email,
            TemporaryPassword=password,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
        )
        remembered.write_text(json.dumps({"email": email, "first_password": password}))
        remembered.chmod(0o600)
        return Operator(email, password)
    if status != "FORCE_CHANGE_PASSWORD":
        remembered.unlink(missing_ok=True)
        return Operator(email, None)
    try:
        record = json.loads(remembered.read_text())
        if record["email"] == email:
            return Operator(email, record["first_password"])
    except (OSError, ValueError, KeyError):
        pass
    # Nobody knows it any more, and nobody has signed in with it yet: a new one.
    password = new_password()
    cognito.admin_set_user_password(UserPoolId=user_pool, Username=email, Password=password, Permanent=False)
    remembered.write_text(json.dumps({"email": email, "first_password": password}))
    remembered.chmod(0o600)
    return Operator(email, password)
