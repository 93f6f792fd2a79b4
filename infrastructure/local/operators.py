"""Creates the first operator in Cognito and remembers the password that is printed until it is used."""

import json
import secrets
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD_LENGTH = 16
_ALPHABET = "".join(set(string.ascii_letters + string.digits) - set("0OIl1"))


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


def new_password() -> str:
    """Easy to read aloud, and within the pool's policy: upper case, lower case and a digit."""
    while True:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))
        kinds = (str.isupper, str.islower, str.isdigit)
        if all(any(kind(character) for character in password) for kind in kinds):
            return password
