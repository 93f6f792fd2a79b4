"""Creates the first operator in Cognito and stores the first password until the operator has changed it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.passwords import new_password


@dataclass(frozen=True)
class Operator:
    """The first operator; ``first_password`` is ``None`` once the operator has chosen another."""

    email: str
    first_password: str | None


def ensure(cognito: Any, user_pool: str, email: str, password_file: Path) -> Operator:
    """Returns the first operator; creates the account if it is missing."""
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
        password_file.write_text(json.dumps({"email": email, "first_password": password}))
        password_file.chmod(0o600)
        return Operator(email, password)
    if status != "FORCE_CHANGE_PASSWORD":
        password_file.unlink(missing_ok=True)
        return Operator(email, None)
    try:
        record = json.loads(password_file.read_text())
        if record["email"] == email:
            return Operator(email, record["first_password"])
    except (OSError, ValueError, KeyError):
        pass
    # The first password is lost and was never used: replace it.
    password = new_password()
    cognito.admin_set_user_password(UserPoolId=user_pool, Username=email, Password=password, Permanent=False)
    password_file.write_text(json.dumps({"email": email, "first_password": password}))
    password_file.chmod(0o600)
    return Operator(email, password)
