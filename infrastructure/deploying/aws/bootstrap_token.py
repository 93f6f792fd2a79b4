"""The runners' bootstrap token: a SecureString, which CloudFormation cannot create."""

import secrets
from typing import Any

from botocore.exceptions import ClientError


def name(stack: str) -> str:
    """Where the execution role finds it."""
    return f"/{stack}/runner-bootstrap-token"


def ensure(ssm: Any, stack: str) -> bool:
    """True if it was made now; one that is there is kept, because runners know it."""
    try:
        ssm.put_parameter(
            Name=name(stack),
            Description="What a new runner registers with",
            Type="SecureString",
            Value=_made(),
            Overwrite=False,
            Tags=[{"Key": "answerline:stack", "Value": stack}],
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ParameterAlreadyExists":
            raise
        return False
    return True


def rotate(ssm: Any, stack: str) -> bool:
    """Another value from now on, which tasks that start read; False if there was none."""
    if not there(ssm, stack):
        return False
    ssm.put_parameter(Name=name(stack), Type="SecureString", Value=_made(), Overwrite=True)
    return True


def there(ssm: Any, stack: str) -> bool:
    """Whether it exists as a SecureString; its value is not read."""
    found = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [name(stack)]}])
    return any(each["Type"] == "SecureString" for each in found["Parameters"])


def remove(ssm: Any, stack: str) -> None:
    """With the data, for good."""
    ssm.delete_parameters(Names=[name(stack)])


def _made() -> str:
    """256 bits."""
    return secrets.token_urlsafe(32)
