"""Taking a stage away: what runs goes, data stays unless it is told twice."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws import bootstrap_token, images
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.artifacts import Artifacts
from infrastructure.deploying.deployment import IDENTIFIERS, Place
from infrastructure.deploying.settings import Settings

#: KMS keeps a key so long, in case somebody needs what it locks after all.
KEY_KEPT_DAYS = 30
#: What the kept parts cost in a month, where that is known beforehand.
COSTS: Mapping[str, str] = {
    "AWS::DynamoDB::Table": "about 0.30 $ per GB and month, with its backups 0.50 $",
    "AWS::S3::Bucket": "about 0.025 $ per GB and month",
    "AWS::KMS::Key": "1 $ per month, and 1 $ more for each of its first two rotations",
    "AWS::Cognito::UserPool": "nothing",
}
REPOSITORY_COST = "about 0.10 $ per GB and month (an image has about 0.3 GB)"


def destroy(place: Place, settings: Settings) -> None:
    """Asks for the stage's name, twice when data goes too. Raises CannotDeploy."""
    artifacts = Artifacts(place.account, settings.stack)
    stack = place.stack(settings.stack)
    exists = stack.described() is not None
    # Of a first change that was rolled back, only what holds data is left, and no longer the stack's.
    resources = stack.resources(with_retained=True) if exists else {}
    kept = {**(artifacts.kept() if artifacts.there() else {}), **_data(resources)}
    if not exists and not kept:
        raise CannotDeploy(f"There is no stage {settings.stage} in this account and region.")
    _confirm(place, settings, exists, kept)
    if exists:
        if artifacts.there():
            artifacts.keep(kept)
        _let_go(place.account, settings.stack, resources)
        stack.delete()
        place.say(f"{settings.stack} is gone")
    if settings.delete_data:
        delete_data(place, settings, kept)
    else:
        _tell_kept(place, settings, kept, artifacts.bucket)


def delete_data(place: Place, settings: Settings, kept: Mapping[str, Mapping[str, str]]) -> None:
    """Everything that a destroyed stage left: for good, but for the key, which AWS keeps for 30 days."""
    account = place.account
    for identifiers in kept.values():
        for name, value in identifiers.items():
            _delete(account, name, value)
            place.say(f"  {value} is gone" + (f" in {KEY_KEPT_DAYS} days" if name == "KeyId" else ""))
    images.remove(account.client("ecr"), settings.stack)
    bootstrap_token.remove(account.client("ssm"), settings.stack)
    bucket = Artifacts(account, settings.stack).bucket
    _empty_and_delete(account, bucket)
    place.say(
        f"  {images.repository_name(settings.stack)}, {bootstrap_token.name(settings.stack)} and {bucket} are gone"
    )


def _data(resources: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """What the stack holds of data, as CloudFormation would import it."""
    return {name: {IDENTIFIERS[kind]: own} for name, (kind, own) in resources.items() if kind in IDENTIFIERS}


def _confirm(place: Place, settings: Settings, exists: bool, kept: Mapping[str, Mapping[str, str]]) -> None:
    """Typing a name is harder than a yes; YES=1 does not count here."""
    if exists:
        _typed(place, f"Every line of {settings.stage} stops. Type the stage's name to go on: ", settings.stage)
    if settings.delete_data:
        _list(place, "These are deleted, with every tenant, message and login:", kept)
        _typed(place, f"Nobody can bring them back. Type `delete {settings.stage}`: ", f"delete {settings.stage}")


def _typed(place: Place, question: str, wanted: str) -> None:
    try:
        answer = place.ask(question)
    except EOFError:
        answer = ""
    if answer.strip() != wanted:
        raise CannotDeploy("Nothing was removed.")


def _tell_kept(place: Place, settings: Settings, kept: Mapping[str, Mapping[str, str]], bucket: str) -> None:
    _list(place, "These are kept:", kept)
    place.say(f"  {images.repository_name(settings.stack):<44} {REPOSITORY_COST}")
    place.say(f"  {bucket:<44} {COSTS['AWS::S3::Bucket']}")
    place.say(
        f"`make deploy STAGE={settings.stage}` takes them back; `make destroy STAGE={settings.stage} DATA=delete`"
    )
    place.say("deletes them.")


def _list(place: Place, title: str, kept: Mapping[str, Mapping[str, str]]) -> None:
    place.say(title)
    by_identifier = {identifier: kind for kind, identifier in IDENTIFIERS.items()}
    for identifiers in kept.values():
        for name, value in identifiers.items():
            place.say(f"  {value:<44} {COSTS[by_identifier[name]]}")


def _let_go(account: Account, stack: str, physical: Mapping[str, tuple[str, str]]) -> None:
    """Nothing starts runners any more, and ECS may stop those that hold sessions: it would wait for them for hours."""
    events, ecs = account.client("events"), account.client("ecs")
    for kind, own in physical.values():
        if kind == "AWS::Events::Rule":
            events.disable_rule(Name=own.rpartition("/")[2])
    if any(kind == "AWS::ECS::Cluster" for kind, _ in physical.values()):
        for page in ecs.get_paginator("list_tasks").paginate(cluster=stack, PaginationConfig={"PageSize": 10}):
            if page["taskArns"]:
                ecs.update_task_protection(cluster=stack, tasks=page["taskArns"], protectionEnabled=False)


def _delete(account: Account, identifier: str, value: str) -> None:
    """One of them; what is gone already is fine."""
    try:
        if identifier == "TableName":
            _delete_table(account.client("dynamodb"), value)
        elif identifier == "BucketName":
            _empty_and_delete(account, value)
        elif identifier == "KeyId":
            account.client("kms").schedule_key_deletion(KeyId=value, PendingWindowInDays=KEY_KEPT_DAYS)
        elif identifier == "UserPoolId":
            cognito = account.client("cognito-idp")
            only_invited = {"AllowAdminCreateUserOnly": True}  # an update sets back what it does not name
            cognito.update_user_pool(
                UserPoolId=value, AdminCreateUserConfig=only_invited, DeletionProtection="INACTIVE"
            )
            cognito.delete_user_pool(UserPoolId=value)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in GONE:
            raise


def _delete_table(dynamodb: Any, name: str) -> None:
    """A table that is being changed cannot be deleted, so the end of its protection is waited for."""
    if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 5, "MaxAttempts": 60})
    dynamodb.delete_table(TableName=name)


#: How each service says that there is nothing to delete; KMS's says that it is scheduled already.
GONE = frozenset({"ResourceNotFoundException", "NoSuchBucket", "404", "NotFoundException", "KMSInvalidStateException"})


def _empty_and_delete(account: Account, bucket: str) -> None:
    """All versions first: a versioned bucket is not emptied by deleting objects."""
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
        if error.response.get("Error", {}).get("Code") not in GONE:
            raise
