"""CloudFormation: a change is proposed, shown, applied; a loss of data is refused; a failure is explained."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.artifacts import Artifacts
from infrastructure.deploying.aws.changes import ChangeSet, Kind
from infrastructure.deploying.aws.stack import APPLIED_WITHIN_SECONDS, Stack
from tests.unit.infrastructure.conftest import STACK, Time


def body(*queues: str) -> dict[str, Any]:
    return {
        "Parameters": {"Commit": {"Type": "String", "Default": "none"}},
        "Resources": {name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}} for name in queues},
    }


def proposed(stack: Stack, artifacts: Artifacts, commit: str, *queues: str) -> ChangeSet | None:
    url = artifacts.url(artifacts.upload_template(body(*queues)))
    return stack.propose(url, {"Commit": commit}, name=f"deploy-{commit}", tags={"answerline:stage": "unit"})


def applied(stack: Stack, artifacts: Artifacts, commit: str, *queues: str) -> None:
    change_set = proposed(stack, artifacts, commit, *queues)
    assert change_set is not None
    stack.apply(change_set)


def test_a_new_stage_is_created_and_a_later_one_updated(stack: Stack, artifacts: Artifacts) -> None:
    assert not stack.exists()
    first = proposed(stack, artifacts, "one", "a")
    assert first is not None
    assert (first.kind, [change.word for change in first.changes]) == (Kind.CREATE, ["add"])
    assert not stack.exists()  # proposed is not applied
    stack.apply(first)
    assert stack.exists()
    assert stack.parameters() == {"Commit": "one"}
    assert stack.resources()["a"][0] == "AWS::SQS::Queue"
    second = proposed(stack, artifacts, "two", "a", "b")
    assert second is not None
    assert (second.kind, [change.resource for change in second.changes]) == (Kind.UPDATE, ["b"])
    stack.apply(second)
    assert set(stack.resources()) == {"a", "b"}


def test_no_change_is_no_change(stack: Stack, artifacts: Artifacts) -> None:
    applied(stack, artifacts, "one", "a")
    assert proposed(stack, artifacts, "one", "a") is None
    assert stack.parameters() == {"Commit": "one"}


def test_a_discarded_proposal_changes_nothing(stack: Stack, artifacts: Artifacts) -> None:
    applied(stack, artifacts, "one", "a")
    change_set = proposed(stack, artifacts, "two", "a", "b")
    assert change_set is not None
    stack.discard(change_set)
    assert set(stack.resources()) == {"a"}


def test_a_deleted_stack_can_be_created_again(stack: Stack, artifacts: Artifacts) -> None:
    applied(stack, artifacts, "one", "a")
    stack.delete()
    assert not stack.exists()
    assert stack.described() is None
    applied(stack, artifacts, "two", "a")
    assert stack.exists()


#: DescribeEvents takes no other name of a change set.
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/deploy/1"


class CloudFormation:
    """States, rejections and failures of AWS that moto does not have."""

    def __init__(self, *statuses: str, events: tuple[dict[str, Any], ...] = ()) -> None:
        self.statuses = list(statuses)
        self.events = events
        self.executed = False
        self.begun = False
        self.shown = ""
        self.made: dict[str, Any] = {}
        self.proposals: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.invalid: list[dict[str, Any]] | ClientError = []

    def _validated(self) -> list[dict[str, Any]]:
        if isinstance(self.invalid, ClientError):
            raise self.invalid
        return self.invalid

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.begun = self.begun or status.endswith("_IN_PROGRESS")
        self.shown = status
        return {"Stacks": [{"StackStatus": status, "StackId": "id"}]}

    def create_change_set(self, **request: Any) -> dict[str, str]:
        self.made = request
        return {"Id": ARN}

    def describe_change_set(self, **request: Any) -> dict[str, Any]:
        return self.proposals[1] if "NextToken" in request else self.proposals[0]

    def delete_change_set(self, ChangeSetName: str, **_: Any) -> None:  # noqa: N803
        self.deleted.append(ChangeSetName)

    def execute_change_set(self, **_: Any) -> None:
        self.executed = True

    def get_paginator(self, name: str) -> Any:
        assert name in ("describe_stack_events", "describe_events")
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        if "ChangeSetName" in request:
            assert request == {"ChangeSetName": ARN, "Filters": {"FailedEvents": True}}
            assert self.deleted == [], "events of a change set are gone with it"
            return [{"OperationEvents": self._validated()}]
        own = [{**event(0, STACK, self.shown), "EventId": self.shown}] if self.begun else []
        return [{"StackEvents": [*own, *self.events] if self.executed else []}]


def stack_of(cloudformation: CloudFormation, reported: list[str], time: Time) -> Stack:
    return Stack(cloudformation, STACK, report=reported.append, clock=time, pause=time.pause)


def event(number: int, resource: str, status: str, reason: str = "") -> dict[str, Any]:
    return {
        "EventId": str(number),
        "LogicalResourceId": resource,
        "ResourceType": "AWS::SQS::Queue",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


NOTHING: dict[str, Any] = {"Status": "CREATE_COMPLETE", "Changes": [], "ChangeSetId": "change-set"}
EMPTY = ChangeSet("change-set", Kind.UPDATE, ())


def test_a_failed_change_names_the_first_failures_and_their_fixes(reported: list[str], time: Time) -> None:
    newest_first = (
        event(5, "Other", "UPDATE_COMPLETE"),
        event(4, "Third", "CREATE_FAILED", "Resource creation cancelled"),
        event(3, "Second", "CREATE_FAILED", "AccessDenied on sqs:CreateQueue"),
        event(2, "First", "CREATE_FAILED", "first already exists in stack x"),
        event(1, "Before", "CREATE_COMPLETE"),
    )
    cloudformation = CloudFormation(
        "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE", events=newest_first
    )
    with pytest.raises(CannotDeploy) as failure:
        stack_of(cloudformation, reported, time).apply(EMPTY)
    message = str(failure.value)
    assert message.index("First") < message.index("Second")
    assert "remove it, or choose another STAGE" in message
    assert "permission" in message
    assert "Third" not in message
    assert "The former version runs on" in message
    assert [line.split()[-1] for line in reported if "of" in line] == ["Before", "Other"]  # each once, in their order


def test_the_status_from_before_a_change_is_not_taken_for_its_end(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation(
        "UPDATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"
    )
    with pytest.raises(CannotDeploy, match="UPDATE_ROLLBACK_COMPLETE"):
        stack_of(cloudformation, reported, time).apply(EMPTY)


def test_waiting_for_a_change_has_a_time_limit(reported: list[str], time: Time) -> None:
    with pytest.raises(CannotDeploy, match="still changes after 210 minutes"):
        stack_of(CloudFormation("UPDATE_IN_PROGRESS"), reported, time).apply(EMPTY)
    assert APPLIED_WITHIN_SECONDS <= time.now < APPLIED_WITHIN_SECONDS + 60


def test_waiting_for_a_change_set_has_a_time_limit(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation("CREATE_COMPLETE")
    cloudformation.proposals = [{"Status": "CREATE_IN_PROGRESS"}]
    with pytest.raises(CannotDeploy, match="within ten minutes"):
        stack_of(cloudformation, reported, time).propose("url", {}, name="n")


def test_a_rejected_change_set_is_explained_and_deleted(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation("CREATE_COMPLETE")
    cloudformation.proposals = [{"Status": "FAILED", "StatusReason": "Parameter X must be a domain"}]
    with pytest.raises(CannotDeploy, match="must be a domain"):
        stack_of(cloudformation, reported, time).propose("url", {}, name="n")
    assert cloudformation.deleted == [ARN]


EARLY = {
    "Status": "FAILED",
    "StatusReason": "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck].",
}


def test_a_failed_validation_names_the_resource_and_the_fix(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation("CREATE_COMPLETE")
    cloudformation.proposals = [EARLY]
    cloudformation.invalid = [
        {"EventType": "STACK_EVENT", "OperationStatus": "FAILED"},
        {
            "EventType": "VALIDATION_ERROR",
            "LogicalResourceId": "Bucket",
            "ValidationStatusReason": "Resource of type 'AWS::S3::Bucket' with identifier 'x' already exists.",
            "ValidationPath": "/Resources/Bucket",
        },
    ]
    with pytest.raises(CannotDeploy) as refused_change:
        stack_of(cloudformation, reported, time).propose("url", {}, name="n")
    sentence, named, fix = str(refused_change.value).splitlines()
    assert "ResourceExistenceCheck" in sentence
    assert named.startswith("  Bucket: ")
    assert named.endswith("already exists. (/Resources/Bucket)")
    assert "remove it, or choose another STAGE" in fix
    assert cloudformation.deleted == [ARN]


def test_a_rejection_is_explained_without_permission_to_read_validations(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation("CREATE_COMPLETE")
    cloudformation.proposals = [EARLY]
    cloudformation.invalid = ClientError({"Error": {"Code": "AccessDenied"}}, "DescribeEvents")
    with pytest.raises(CannotDeploy, match="ResourceExistenceCheck"):
        stack_of(cloudformation, reported, time).propose("url", {}, name="n")
    assert cloudformation.deleted == [ARN]


def test_a_long_proposal_is_read_to_its_end(reported: list[str], time: Time) -> None:
    def page(name: str) -> list[dict[str, Any]]:
        return [{"ResourceChange": {"Action": "Add", "LogicalResourceId": name, "ResourceType": "T"}}]

    cloudformation = CloudFormation("CREATE_COMPLETE")
    cloudformation.proposals = [
        {**NOTHING, "Changes": page("One"), "NextToken": "more"},
        {**NOTHING, "Changes": page("Two")},
    ]
    found = stack_of(cloudformation, reported, time).propose("url", {}, name="n")
    assert found is not None
    assert [change.resource for change in found.changes] == ["One", "Two"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("REVIEW_IN_PROGRESS", "CREATE"),
        ("CREATE_COMPLETE", "UPDATE"),
        ("UPDATE_ROLLBACK_COMPLETE", "UPDATE"),
        ("IMPORT_COMPLETE", "UPDATE"),
    ],
)
def test_a_failed_change_is_rolled_back(status: str, kind: str, reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation(status)
    cloudformation.proposals = [NOTHING]
    stack_of(cloudformation, reported, time).propose("url", {}, name="n")
    assert (cloudformation.made["ChangeSetType"], cloudformation.made["OnStackFailure"]) == (kind, "ROLLBACK")


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        ("UPDATE_IN_PROGRESS", "wait for it"),
        ("ROLLBACK_COMPLETE", "make destroy STAGE=unit"),
        ("DELETE_FAILED", "make destroy STAGE=unit"),
        ("CREATE_FAILED", r"make destroy STAGE=unit` \(data stays\)"),
        ("UPDATE_FAILED", "rollback-stack --stack-name answerline-unit"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
    ],
)
def test_a_state_that_allows_no_change_names_the_fix(status: str, fix: str, reported: list[str], time: Time) -> None:
    with pytest.raises(CannotDeploy, match=fix):
        stack_of(CloudFormation(status), reported, time).propose("url", {}, name="n")


class Listed:
    """moto lists no resource that a rolled back change left behind."""

    def __init__(self, **statuses: str) -> None:
        self._statuses = statuses

    def get_paginator(self, name: str) -> "Listed":
        assert name == "list_stack_resources"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [
            {
                "StackResourceSummaries": [
                    {
                        "LogicalResourceId": name,
                        "PhysicalResourceId": "id",
                        "ResourceType": "T",
                        "ResourceStatus": status,
                    }
                    for name, status in self._statuses.items()
                ]
            }
        ]


def test_resources_that_a_rollback_left_behind_are_not_in_the_stack() -> None:
    listed = Listed(Made="CREATE_COMPLETE", Gone="DELETE_COMPLETE", Retained="DELETE_SKIPPED", Stuck="DELETE_FAILED")
    assert set(Stack(listed, STACK).resources()) == {"Made", "Stuck"}
    assert set(Stack(listed, STACK).resources(with_retained=True)) == {"Made", "Stuck", "Retained"}
