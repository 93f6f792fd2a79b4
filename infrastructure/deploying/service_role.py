"""IAM: the role by which ECS works in an account, which a new account lacks until somebody makes it."""

from typing import Any

from botocore.exceptions import ClientError

SERVICE = "ecs.amazonaws.com"


def ensure(iam: Any) -> None:
    """Made before the first service needs it; one that is there is fine."""
    try:
        iam.create_service_linked_role(AWSServiceName=SERVICE)
    except ClientError as error:
        told = error.response.get("Error", {})
        if told.get("Code") != "EntityAlreadyExists" and "has been taken" not in told.get("Message", ""):
            raise
