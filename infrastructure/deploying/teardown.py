"""Teardown of a stage: the stack is deleted, data stays unless the operator confirms its deletion as well."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import bootstrap_token, images, operators_webhook
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.artifacts import Artifacts
from infrastructure.deploying.context import Context
from infrastructure.deploying.settings import Settings
from infrastructure.deploying.stateful_resources import IDENTIFIERS

#: KMS deletes a key after so many days; until then the deletion can be cancelled.
KEY_KEPT_DAYS = 30
#: The monthly costs of kept resources, where they are known beforehand.
COSTS: Mapping[str, str] = {
    "AWS::DynamoDB::Table": "about 0.30 $ per GB and month, with its backups 0.50 $",
    "AWS::S3::Bucket": "about 0.025 $ per GB and month",
    "AWS::KMS::Key": "1 $ per month, and 1 $ more for each of its first two rotations",
    "AWS::Cognito::UserPool": "nothing",
}
REPOSITORY_COST = "about 0.10 $ per GB and month (an image has about 0.3 GB)"


def destroy(context: Context, settings: Settings) -> None:
    """Deletes a stage once the operator has typed its name, and its data with DATA=delete. Raises CannotDeploy."""
    artifacts = Artifacts(context.account, settings.stack)
    stack = context.stack(settings.stack)
    exists = stack.described() is not None
    # After a rollback of the stack's first change, only the data stores are left, and no longer in the stack.
    resources = stack.resources(with_retained=True) if exists else {}
    kept = {**(artifacts.kept() if artifacts.exists() else {}), **_data(resources)}
    if not exists and not kept:
        raise CannotDeploy(f"There is no stage {settings.stage} in this account and region.")
    _confirm(context, settings, exists, kept)
    if exists:
        if artifacts.exists():
            artifacts.save_kept(kept)
        _release_runners(context.account, settings.stack, resources)
        stack.delete()
        context.report(f"{settings.stack} is deleted")
    if settings.delete_data:
        delete_data(context, settings, kept)
    else:
        _report_kept(context, settings, kept, artifacts.bucket)


def delete_data(context: Context, settings: Settings, kept: Mapping[str, Mapping[str, str]]) -> None:
    """Deletes what a destroyed stage left, for good; AWS keeps the key for 30 days."""
    account = context.account
    for identifiers in kept.values():
        for name, value in identifiers.items():
            _delete(account, name, value)
            context.report(f"  {value} is deleted" + (f" in {KEY_KEPT_DAYS} days" if name == "KeyId" else ""))
    images.delete(account.client("ecr"), settings.stack)
    bootstrap_token.delete(account.client("ssm"), settings.stack)
    operators_webhook.delete(account.client("ssm"), settings.stack)
    bucket = Artifacts(account, settings.stack).bucket
    _empty_and_delete(account, bucket)
    context.report(
        f"  {images.repository_name(settings.stack)}, {bootstrap_token.name(settings.stack)} and {bucket} are deleted"
    )


def _data(resources: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """The data stores of the stack, as CloudFormation imports them."""
    return {name: {IDENTIFIERS[kind]: own} for name, (kind, own) in resources.items() if kind in IDENTIFIERS}


def _confirm(context: Context, settings: Settings, exists: bool, kept: Mapping[str, Mapping[str, str]]) -> None:
    """Asks for typed names, which take more care than a yes; YES=1 does not count here."""
    if exists:
        _require_typed(
            context, f"Every line of {settings.stage} stops. Type the stage's name to go on: ", settings.stage
        )
    if settings.delete_data:
        _list(context, "These are deleted, with every tenant, message and login:", kept)
        _require_typed(
            context, f"They cannot be restored. Type `delete {settings.stage}`: ", f"delete {settings.stage}"
        )


def _require_typed(context: Context, question: str, expected: str) -> None:
    try:
        answer = context.ask(question)
    except EOFError:
        answer = ""
    if answer.strip() != expected:
        raise CannotDeploy("Nothing was removed.")


def _report_kept(context: Context, settings: Settings, kept: Mapping[str, Mapping[str, str]], bucket: str) -> None:
    _list(context, "These are kept:", kept)
    context.report(f"  {images.repository_name(settings.stack):<44} {REPOSITORY_COST}")
    context.report(f"  {bucket:<44} {COSTS['AWS::S3::Bucket']}")
    context.report(
        f"`make deploy STAGE={settings.stage}` imports them again; `make destroy STAGE={settings.stage} DATA=delete`"
    )
    context.report("deletes them.")


def _list(context: Context, title: str, kept: Mapping[str, Mapping[str, str]]) -> None:
    context.report(title)
    by_identifier = {identifier: kind for kind, identifier in IDENTIFIERS.items()}
    for identifiers in kept.values():
        for name, value in identifiers.items():
            context.report(f"  {value:<44} {COSTS[by_identifier[name]]}")


def _release_runners(account: Account, stack: str, physical: Mapping[str, tuple[str, str]]) -> None:
    """Stops everything that starts runners, and ends their task protection, for which ECS would wait for hours."""
    events, ecs = account.client("events"), account.client("ecs")
    for kind, own in physical.values():
        if kind == "AWS::Events::Rule":
            events.disable_rule(Name=own.rpartition("/")[2])
    if any(kind == "AWS::ECS::Cluster" for kind, _ in physical.values()):
        for page in ecs.get_paginator("list_tasks").paginate(cluster=stack, PaginationConfig={"PageSize": 10}):
            if page["taskArns"]:
                ecs.update_task_protection(cluster=stack, tasks=page["taskArns"], protectionEnabled=False)


def _delete(account: Account, identifier: str, value: str) -> None:
    """Deletes one data store; a missing one is fine."""
    try:
        if identifier == "TableName":
            _delete_table(account.client("dynamodb"), value)
        elif identifier == "BucketName":
            _empty_and_delete(account, value)
        elif identifier == "KeyId":
            account.client("kms").schedule_key_deletion(KeyId=value, PendingWindowInDays=KEY_KEPT_DAYS)
        elif identifier == "UserPoolId":
            cognito = account.client("cognito-idp")
            only_invited = {"AllowAdminCreateUserOnly": True}  # an update resets what it does not name
            cognito.update_user_pool(
                UserPoolId=value, AdminCreateUserConfig=only_invited, DeletionProtection="INACTIVE"
            )
            cognito.delete_user_pool(UserPoolId=value)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in MISSING:
            raise


def _delete_table(dynamodb: Any, name: str) -> None:
    """Deletes a table after the end of its protection: a table that is being changed cannot be deleted."""
    if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 5, "MaxAttempts": 60})
    dynamodb.delete_table(TableName=name)


#: The error codes for a missing resource; the one of KMS means that the deletion is scheduled already.
MISSING = frozenset(
    {"ResourceNotFoundException", "NoSuchBucket", "404", "NotFoundException", "KMSInvalidStateException"}
)


def _empty_and_delete(account: Account, bucket: str) -> None:
    """Deletes all versions, then the bucket: deleting the objects alone does not empty a versioned bucket."""
    s3 = account.client("s3")
    owner = {"Bucket": bucket, "ExpectedBucketOwner": account.identity.account}
    try:
        for page in s3.get_paginator("list_object_versions").paginate(**owner):
            listed = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in listed]
            if objects:
                s3.delete_objects(**owner, Delete={"Objects": objects, "Quiet": True})
        s3.delete_bucket(**owner)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in MISSING:
            raise
