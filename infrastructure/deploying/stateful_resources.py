"""Resources that hold data: no deployment replaces or removes them, and a destroyed stage leaves them behind."""

from collections.abc import Iterable, Mapping
from typing import Final

from infrastructure.deploying.aws.changes import Change

#: The identifier by which CloudFormation imports a resource that a destroyed stage left behind.
IDENTIFIERS: Final[Mapping[str, str]] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::KMS::Key": "KeyId",
    "AWS::Cognito::UserPool": "UserPoolId",
}
#: The types that a deployment never removes or replaces.
STATEFUL_TYPES: Final = frozenset({*IDENTIFIERS, "AWS::ECR::Repository"})


def data_loss(changes: Iterable[Change], may_replace: Iterable[str] = ()) -> list[str]:
    """Lists the reasons why these changes must not be applied, one sentence each.

    Args:
        changes: the resources that a change set changes.
        may_replace: resources that the operator knows not to be replaced although CloudFormation cannot rule it out.
    """
    reasons = []
    for change in changes:
        if change.type not in STATEFUL_TYPES:
            continue
        if change.action == "Remove":
            reasons.append(f"{change.resource} holds data and would leave the stack: put it back into the template.")
        elif change.replacement == "True":
            reasons.append(f"{change.resource} holds data and would be replaced by an empty one: undo that change.")
        elif change.replacement == "Conditional" and change.resource not in may_replace:
            reasons.append(
                f"{change.resource} holds data and might be replaced by an empty one: check the change set in the"
                f" console, and set REPLACE={change.resource} if it is not replaced."
            )
    return reasons
