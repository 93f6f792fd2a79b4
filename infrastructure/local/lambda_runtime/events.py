"""Builds the events that API Gateway, SQS and EventBridge pass to a Lambda function, in their real shape."""

import base64
import hashlib
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from infrastructure.local.aws import ACCOUNT, REGION

#: The API Gateway stage. Every path contains it, so an absolute link without it breaks here as on AWS.
STAGE = "api"


@dataclass(frozen=True)
class Request:
    """An HTTP request as received."""

    method: str
    #: with the stage, percent-encoding as sent
    path: str
    query: str
    #: in the order and with the repetitions of the request
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source: str


def rest_event(
    request: Request,
    *,
    resource: str,
    path: str,
    path_parameters: Mapping[str, str],
    binary_types: Iterable[str],
    request_id: str,
    now: float,
) -> dict[str, Any]:
    """Builds a REST API proxy event; ``path`` is without the stage, ``now`` in epoch seconds."""
    several: dict[str, list[str]] = {}
    for name, value in request.headers:
        several.setdefault(name, []).append(value)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    host = _last(several, "Host")
    encoded = is_binary(_last(several, "Content-Type"), binary_types) and bool(request.body)
    at = datetime.fromtimestamp(now, UTC)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in several.items()},
        "multiValueHeaders": several,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(path_parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "sourceIp": request.source,
                "user": None,
                "userAgent": _last(several, "User-Agent"),
                "userArn": None,
            },
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTime": at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": "local",
            "resourcePath": resource,
            "stage": STAGE,
        },
        "body": _body(request.body, encoded),
        "isBase64Encoded": encoded,
    }


def is_binary(content_type: str, binary_types: Iterable[str]) -> bool:
    """Returns whether API Gateway treats this media type (of a body, or the first of an Accept) as binary."""
    plain = content_type.partition(",")[0].partition(";")[0].strip().lower()
    return any(each in ("*/*", plain) for each in binary_types)


def _body(body: bytes, encoded: bool) -> str | None:
    if not body:
        return None
    return base64.b64encode(body).decode("ascii") if encoded else body.decode("utf-8", errors="replace")


def _last(several: Mapping[str, list[str]], name: str) -> str:
    return several.get(name, [""])[-1]


def sqs_event(message: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Builds the event of an SQS event source mapping, with a batch of one."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {
                    name: {
                        "stringValue": value.get("StringValue"),
                        "binaryValue": value.get("BinaryValue"),
                        "stringListValues": [],
                        "binaryListValues": [],
                        "dataType": value["DataType"],
                    }
                    for name, value in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message.get("MD5OfBody")
                or hashlib.md5(message["Body"].encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
                "awsRegion": REGION,
            }
        ]
    }


def schedule_event(rule: str, now: float) -> dict[str, Any]:
    """Builds the event that EventBridge sends on a schedule."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"],
        "detail": {},
    }


def task_stopped_event(task: str, cluster: str, service: str, reason: str, now: float) -> dict[str, Any]:
    """Builds the event that ECS puts on the event bus when a task has stopped."""
    return {
        **schedule_event(service, now),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "resources": [task],
        "detail": {
            "taskArn": task,
            "clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{cluster}",
            "group": f"service:{service}",
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            "stoppedReason": reason,
        },
    }


def mail_bounced_event(
    identifier: str, recipients: Iterable[str], tags: Mapping[str, str], code: int, now: float
) -> dict[str, Any]:
    """Builds the event that SES puts on the event bus after a permanent bounce."""
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    addresses = list(recipients)
    failure = {"action": "failed", "status": f"{code // 100}.0.0", "diagnosticCode": f"smtp; {code}"}
    return {
        **schedule_event("mail", now),
        "detail-type": "Email Bounced",
        "source": "aws.ses",
        "resources": [],
        "detail": {
            "eventType": "Bounce",
            "mail": {
                "timestamp": at,
                "messageId": identifier,
                "destination": addresses,
                "tags": {name: [value] for name, value in tags.items()},
            },
            "bounce": {
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "bouncedRecipients": [{"emailAddress": address, **failure} for address in addresses],
                "timestamp": at,
                "feedbackId": str(uuid.uuid4()),
            },
        },
    }


def matches(event: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    """Returns whether EventBridge would match the event with this pattern (lists of equal values only)."""
    for name, expected in pattern.items():
        value = event.get(name)
        if isinstance(expected, Mapping):
            if not isinstance(value, Mapping) or not matches(value, expected):
                return False
        elif value not in expected:
            return False
    return True


@dataclass(frozen=True)
class LambdaContext:
    """The second argument of a Lambda function."""

    function_name: str
    timeout_seconds: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    memory_limit_in_mb: int = 512
    function_version: str = "$LATEST"
    log_stream_name: str = "local"
    started_at: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        """Returns the function's ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """Returns the function's log group."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Returns the time until the function's timeout."""
        return max(0, int((self.timeout_seconds - (time.monotonic() - self.started_at)) * 1000))
