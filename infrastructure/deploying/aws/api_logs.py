"""API Gateway's role for logs: an account has one in each region, whichever stack set it."""

from collections.abc import Mapping
from typing import Any


def configured_elsewhere(apigateway: Any, resources: Mapping[str, tuple[str, str]]) -> bool:
    """Returns whether the role is set already and not by this stack, which then must not replace it."""
    if any(kind == "AWS::ApiGateway::Account" for kind, _ in resources.values()):
        return False
    return bool(apigateway.get_account().get("cloudwatchRoleArn"))
