"""CloudFormation: a change is proposed, shown, applied; a loss of data is refused; a failure is explained."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.artifacts import Artifacts
from infrastructure.deploying.aws.changes import Change, ChangeSet, Kind, explain_failure
from infrastructure.deploying.aws.stack import APPLIED_WITHIN_SECONDS, Stack
from infrastructure.deploying.stateful_resources import data_loss
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


def test_a_deleted_stack_is_gone_and_may_come_again(stack: Stack, artifacts: Artifacts) -> None:
    applied(stack, artifacts, "one", "a")
    stack.delete()
    assert not stack.exists()
    assert stack.described() is None
    applied(stack, artifacts, "two", "a")
    assert stack.exists()


#: DescribeEvents takes no other name of a change set.
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/deploy/1"


class CloudFormation:
    """Where moto can't: states, refusals and failures that only AWS gets into."""

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


def test_a_failed_change_says_what_failed_first_and_what_to_do(reported: list[str], time: Time) -> None:
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
    told = str(failure.value)
    assert told.index("First") < told.index("Second")
    assert "remove it, or choose another STAGE" in told
    assert "permission" in told
    assert "Third" not in told
    assert "The former version runs on" in told
    assert [line.split()[-1] for line in reported if "of" in line] == ["Before", "Other"]  # each once, in their order


def test_the_status_from_before_a_change_is_not_taken_for_its_end(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation(
        "UPDATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"
    )
    with pytest.raises(CannotDeploy, match="UPDATE_ROLLBACK_COMPLETE"):
        stack_of(cloudformation, reported, time).apply(EMPTY)


def test_a_change_that_does_not_end_is_not_waited_for_for_ever(reported: list[str], time: Time) -> None:
    with pytest.raises(CannotDeploy, match="still changes after 210 minutes"):
        stack_of(CloudFormation("UPDATE_IN_PROGRESS"), reported, time).apply(EMPTY)
    assert APPLIED_WITHIN_SECONDS <= time.now < APPLIED_WITHIN_SECONDS + 60


def test_a_proposal_that_does_not_come_is_not_waited_for_for_ever(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation("CREATE_COMPLETE")
    cloudformation.proposals = [{"Status": "CREATE_IN_PROGRESS"}]
    with pytest.raises(CannotDeploy, match="within ten minutes"):
        stack_of(cloudformation, reported, time).propose("url", {}, name="n")


def test_cloudformations_refusal_is_told_and_leaves_no_proposal(reported: list[str], time: Time) -> None:
    cloudformation = CloudFormation("CREATE_COMPLETE")
    cloudformation.proposals = [{"Status": "FAILED", "StatusReason": "Parameter X must be a domain"}]
    with pytest.raises(CannotDeploy, match="must be a domain"):
        stack_of(cloudformation, reported, time).propose("url", {}, name="n")
    assert cloudformation.deleted == [ARN]


EARLY = {
    "Status": "FAILED",
    "StatusReason": "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck].",
}


def test_what_did_not_pass_validation_is_named_with_its_mend(reported: list[str], time: Time) -> None:
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


def test_who_may_not_ask_what_did_not_pass_is_told_the_sentence_alone(reported: list[str], time: Time) -> None:
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
def test_a_change_that_fails_returns_to_what_was_before(
    status: str, kind: str, reported: list[str], time: Time
) -> None:
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
def test_a_state_that_allows_no_change_says_what_to_do(status: str, fix: str, reported: list[str], time: Time) -> None:
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


def test_what_a_change_left_behind_when_it_was_rolled_back_is_not_the_stacks() -> None:
    listed = Listed(Made="CREATE_COMPLETE", Gone="DELETE_COMPLETE", Retained="DELETE_SKIPPED", Stuck="DELETE_FAILED")
    assert set(Stack(listed, STACK).resources()) == {"Made", "Stuck"}
    assert set(Stack(listed, STACK).resources(with_retained=True)) == {"Made", "Stuck", "Retained"}


# -- what of a proposal is refused -----------------------------------------------------------------------------------


def table(action: str, replacement: str = "False") -> Change:
    return Change(action, "Table", "AWS::DynamoDB::Table", replacement)


@pytest.mark.parametrize(
    "change", [table("Remove"), table("Modify", "True"), table("Modify", "Conditional")], ids=lambda c: c.word
)
def test_what_would_lose_data_is_refused(change: Change) -> None:
    assert "Table" in data_loss([change])[0]


@pytest.mark.parametrize(
    "change",
    [
        table("Add"),
        table("Modify"),
        table("Import"),
        Change("Remove", "Queue", "AWS::SQS::Queue"),
        Change("Modify", "Service", "AWS::ECS::Service", "True"),
    ],
    ids=lambda change: f"{change.word} {change.resource}",
)
def test_what_loses_nothing_is_not(change: Change) -> None:
    assert data_loss([change]) == []


def test_a_replacement_that_a_person_ruled_out_by_name_goes_on_but_never_a_certain_one() -> None:
    assert data_loss([table("Modify", "Conditional")], {"Table"}) == []
    assert data_loss([table("Modify", "True")], {"Table"})
    assert data_loss([table("Remove")], {"Table"})


def test_the_table_shows_the_dangerous_first() -> None:
    shown = str(
        ChangeSet(
            "id",
            Kind.UPDATE,
            (Change("Add", "New", "T"), Change("Modify", "Old", "T", "True"), Change("Remove", "Gone", "T")),
        )
    )
    assert [line.split()[:2] for line in shown.splitlines()] == [["remove", "Gone"], ["replace", "Old"], ["add", "New"]]


def test_a_failure_without_a_resource_points_at_the_events() -> None:
    assert "console" in explain_failure(STACK, "CREATE_FAILED", [])
