"""CloudFormation: proposes, applies and waits for the changes of a stack, and explains a failure."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.changes import Change, ChangeSet, Kind, explain_failure, explain_rejection

CAPABILITIES: Final = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
POLL_EVERY_SECONDS: Final = 5.0
PROPOSED_WITHIN_SECONDS: Final = 600
#: Longer than the three hours that runners may take to hand their sessions over.
APPLIED_WITHIN_SECONDS: Final = 12_600
#: The statuses after a change that succeeded.
SUCCEEDED: Final = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
#: The statuses in which a version runs: the new one, or after a rollback the former one.
SETTLED: Final = (*SUCCEEDED, "UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE")
DELETED: Final = "DELETE_COMPLETE"
#: The status of a resource that a policy kept when it left the stack, or when the first change was rolled back.
RETAINED: Final = "DELETE_SKIPPED"
#: CloudFormation's two messages for a change set without changes.
NO_CHANGES: Final = ("didn't contain changes", "No updates are to be performed")


class StillChanges(CannotDeploy):
    """CloudFormation still changes the stack after the time limit; it goes on by itself."""


class Stack:
    """A stack of CloudFormation.

    Args:
        cloudformation: a boto3 client.
        name: the stack's name.
        report: prints a line of progress.
        clock: monotonic seconds.
        pause: sleeps for so many seconds.
    """

    def __init__(
        self,
        cloudformation: Any,
        name: str,
        *,
        report: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cloudformation = cloudformation
        self.name = name
        self._report = report
        self._clock = clock
        self._pause = pause

    # -- its state -----------------------------------------------------------------------------------------------

    def described(self) -> dict[str, Any] | None:
        """Returns CloudFormation's description; None if there is no stack."""
        try:
            stacks = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ValidationError":
                return None
            raise
        return next((stack for stack in stacks if stack["StackStatus"] != DELETED), None)

    def exists(self) -> bool:
        """Returns whether any change was ever applied."""
        described = self.described()
        return described is not None and described["StackStatus"] != "REVIEW_IN_PROGRESS"

    def settled(self) -> bool:
        """Returns whether the last change ended, in success or a rollback: then the parameters describe what runs."""
        return (self.described() or {}).get("StackStatus") in SETTLED

    def parameters(self) -> dict[str, str]:
        """Returns the values of the last deployment."""
        described = self.described()
        parameters = described.get("Parameters", []) if described is not None else []
        return {each["ParameterKey"]: each.get("ParameterValue", "") for each in parameters}

    def resources(self, *, with_retained: bool = False) -> dict[str, tuple[str, str]]:
        """Maps each logical id to the resource's type and its own id.

        Args:
            with_retained: also lists resources that left the stack and that a policy retained.
        """
        left_out = (DELETED,) if with_retained else (DELETED, RETAINED)
        found = {}
        for page in self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name):
            for each in page["StackResourceSummaries"]:
                if each.get("PhysicalResourceId") and each.get("ResourceStatus") not in left_out:
                    found[each["LogicalResourceId"]] = (each["ResourceType"], str(each["PhysicalResourceId"]))
        return found

    # -- a change -----------------------------------------------------------------------------------------------

    def propose(
        self,
        template_url: str,
        parameters: Mapping[str, str],
        *,
        name: str,
        tags: Mapping[str, str] | None = None,
        to_import: Iterable[Mapping[str, Any]] = (),
    ) -> ChangeSet | None:
        """Creates a change set and returns it; None if nothing would change.

        Args:
            template_url: the template in the deploy bucket.
            parameters: stack parameter → value.
            name: of the change set.
            tags: for the stack and its resources.
            to_import: existing resources, as CloudFormation takes them.

        Raises:
            CannotDeploy: the stack's state allows no change, or CloudFormation rejects it.
        """
        status = (self.described() or {}).get("StackStatus", "")
        imported = list(to_import)
        kind = Kind.IMPORT if imported else self._kind(status)
        more: dict[str, Any] = {"ResourcesToImport": imported} if imported else {}
        if kind is not Kind.IMPORT:
            more["OnStackFailure"] = "ROLLBACK"
        created = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType=kind.value,
            TemplateURL=template_url,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in sorted(parameters.items())],
            Capabilities=list(CAPABILITIES),
            Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
            **more,
        )
        return self._proposed(created["Id"], kind)

    def apply(self, change_set: ChangeSet) -> None:
        """Executes a change set and waits; reports each resource. Raises CannotDeploy with the first failures."""
        seen = {event["EventId"] for event in self._events(set())}
        self._cloudformation.execute_change_set(StackName=self.name, ChangeSetName=change_set.id)
        self._wait(seen, len(change_set.changes))

    def discard(self, change_set: ChangeSet) -> None:
        """Deletes a change set that the operator did not agree to."""
        self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set.id)

    def delete(self) -> None:
        """Deletes the stack, with every resource that no policy retains."""
        described = self.described()
        if described is None:
            return
        seen = {event["EventId"] for event in self._events(set())}
        resources = len(self.resources())
        self._cloudformation.delete_stack(StackName=self.name)
        self._wait(seen, resources, stack=described["StackId"])

    # -- steps ----------------------------------------------------------------------------------------------------

    def _kind(self, status: str) -> Kind:
        if status in ("", "REVIEW_IN_PROGRESS"):
            return Kind.CREATE
        if status.endswith("_IN_PROGRESS"):
            raise CannotDeploy(f"Another change of {self.name} is in progress ({status}): wait for it, then try again.")
        if status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            stage = self.name.partition("-")[2]
            raise CannotDeploy(
                f"{self.name} can only be deleted ({status}): `make destroy STAGE={stage}` (data stays), then deploy"
                " again: the new stage takes the data over."
            )
        if status == "UPDATE_FAILED":
            raise CannotDeploy(
                f"{self.name} is half changed ({status}): run `aws cloudformation rollback-stack --stack-name"
                f" {self.name}`, and deploy again once that has ended."
            )
        if status == "UPDATE_ROLLBACK_FAILED":
            raise CannotDeploy(
                f"{self.name} could not be rolled back: fix the errors in its last events, then run"
                f" `aws cloudformation continue-update-rollback --stack-name {self.name}`."
            )
        return Kind.UPDATE

    def _proposed(self, change_set: str, kind: Kind) -> ChangeSet | None:
        deadline = self._clock() + PROPOSED_WITHIN_SECONDS
        while True:
            described = self._cloudformation.describe_change_set(StackName=self.name, ChangeSetName=change_set)
            if described["Status"] == "CREATE_COMPLETE":
                return ChangeSet(change_set, kind, tuple(self._changes(described)))
            if described["Status"] == "FAILED":
                reason = described.get("StatusReason", "no reason was given")
                unchanged = any(words in reason for words in NO_CHANGES)
                failed = [] if unchanged else self._failed_validations(change_set)
                self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
                if unchanged:
                    return None
                raise CannotDeploy(explain_rejection(reason, failed))
            if self._clock() >= deadline:
                raise CannotDeploy("CloudFormation created no change set within ten minutes; try again.")
            self._pause(POLL_EVERY_SECONDS)

    def _failed_validations(self, change_set: str) -> list[dict[str, Any]]:
        """Returns the failed validations, which exist as long as their change set; none if these may not be read.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
        """
        try:
            pages = self._cloudformation.get_paginator("describe_events").paginate(
                ChangeSetName=change_set, Filters={"FailedEvents": True}
            )
            return [event for page in pages for event in page["OperationEvents"]]
        except (ClientError, BotoCoreError):
            return []

    def _changes(self, described: dict[str, Any]) -> Iterable[Change]:
        while True:
            for each in described["Changes"]:
                change = each["ResourceChange"]
                yield Change(
                    action=change["Action"],
                    resource=change["LogicalResourceId"],
                    type=change["ResourceType"],
                    replacement=change.get("Replacement", "False"),
                )
            if not described.get("NextToken"):
                return
            described = self._cloudformation.describe_change_set(
                StackName=self.name, ChangeSetName=described["ChangeSetId"], NextToken=described["NextToken"]
            )

    def _wait(self, seen: set[str], resources: int, *, stack: str | None = None) -> None:
        deadline = self._clock() + APPLIED_WITHIN_SECONDS
        done: set[str] = set()
        failed: list[dict[str, Any]] = []
        ended = False
        while True:
            for event in reversed(self._events(seen, stack)):
                seen.add(event["EventId"])
                self._report_event(event, done, failed, resources)
                ended = event["LogicalResourceId"] == self.name and not event["ResourceStatus"].endswith("_IN_PROGRESS")
            status = self._status(stack)
            # The status alone may still be the one from before the change.
            if status == DELETED or (ended and not status.endswith("_IN_PROGRESS")):
                break
            if self._clock() >= deadline:
                raise StillChanges(
                    f"{self.name} still changes after {APPLIED_WITHIN_SECONDS / 60:.0f} minutes ({status});"
                    " CloudFormation goes on by itself. Follow its events in the console, and run the same command"
                    " again afterwards."
                )
            self._pause(POLL_EVERY_SECONDS)
        expected = (DELETED,) if stack else SUCCEEDED
        if status not in expected:
            raise CannotDeploy(explain_failure(self.name, status, failed))

    def _status(self, stack: str | None) -> str:
        """The stack's status; a deleted stack is found by its id only, and by some emulators not at all."""
        try:
            stacks = self._cloudformation.describe_stacks(StackName=stack or self.name)["Stacks"]
        except ClientError as error:
            if stack is None or error.response.get("Error", {}).get("Code") != "ValidationError":
                raise
            return DELETED
        return str(stacks[0]["StackStatus"]) if stacks else DELETED

    def _events(self, seen: set[str], stack: str | None = None) -> list[dict[str, Any]]:
        """The events that were not seen yet, newest first."""
        found: list[dict[str, Any]] = []
        try:
            for page in self._cloudformation.get_paginator("describe_stack_events").paginate(
                StackName=stack or self.name
            ):
                for event in page["StackEvents"]:
                    if event["EventId"] in seen:
                        return found
                    found.append(event)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ValidationError":
                raise
        return found

    def _report_event(
        self, event: dict[str, Any], done: set[str], failed: list[dict[str, Any]], resources: int
    ) -> None:
        resource, status = event["LogicalResourceId"], event.get("ResourceStatus", "")
        if resource == self.name:
            return
        if status.endswith("_FAILED"):
            failed.append(event)
            self._report(f"  failed   {resource}: {event.get('ResourceStatusReason', 'no reason was given')}")
        elif status.endswith(("_COMPLETE", "_SKIPPED")) and resource not in done:
            done.add(resource)
            self._report(f"  {len(done):>3} of {max(resources, len(done))}  {resource}")
