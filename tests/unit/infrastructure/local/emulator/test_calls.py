"""Which service a request to the emulated AWS is for, and whether it may change something: a table of cases."""

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from infrastructure.local.emulator.calls import Call, Service, call_of

SIGNED = "AWS4-HMAC-SHA256 Credential=AKIA/20261128/eu-central-1/{}/aws4_request, SignedHeaders=host, Signature=0a"
PRESIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261128%2Feu-central-1%2F{}%2Faws4_request"


def headers(service: str = "", target: str = "") -> list[tuple[bytes, bytes]]:
    named = {"Authorization": SIGNED.format(service) if service else "", "X-Amz-Target": target}
    return [(name.encode(), value.encode()) for name, value in named.items() if value]


@pytest.mark.parametrize(
    ("method", "query", "service", "target", "expected"),
    [
        ("POST", "", "kms", "TrentService.Decrypt", Call(Service.KMS, False)),
        ("POST", "", "kms", "TrentService.Encrypt", Call(Service.KMS, False)),
        ("POST", "", "kms", "TrentService.CreateKey", Call(Service.KMS, True)),
        ("POST", "", "kms", "TrentService.GetParametersForImport", Call(Service.KMS, True)),
        ("POST", "", "kms", "TrentService.GetSomethingNew", Call(Service.KMS, True)),
        ("POST", "", "", "TrentService.ScheduleKeyDeletion", Call(Service.KMS, True)),
        ("POST", "", "ssm", "AmazonSSM.GetParameter", Call(Service.SSM, False)),
        ("POST", "", "ssm", "AmazonSSM.PutParameter", Call(Service.SSM, True)),
        ("POST", "", "ecs", "AmazonEC2ContainerServiceV20141113.DescribeServices", Call(Service.ECS, False)),
        ("POST", "", "ecs", "AmazonEC2ContainerServiceV20141113.UpdateService", Call(Service.ECS, True)),
        ("POST", "", "cognito-idp", "AWSCognitoIdentityProviderService.AdminGetUser", Call(Service.COGNITO, False)),
        ("POST", "", "cognito-idp", "AWSCognitoIdentityProviderService.InitiateAuth", Call(Service.COGNITO, True)),
        ("POST", "", "", "AWSCognitoIdentityProviderService.ConfirmSignUp", Call(Service.COGNITO, True)),
        ("POST", "", "sqs", "AmazonSQS.SendMessage", Call(Service.SQS, True)),
        ("POST", "", "sqs", "", Call(Service.SQS, True)),
        ("GET", "Action=CreateQueue", "sqs", "", Call(Service.SQS, True)),
        ("GET", "", "ses", "", Call(Service.SES, False)),
        ("POST", "", "ses", "", Call(Service.SES, True)),
        ("DELETE", "", "ses", "", Call(Service.SES, True)),
        ("GET", "Action=VerifyEmailIdentity", "ses", "", Call(Service.SES, True)),
        ("GET", "", "s3", "", Call(Service.S3, False)),
        ("HEAD", "versioning", "s3", "", Call(Service.S3, False)),
        ("PUT", "", "s3", "", Call(Service.S3, True)),
        ("POST", "delete", "s3", "", Call(Service.S3, True)),
        ("PUT", PRESIGNED.format("s3"), "", "", Call(Service.S3, True)),
        ("GET", PRESIGNED.format("s3"), "", "", Call(Service.S3, False)),
        ("PUT", "AWSAccessKeyId=AKIA&Signature=a&Expires=1", "", "", Call(Service.S3, True)),
        # who knows what these do
        ("GET", "", "", "", Call(Service.UNKNOWN, True)),
        ("GET", "", "lambda", "", Call(Service.UNKNOWN, True)),
        ("POST", "", "", "DynamoDB_20120810.GetItem", Call(Service.UNKNOWN, True)),
        ("POST", "", "kms", "SomethingElse.Decrypt", Call(Service.KMS, False)),
        ("POST", "", "lambda", "TrentService.Decrypt", Call(Service.KMS, False)),
        ("POST", "", "unknown", "X.Decrypt", Call(Service.UNKNOWN, True)),
        ("GET", "X-Amz-Credential=s3", "", "", Call(Service.UNKNOWN, True)),
    ],
    ids=str,
)
def test_a_request_is_a_call_of_a_service_that_may_change_something(
    method: str, query: str, service: str, target: str, expected: Call
) -> None:
    assert call_of(method, query, headers(service, target)) == expected


def test_a_header_that_is_no_scope_is_of_no_service() -> None:
    for text in ("", "Basic abc", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b/c, x=/kms/"):
        assert call_of("GET", "", [(b"authorization", text.encode())]) == Call(Service.UNKNOWN, True)
    assert call_of("GET", "%ff&&=&X-Amz-Credential", [(b"\xff", b"\xff")]) == Call(Service.UNKNOWN, True)


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "expected"),
    [
        ("kms", "decrypt", {"CiphertextBlob": b"x"}, Call(Service.KMS, False)),
        ("kms", "create_alias", {"AliasName": "alias/a", "TargetKeyId": "k"}, Call(Service.KMS, True)),
        ("ssm", "get_parameter", {"Name": "/a"}, Call(Service.SSM, False)),
        ("ssm", "put_parameter", {"Name": "/a", "Value": "b", "Type": "String"}, Call(Service.SSM, True)),
        ("ecs", "describe_services", {"services": ["s"]}, Call(Service.ECS, False)),
        ("ecs", "update_service", {"service": "s", "desiredCount": 2}, Call(Service.ECS, True)),
        ("cognito-idp", "admin_get_user", {"UserPoolId": "p_1", "Username": "u"}, Call(Service.COGNITO, False)),
        ("cognito-idp", "admin_create_user", {"UserPoolId": "p_1", "Username": "u"}, Call(Service.COGNITO, True)),
        ("sesv2", "get_email_identity", {"EmailIdentity": "a.test"}, Call(Service.SES, False)),
        ("sesv2", "create_email_identity", {"EmailIdentity": "a.test"}, Call(Service.SES, True)),
        ("ses", "verify_domain_identity", {"Domain": "a.test"}, Call(Service.SES, True)),
        ("s3", "get_object", {"Bucket": "bucket", "Key": "k"}, Call(Service.S3, False)),
        ("s3", "put_object", {"Bucket": "bucket", "Key": "k", "Body": b"x"}, Call(Service.S3, True)),
        ("s3", "delete_objects", {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "k"}]}}, Call(Service.S3, True)),
        ("sqs", "send_message", {"QueueUrl": "https://sqs.test/1/q", "MessageBody": "x"}, Call(Service.SQS, True)),
    ],
    ids=str,
)
def test_what_boto3_sends_is_recognised(
    service: str, operation: str, arguments: dict[str, object], expected: Call
) -> None:
    client = boto3.client(  # type: ignore[call-overload]
        service,
        region_name="eu-central-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    seen: list[AWSRequest] = []

    class Sent(Exception):
        """The request is known; it need not be sent."""

    def keep(request: AWSRequest, **_more: object) -> None:
        seen.append(request)
        raise Sent

    client.meta.events.register("before-send", keep)
    with pytest.raises(Sent):
        getattr(client, operation)(**arguments)
    [request] = seen
    sent: Any = request.headers.items()
    named = [(name.encode(), value if isinstance(value, bytes) else str(value).encode()) for name, value in sent]
    assert call_of(str(request.method), str(request.url).partition("?")[2], named) == expected
