"""SSM: the address of the operators' webhook, a SecureString, because whoever knows it can write to them."""

from typing import Any


def name(stack: str) -> str:
    """The parameter's name, which the function that notifies may read."""
    return f"/{stack}/operators-webhook"


def store(ssm: Any, stack: str, url: str) -> None:
    """Stores the address; an empty one is deleted. The function reads it within five minutes."""
    if not url:
        delete(ssm, stack)
        return
    ssm.put_parameter(
        Name=name(stack), Description="Where operators are notified", Type="SecureString", Value=url, Overwrite=True
    )


def delete(ssm: Any, stack: str) -> None:
    """Deletes the address, if there is one."""
    ssm.delete_parameters(Names=[name(stack)])


def read(ssm: Any, stack: str) -> str:
    """Returns the address, a secret; empty if there is none."""
    try:
        value = ssm.get_parameter(Name=name(stack), WithDecryption=True)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return ""
    return str(value).strip()
