"""Creates the missing resources of `resources.yaml`, from the same Properties; deletes nothing."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.local import template
from infrastructure.local.aws import ACCOUNT, REGION, Aws
from infrastructure.local.ecs.tasks import service_of


@dataclass(frozen=True)
class Created:
    """The names of the created resources, as the application uses them."""

    table: str
    bucket: str
    jobs_queue: str
    notices_queue: str
    key: str
    user_pool: str
    user_pool_client: str
    user_pool_parameter: str
    user_pool_client_parameter: str
    mail_configuration_set: str
    cluster: str
    service: str
    base_url_parameter: str
    runner_token_parameter: str
    #: Written by what makes backups.
    backup_state_parameter: str
    #: The queue that stands for the event bus; the application does not know it.
    events_queue: str


def ensure(
    aws: Aws, stack: str, *, base_url: str, mail_from: str, runners: int, token: str | None = None, webhook: str = ""
) -> Created:
    """Creates the missing resources.

    Args:
        runners: the desired count of a new ECS service.
        token: the runners' bootstrap token; None makes a random one, or leaves the one that is there.
        webhook: the address of the operators' webhook; empty leaves the one that is there.
    """
    # Not above: the process of the functions needs this module before it knows which release's chalicelib it serves.
    from chalicelib.model.mail_address import parse_sender

    resolved = template.Template(
        body=template.load(),
        pseudo=_pseudo_parameters(stack),
        parameters={
            "MailFrom": mail_from,
            "MailIdentity": parse_sender(mail_from).address.rpartition("@")[2],
            "PublicBaseUrl": base_url,
            # On one machine an authenticator app is optional.
            "OperatorsMfa": "OPTIONAL",
        },
    )
    for kind, create in _CREATORS:
        for name in resolved.of_type(kind):
            resolved.created[name] = create(aws, resolved.properties(name))
    service = service_of(resolved.created["RunnerCluster"]["Ref"])
    _service(aws, resolved.created["RunnerCluster"]["Ref"], service, runners)
    if webhook:
        _secret(aws, f"/{stack}/operators-webhook", webhook)
    token_parameter = f"/{stack}/runner-bootstrap-token"
    _secret(aws, token_parameter, token)
    events_queue = f"{stack}-local-events"
    _queue(aws, {"QueueName": events_queue, "VisibilityTimeout": 30, "MessageRetentionPeriod": 3600})
    return Created(
        table=resolved.created["Table"]["Ref"],
        bucket=resolved.created["Bucket"]["Ref"],
        jobs_queue=resolved.properties("JobsQueue")["QueueName"],
        notices_queue=resolved.properties("NoticesQueue")["QueueName"],
        key=resolved.created["KeyAlias"]["Ref"],
        user_pool=resolved.created["UserPool"]["Ref"],
        user_pool_client=resolved.created["UserPoolClient"]["Ref"],
        user_pool_parameter=resolved.created["UserPoolParameter"]["Ref"],
        user_pool_client_parameter=resolved.created["UserPoolClientParameter"]["Ref"],
        mail_configuration_set=resolved.created["MailConfigurationSet"]["Ref"],
        cluster=resolved.created["RunnerCluster"]["Ref"],
        service=service,
        base_url_parameter=resolved.created["PublicBaseUrlParameter"]["Ref"],
        runner_token_parameter=token_parameter,
        backup_state_parameter=f"/{stack}/backup-state",
        events_queue=events_queue,
    )


def ensure_table(aws: Aws, stack: str) -> str:
    """Creates the table alone if it is missing; returns its name."""
    resolved = template.Template(template.load(), _pseudo_parameters(stack))
    return _table(aws, resolved.properties("Table"))["Ref"]


def _pseudo_parameters(stack: str) -> dict[str, str]:
    return {
        "AWS::StackName": stack,
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
    }


# -- one function per type, each: Properties → the values of Ref and GetAtt -----------------------------------------


def _key(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    kms = aws.client("kms")
    for page in kms.get_paginator("list_keys").paginate():
        for entry in page["Keys"]:
            described = kms.describe_key(KeyId=entry["KeyId"])["KeyMetadata"]
            if described["Description"] == properties["Description"] and described["KeyState"] == "Enabled":
                return {"Ref": described["KeyId"], "Arn": described["Arn"]}
    created = kms.create_key(Description=properties["Description"])["KeyMetadata"]
    return {"Ref": created["KeyId"], "Arn": created["Arn"]}


def _alias(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    kms = aws.client("kms")
    name = properties["AliasName"]
    try:
        kms.describe_key(KeyId=name)
    except kms.exceptions.NotFoundException:
        kms.create_alias(AliasName=name, TargetKeyId=properties["TargetKeyId"])
    return {"Ref": name}


def _table(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    dynamodb = aws.client("dynamodb")
    name = properties["TableName"]
    later = ("TimeToLiveSpecification", "PointInTimeRecoverySpecification", "SSESpecification")
    try:
        existing = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        arguments = {key: value for key, value in properties.items() if key not in later}
        existing = dynamodb.create_table(**arguments)["TableDescription"]
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
    present = {index["IndexName"] for index in existing.get("GlobalSecondaryIndexes", [])}
    for index in properties["GlobalSecondaryIndexes"]:
        if index["IndexName"] not in present:
            dynamodb.update_table(
                TableName=name,
                AttributeDefinitions=properties["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
    return {"Ref": name, "Arn": existing["TableArn"]}


def _bucket(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    s3 = aws.client("s3")
    name = properties["BucketName"]
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"])
        s3.put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
        )
    return {"Ref": name, "Arn": f"arn:aws:s3:::{name}"}


def _queue(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    sqs = aws.client("sqs")
    name = properties["QueueName"]
    attributes = {
        key: json.dumps(value) if isinstance(value, dict) else str(value)
        for key, value in properties.items()
        if key in ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "DelaySeconds")
    }
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return {"Ref": url, "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", "QueueName": name}


def _user_pool(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    cognito = aws.client("cognito-idp")
    arguments = {key: value for key, value in properties.items() if key not in ("UserPoolName", "EnabledMfas")}
    for page in cognito.get_paginator("list_user_pools").paginate(MaxResults=60):
        for pool in page["UserPools"]:
            if pool["Name"] == properties["UserPoolName"]:
                return {"Ref": pool["Id"], "Arn": f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{pool['Id']}"}
    # Cognito refuses an MFA setting before a factor is configured.
    mfa = arguments.pop("MfaConfiguration", "OFF")
    created = cognito.create_user_pool(PoolName=properties["UserPoolName"], **arguments)["UserPool"]
    if mfa != "OFF":
        cognito.set_user_pool_mfa_config(
            UserPoolId=created["Id"],
            SoftwareTokenMfaConfiguration={"Enabled": "SOFTWARE_TOKEN_MFA" in properties["EnabledMfas"]},
            MfaConfiguration=mfa,
        )
    return {"Ref": created["Id"], "Arn": created["Arn"]}


def _user_pool_client(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    cognito = aws.client("cognito-idp")
    pool = properties["UserPoolId"]
    for page in cognito.get_paginator("list_user_pool_clients").paginate(UserPoolId=pool, MaxResults=60):
        for existing in page["UserPoolClients"]:
            if existing["ClientName"] == properties["ClientName"]:
                return {"Ref": existing["ClientId"]}
    return {"Ref": cognito.create_user_pool_client(**properties)["UserPoolClient"]["ClientId"]}


def _configuration_set(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    ses = aws.client("sesv2")
    name = properties["Name"]
    try:
        ses.get_configuration_set(ConfigurationSetName=name)
    except ses.exceptions.NotFoundException:
        ses.create_configuration_set(ConfigurationSetName=name)
    return {"Ref": name}


def _mail_identity(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    ses = aws.client("sesv2")
    name = properties["EmailIdentity"]
    try:
        ses.get_email_identity(EmailIdentity=name)
    except ses.exceptions.NotFoundException:
        ses.create_email_identity(EmailIdentity=name)
    return {"Ref": name}


def _cluster(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    created = aws.client("ecs").create_cluster(clusterName=properties["ClusterName"])["cluster"]
    return {"Ref": created["clusterName"], "Arn": created["clusterArn"]}


def _parameter(aws: Aws, properties: dict[str, Any]) -> dict[str, str]:
    ssm = aws.client("ssm")
    try:
        same = ssm.get_parameter(Name=properties["Name"])["Parameter"]["Value"] == properties["Value"]
    except ssm.exceptions.ParameterNotFound:
        same = False
    if not same:
        ssm.put_parameter(Name=properties["Name"], Type=properties["Type"], Value=properties["Value"], Overwrite=True)
    return {"Ref": properties["Name"]}


#: In dependency order; the other types of `resources.yaml` have no function on one machine.
_CREATORS: tuple[tuple[str, Callable[[Aws, dict[str, Any]], dict[str, str]]], ...] = (
    ("AWS::KMS::Key", _key),
    ("AWS::KMS::Alias", _alias),
    ("AWS::DynamoDB::Table", _table),
    ("AWS::S3::Bucket", _bucket),
    ("AWS::SQS::Queue", _queue),
    ("AWS::Cognito::UserPool", _user_pool),
    ("AWS::Cognito::UserPoolClient", _user_pool_client),
    ("AWS::SES::ConfigurationSet", _configuration_set),
    ("AWS::SES::EmailIdentity", _mail_identity),
    ("AWS::ECS::Cluster", _cluster),
    ("AWS::SSM::Parameter", _parameter),
)


def _service(aws: Aws, cluster: str, service: str, runners: int) -> None:
    """Creates the ECS service whose desired count the supervisor reconciles.

    Its task definition does not exist, so MiniStack stores the counts and starts no containers.
    """
    ecs = aws.client("ecs")
    described = ecs.describe_services(cluster=cluster, services=[service])["services"]
    if not any(each["status"] == "ACTIVE" for each in described):
        ecs.create_service(cluster=cluster, serviceName=service, taskDefinition=service, desiredCount=runners)


def _secret(aws: Aws, name: str, given: str | None) -> None:
    ssm = aws.client("ssm")
    try:
        present = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        present = None
    if present is None or given not in (None, present):
        value = given or secrets.token_urlsafe(32)
        ssm.put_parameter(Name=name, Type="SecureString", Value=value, Overwrite=present is not None)
