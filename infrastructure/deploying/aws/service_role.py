"""IAM: the role by which ECS works in an account, which a new account lacks until somebody makes it."""

from typing import Any

from botocore.exceptions import ClientError

SERVICE = "ecs.amazonaws.com"


def ensure(iam: Any) -> None:
    """Made before the first service needs it; one that is there is fine.

    Credentials that may not make it go on without: it may be there, and if it is not, CloudFormation says so.
    """
    try:
        iam.create_service_linked_role(AWSServiceName=SERVICE)
    except ClientError as error:
        told = error.response.get("Error", {})
        there = told.get("Code") == "EntityAlreadyExists" or "has been taken" in told.get("Message", "")
        if not there and told.get("Code") not in ("AccessDenied", "AccessDeniedException"):
            raise
