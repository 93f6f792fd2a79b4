"""SSM: the public address of a stage, which its links carry."""

from typing import Any


def read(ssm: Any, stack: str) -> str:
    """Returns the address without a slash at its end; empty if the stage has none."""
    try:
        value = ssm.get_parameter(Name=f"/{stack}/public-base-url")["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return ""
    return str(value).rstrip("/")
