"""SSM: the runners' bootstrap token, a SecureString, which CloudFormation cannot create."""

import secrets
from typing import Any

from botocore.exceptions import ClientError


def name(stack: str) -> str:
    """The parameter's name, which the runners' execution role may read."""
    return f"/{stack}/runner-bootstrap-token"


def ensure(ssm: Any, stack: str) -> bool:
    """Creates the token and returns True; keeps an existing one, because runners know it."""
    try:
        ssm.put_parameter(
            Name=name(stack),
            Description="What a new runner registers with",
            Type="SecureString",
            Value=_new_token(),
            Overwrite=False,
            Tags=[{"Key": "answerline:stack", "Value": stack}],
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ParameterAlreadyExists":
            raise
        return False
    return True


def rotate(ssm: Any, stack: str) -> bool:
    """Replaces the token; tasks that start read the new one. Returns False if there was none."""
    if not exists(ssm, stack):
        return False
    ssm.put_parameter(Name=name(stack), Type="SecureString", Value=_new_token(), Overwrite=True)
    return True


def exists(ssm: Any, stack: str) -> bool:
    """Returns whether the token exists as a SecureString; its value is not read."""
    found = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [name(stack)]}])
    return any(each["Type"] == "SecureString" for each in found["Parameters"])


def delete(ssm: Any, stack: str) -> None:
    """Deletes the token for good."""
    ssm.delete_parameters(Names=[name(stack)])


def _new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)
