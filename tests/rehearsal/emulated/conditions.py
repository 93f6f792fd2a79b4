"""Condition keys of policies that MiniStack's IAM lacks: the table's partition keys, and the way to an object."""

import contextvars
import json
import re
from collections.abc import Iterator
from typing import Any

#: Whether the request that is handled came over the network of the runners.
_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)
#: The comparison with the partition key, which is the first one of a key condition.
_PARTITION_KEY = re.compile(r"\s*\(*\s*[#\w]+\s*=\s*(:\w+)")


def came_from_the_runners_network(*, inside: bool) -> None:
    """Notes the way of the request that is handled."""
    _inside.set(inside)


def permissions_know_the_leading_keys() -> None:
    """``dynamodb:LeadingKeys`` has the partition key of each item of a request."""
    from ministack.core import iam_actions

    context = iam_actions.dynamodb_service_context

    def context_ours(body: bytes) -> dict[str, Any]:
        return {**context(body), "dynamodb:LeadingKeys": sorted(set(leading_keys(json.loads(body or b"{}"))))}

    iam_actions.dynamodb_service_context = context_ours


def leading_keys(request: dict[str, Any]) -> Iterator[str]:
    """Yields the partition keys that a request of DynamoDB names."""
    for written in (request.get("Key"), request.get("Item")):
        if written:
            yield written["pk"]["S"]
    if found := _PARTITION_KEY.match(request.get("KeyConditionExpression", "")):
        yield request["ExpressionAttributeValues"][found[1]]["S"]
    for several in request.get("RequestItems", {}).values():
        if isinstance(several, dict):
            yield from (each["pk"]["S"] for each in several["Keys"])
        else:
            yield from (key for each in several for part in each.values() for key in leading_keys(part))
    for item in request.get("TransactItems", ()):
        yield from (key for part in item.values() for key in leading_keys(part))


def permissions_know_the_way_to_an_object() -> None:
    """``s3:authType`` tells a presigned link from a signed call, ``aws:SourceVpce`` the endpoint that it came by."""
    from ministack.core import iam_actions
    from ministack.services import ec2

    context = iam_actions.s3_service_context

    def context_ours(action: str, query: dict[str, Any] | None, path: str = "", headers: Any = None) -> dict[str, Any]:
        ours = {"s3:authType": "REST-QUERY-STRING" if "X-Amz-Signature" in (query or {}) else "REST-HEADER"}
        if _inside.get():
            (ours["aws:SourceVpce"],) = list(ec2._vpc_endpoints)
        return {**context(action, query, path, headers), **ours}

    iam_actions.s3_service_context = context_ours
