"""The service-linked role of ECS."""

import pytest
from botocore.exceptions import ClientError

from infrastructure.deploying.aws import (
    service_role,
)
from infrastructure.deploying.aws.account import Account


class Iam:
    """moto reports an existing role with another error than AWS."""

    def __init__(self, message: str) -> None:
        self._message = message

    def create_service_linked_role(self, **_: str) -> None:
        raise ClientError({"Error": {"Code": "InvalidInput", "Message": self._message}}, "CreateServiceLinkedRole")


def test_the_role_of_ecs_is_created_and_an_existing_one_kept(account: Account) -> None:
    iam = account.client("iam")
    for _ in range(2):
        service_role.ensure(iam)
    assert [role["Path"] for role in iam.list_roles()["Roles"]] == ["/aws-service-role/ecs.amazonaws.com/"]
    service_role.ensure(Iam("Service role name AWSServiceRoleForECS has been taken in this account"))
    with pytest.raises(ClientError):
        service_role.ensure(Iam("no such service"))
