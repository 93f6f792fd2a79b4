"""IAM: the service-linked role of ECS, which a new account lacks."""

from typing import Any

from botocore.exceptions import ClientError

SERVICE = "ecs.amazonaws.com"


def ensure(iam: Any) -> None:
    """Creates the role before the first service needs it; keeps one that exists.

    Credentials that may not create it go on without: the role may exist, and if it does not, CloudFormation reports it.
    """
    try:
        iam.create_service_linked_role(AWSServiceName=SERVICE)
    except ClientError as caught:
        error = caught.response.get("Error", {})
        exists = error.get("Code") == "EntityAlreadyExists" or "has been taken" in error.get("Message", "")
        if not exists and error.get("Code") not in ("AccessDenied", "AccessDeniedException"):
            raise
