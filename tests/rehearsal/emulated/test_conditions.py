"""The partition keys of a request, as DynamoDB's ``dynamodb:LeadingKeys`` has them."""

from typing import Any

import pytest

from tests.rehearsal.emulated.conditions import leading_keys


def key(value: str) -> dict[str, Any]:
    return {"pk": {"S": value}, "sk": {"S": "SESSION"}}


@pytest.mark.parametrize(
    ("request_of", "keys"),
    [
        ({"TableName": "t", "Key": key("TENANT#a")}, {"TENANT#a"}),
        ({"TableName": "t", "Item": {**key("RUNNER#b"), "lease": {"N": "1"}}}, {"RUNNER#b"}),
        (
            {
                "KeyConditionExpression": "#a = :b AND begins_with(#c, :d)",
                "ExpressionAttributeValues": {":b": {"S": "CHAT#x"}, ":d": {"S": "TURN#"}},
            },
            {"CHAT#x"},
        ),
        (
            {"KeyConditionExpression": "(directory = :one)", "ExpressionAttributeValues": {":one": {"S": "RUNNER"}}},
            {"RUNNER"},
        ),
        ({"RequestItems": {"t": {"Keys": [key("A"), key("B")]}}}, {"A", "B"}),
        (
            {"RequestItems": {"t": [{"PutRequest": {"Item": key("A")}}, {"DeleteRequest": {"Key": key("B")}}]}},
            {"A", "B"},
        ),
        (
            {
                "TransactItems": [
                    {"Update": {"Key": key("A")}},
                    {"Put": {"Item": key("B")}},
                    {"Delete": {"Key": key("C")}},
                ]
            },
            {"A", "B", "C"},
        ),
        ({"TableName": "t"}, set()),
    ],
)
def test_each_item_of_a_request_counts(request_of: dict[str, Any], keys: set[str]) -> None:
    assert set(leading_keys(request_of)) == keys
