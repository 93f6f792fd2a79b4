"""API Gateway: one role writes the logs of all APIs of an account and region, whoever set it first."""

from collections.abc import Mapping
from typing import Any


def set_up_elsewhere(apigateway: Any, resources: Mapping[str, tuple[str, str]]) -> bool:
    """Whether somebody else's setting is there already, which this stack must not replace."""
    if any(kind == "AWS::ApiGateway::Account" for kind, _ in resources.values()):
        return False
    return bool(apigateway.get_account().get("cloudwatchRoleArn"))
