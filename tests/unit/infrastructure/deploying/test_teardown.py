"""Steps before a stage is deleted, and the templates' policies about data."""

from pathlib import Path
from typing import Any, cast

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.deploying import teardown
from infrastructure.deploying.aws.account import Account
from infrastructure.deploying.aws.artifacts import Artifacts
from infrastructure.deploying.context import Context
from infrastructure.deploying.settings import parse
from infrastructure.deploying.stateful_resources import IDENTIFIERS, STATEFUL_TYPES
from infrastructure.packaging import template
from infrastructure.packaging.package import PARTS
from tests.unit.infrastructure.conftest import STACK


class Ecs:
    """moto has no UpdateTaskProtection."""

    def __init__(self, *pages: list[str]) -> None:
        self._pages = pages
        self.unprotected: list[list[str]] = []

    def get_paginator(self, name: str) -> "Ecs":
        assert name == "list_tasks"
        return self

    def paginate(self, *, PaginationConfig: dict[str, int], **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        assert PaginationConfig["PageSize"] <= 10  # UpdateTaskProtection takes no more
        return [{"taskArns": list(page)} for page in self._pages]

    def update_task_protection(self, *, tasks: list[str], protectionEnabled: bool, **_: Any) -> None:  # noqa: N803
        assert protectionEnabled is False
        self.unprotected.append(tasks)


class Events:
    def __init__(self) -> None:
        self.off: list[str] = []

    def disable_rule(self, *, Name: str) -> None:  # noqa: N803
        self.off.append(Name)


class Clients:
    def __init__(self, **clients: Any) -> None:
        self._clients = clients

    def client(self, service: str) -> Any:
        return self._clients[service]


def test_schedules_are_disabled_and_task_protection_ends() -> None:
    ecs, events = Ecs(["one", "two"], [], ["three"]), Events()
    resources = {
        "Rule": ("AWS::Events::Rule", "answerline-unit-Reconcile"),
        "RunnerCluster": ("AWS::ECS::Cluster", "answerline-unit"),
        "Queue": ("AWS::SQS::Queue", "url"),
    }
    teardown._release_runners(cast(Account, Clients(ecs=ecs, events=events)), "answerline-unit", resources)
    assert events.off == ["answerline-unit-Reconcile"]
    assert ecs.unprotected == [["one", "two"], ["three"]]


def test_a_stage_without_a_cluster_has_no_task_protection_to_end() -> None:
    ecs = Ecs(["one"])
    teardown._release_runners(cast(Account, Clients(ecs=ecs, events=Events())), "answerline-unit", {})
    assert ecs.unprotected == []


@pytest.mark.parametrize("protected", [True, False])
def test_a_table_is_deleted_only_after_its_protection_has_ended(account: Account, protected: bool) -> None:
    dynamodb = account.client("dynamodb")
    dynamodb.create_table(
        TableName="answerline-unit",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=protected,
    )
    asked: list[str] = []
    dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name))
    teardown._delete(account, "TableName", "answerline-unit")
    end_of_protection = ["UpdateTable", "DescribeTable"] if protected else []
    assert asked == ["DescribeTable", *end_of_protection, "DeleteTable"]
    teardown._delete(account, "TableName", "answerline-unit")  # a missing one is fine


class RolledBack:
    """CloudFormation after a failed creation of the stores, a state that moto does not have."""

    def __init__(self) -> None:
        self.status = "ROLLBACK_COMPLETE"

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        return {"Stacks": [{"StackStatus": self.status, "StackId": "id"}]}

    def delete_stack(self, **_: Any) -> None:
        self.status = "DELETE_COMPLETE"

    def get_paginator(self, name: str) -> "RolledBack":
        assert name in ("list_stack_resources", "describe_stack_events")
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        table = {"LogicalResourceId": "Table", "PhysicalResourceId": STACK, "ResourceType": "AWS::DynamoDB::Table"}
        pool = {"LogicalResourceId": "UserPool", "PhysicalResourceId": "p", "ResourceType": "AWS::Cognito::UserPool"}
        listed = [{**table, "ResourceStatus": "DELETE_SKIPPED"}, {**pool, "ResourceStatus": "DELETE_COMPLETE"}]
        return [{"StackResourceSummaries": listed, "StackEvents": []}]


@pytest.mark.parametrize("data", ["", "delete"])
def test_data_stores_that_a_rolled_back_first_change_left_are_listed_and_deleted_on_request(
    account: Account, artifacts: Artifacts, reported: list[str], data: str
) -> None:
    account._clients["cloudformation"] = RolledBack()
    table = {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    dynamodb = account.client("dynamodb")
    dynamodb.create_table(TableName=STACK, BillingMode="PAY_PER_REQUEST", **table)
    answers = ["unit", "delete unit"]
    context = Context(account, Path(), report=reported.append, ask=lambda _: answers.pop(0))
    teardown.destroy(context, parse({"STAGE": "unit", "DATA": data}))
    if data:
        assert dynamodb.list_tables()["TableNames"] == []
    else:
        assert artifacts.kept() == {"Table": {"TableName": STACK}}
        assert dynamodb.list_tables()["TableNames"] == [STACK]


def declared() -> dict[str, Any]:
    """Our resources of all template files."""
    paths = [REPOSITORY / "infrastructure" / "cloudformation" / part for part in PARTS]
    body = template.merged([(path.name, template.load(path)) for path in paths if path.is_file()])
    return {name: resource for name, resource in body["Resources"].items() if "Type" in resource}


def test_data_stores_are_retained_and_can_be_imported() -> None:
    resources = declared()
    data = {name for name, resource in resources.items() if resource["Type"] in STATEFUL_TYPES}
    assert data == {"Table", "Bucket", "Key", "UserPool"}
    for name in data:
        assert resources[name]["DeletionPolicy"] == resources[name]["UpdateReplacePolicy"] == "Retain", name
        assert resources[name]["Type"] in IDENTIFIERS, name
        assert resources[name]["Type"] in teardown.COSTS, name


def test_imported_data_stores_refer_to_no_other_resource() -> None:
    resources = declared()
    data = {"Table", "Bucket", "Key", "UserPool"}
    for name in data:
        assert set(_references(resources[name])) & set(resources) <= data, name


def _references(value: Any) -> list[str]:
    """Every name that a Ref, GetAtt, Sub or DependsOn of this value could mean."""
    if isinstance(value, list):
        return [name for each in value for name in _references(each)]
    if not isinstance(value, dict):
        return []
    found = [str(value[key]) for key in ("Ref", "DependsOn") if key in value]
    if "Fn::GetAtt" in value:
        found.append(str(value["Fn::GetAtt"][0]))
    if "Fn::Sub" in value:
        text = value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0]
        found += [part.partition("}")[0].partition(".")[0] for part in text.split("${")[1:]]
    return found + [name for each in value.values() for name in _references(each)]
