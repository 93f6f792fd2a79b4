"""A call to the emulated AWS: the service that it is for, and whether it may change that service's state. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs


class Service(StrEnum):
    """A service, by the name that requests to it are signed with."""

    KMS = "kms"  #: the key that tenants' OpenAI keys are encrypted with
    COGNITO = "cognito-idp"  #: operators
    SSM = "ssm"  #: parameters
    SES = "ses"  #: identities of mail; both versions of its API sign with this name
    ECS = "ecs"  #: the desired count of runners
    S3 = "s3"  #: settings of the bucket; the objects are files of their own
    SQS = "sqs"  #: jobs and events
    UNKNOWN = "unknown"  #: any other


#: The operations that change nothing, among those that Answerline calls; any other one may.
READS = {
    Service.KMS: frozenset({"Encrypt", "Decrypt", "GenerateDataKey", "DescribeKey", "ListKeys", "ListAliases"}),
    Service.COGNITO: frozenset(
        {"AdminGetUser", "ListUsers", "ListUserPools", "ListUserPoolClients", "DescribeUserPool"}
        | {"DescribeUserPoolClient", "GetUserPoolMfaConfig"}
    ),
    Service.SSM: frozenset({"GetParameter", "GetParameters", "GetParametersByPath", "DescribeParameters"}),
    Service.ECS: frozenset({"DescribeServices", "DescribeClusters", "DescribeTasks", "ListTasks", "ListServices"}),
}

#: What stands before the operation in the header X-Amz-Target.
_TARGETS = {
    "TrentService": Service.KMS,
    "AWSCognitoIdentityProviderService": Service.COGNITO,
    "AmazonSSM": Service.SSM,
    "AmazonEC2ContainerServiceV20141113": Service.ECS,
    "AmazonSQS": Service.SQS,
}
#: The services whose HTTP method says whether a call changes something.
_REST = (Service.S3, Service.SES)
_READING_METHODS = ("GET", "HEAD", "OPTIONS")
#: The credential scope: key id, day, region, service.
_SCOPE = re.compile(r"Credential=[^/,\s]+/[^/,\s]+/[^/,\s]+/([^/,\s]+)/")
_PRESIGNED_SCOPE = re.compile(r"[^/]+/[^/]+/[^/]+/([^/]+)/")


@dataclass(frozen=True)
class Call:
    """The meaning of one HTTP request."""

    service: Service
    #: False only if it certainly changes nothing
    changes: bool


def call_of(method: str, query: str, headers: Iterable[tuple[bytes, bytes]]) -> Call:
    """Returns the call that a request makes.

    Args:
        method: the HTTP method.
        query: what stands behind the question mark.
        headers: as ASGI has them.
    """
    named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    parameters = parse_qs(query, keep_blank_values=True)
    target, _, operation = named.get("x-amz-target", "").rpartition(".")
    service = _TARGETS.get(target) or _signed_for(named.get("authorization", ""), parameters)
    if operation and service not in _REST:
        return Call(service, operation not in READS.get(service, ()))
    # The old query protocol may name an operation in the address.
    reads = service in _REST and method in _READING_METHODS and "Action" not in parameters
    return Call(service, not reads)


def _signed_for(authorization: str, parameters: dict[str, list[str]]) -> Service:
    presigned = parameters.get("X-Amz-Credential", [""])[0]
    scope = _SCOPE.search(authorization) or _PRESIGNED_SCOPE.match(presigned)
    if scope is None:
        # A link of the second signature version, which only S3 knows.
        return Service.S3 if "Signature" in parameters and "AWSAccessKeyId" in parameters else Service.UNKNOWN
    try:
        return Service(scope[1])
    except ValueError:
        return Service.UNKNOWN
