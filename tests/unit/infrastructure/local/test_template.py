"""resources.yaml resolves as CloudFormation would, and holds what the design asks for."""

from collections import defaultdict
from typing import Any

import pytest

from infrastructure.local.resources import _CREATORS
from infrastructure.local.template import Template, load

PSEUDO = {
    "AWS::StackName": "line",
    "AWS::AccountId": "000000000000",
    "AWS::Region": "eu-central-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


def template(**parameters: str) -> Template:
    return Template(load(), PSEUDO, parameters)


def test_every_name_carries_the_stack() -> None:
    found = template()
    found.created["Key"] = {"Arn": "arn:key"}
    assert found.properties("Table")["TableName"] == "line"
    assert found.properties("Bucket")["BucketName"] == "line-data-000000000000"
    assert found.properties("DeadJobsQueue")["QueueName"] == "line-jobs-dead"


def test_the_table_has_the_indexes_of_the_design() -> None:
    table = template().properties("Table")
    shapes = {
        index["IndexName"]: (
            [key["AttributeName"] for key in index["KeySchema"]],
            index["Projection"]["ProjectionType"],
        )
        for index in [*table["GlobalSecondaryIndexes"], *table["LocalSecondaryIndexes"]]
    }
    assert shapes == {
        "by_time": (["pk", "at"], "ALL"),
        "directory": (["directory", "directory_order"], "ALL"),
        "unplaced": (["unplaced", "unplaced_since"], "KEYS_ONLY"),
        "open_turns": (["open_turns", "due_at"], "ALL"),
    }
    assert (table["BillingMode"], table["DeletionProtectionEnabled"]) == ("PAY_PER_REQUEST", True)


def test_a_reference_to_a_missing_resource_is_reported() -> None:
    found = template()
    with pytest.raises(LookupError, match=r"DeadJobsQueue\.Arn before it is created"):
        found.properties("JobsQueue")
    found.created["DeadJobsQueue"] = {"Arn": "arn:dead"}
    redrive: dict[str, Any] = found.properties("JobsQueue")["RedrivePolicy"]
    assert redrive == {"deadLetterTargetArn": "arn:dead", "maxReceiveCount": 20}


def test_conditions_choose() -> None:
    assert template().of_type("AWS::SES::EmailIdentity") == []
    assert template(MailIdentity="a.example").of_type("AWS::SES::EmailIdentity") == ["MailSender"]
    assert template(PublicBaseUrl="https://a.example").properties("PublicBaseUrlParameter")["Value"] == (
        "https://a.example"
    )


def test_without_a_public_address_the_apis_own_is_used() -> None:
    found = template()
    found.created["RestAPI"] = {"Ref": "abc"}
    value = found.properties("PublicBaseUrlParameter")["Value"]
    assert value == "https://abc.execute-api.eu-central-1.amazonaws.com/api"


def test_what_holds_data_is_kept_when_the_stack_goes() -> None:
    resources = load()["Resources"]
    for name in ("Table", "Bucket", "Key", "UserPool"):
        assert resources[name]["DeletionPolicy"] == resources[name]["UpdateReplacePolicy"] == "Retain"


def test_one_machine_creates_each_resource_after_those_that_it_refers_to() -> None:
    found = template(MailIdentity="a.example", MailFrom="l@a.example", PublicBaseUrl="https://a.example/api")
    for kind, _ in _CREATORS:
        for name in found.of_type(kind):
            found.properties(name)
            found.created[name] = defaultdict(str)
