"""CloudFormation: a change is proposed, shown, applied and waited for; what failed is said in its own words."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.deploying import CannotDeploy
from infrastructure.deploying.aws.changes import Change, ChangeSet, Kind, explained, refusal

CAPABILITIES: Final = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
LOOK_EVERY_SECONDS: Final = 5.0
PROPOSED_WITHIN_SECONDS: Final = 600
#: Longer than the three hours that runners may take to hand their sessions over.
APPLIED_WITHIN_SECONDS: Final = 12_600
#: A change succeeded.
DONE: Final = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
#: Or what ran before runs on.
SETTLED: Final = (*DONE, "UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE")
GONE: Final = "DELETE_COMPLETE"
#: A policy kept the resource when it left the stack, or when the stack's first change was rolled back.
RETAINED: Final = "DELETE_SKIPPED"
#: CloudFormation's two ways of saying that nothing differs.
NO_CHANGES: Final = ("didn't contain changes", "No updates are to be performed")


class StillChanges(CannotDeploy):
    """Patience ended before CloudFormation did."""


class Stack:
    """One stack.

    Args:
        cloudformation: a boto3 client.
        name: the stack's.
        say: shows a line of progress.
        clock: seconds that only grow.
        pause: sleeps; takes seconds.
    """

    def __init__(
        self,
        cloudformation: Any,
        name: str,
        *,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cloudformation = cloudformation
        self.name = name
        self._say = say
        self._clock = clock
        self._pause = pause

    # -- as it is -----------------------------------------------------------------------------------------------

    def described(self) -> dict[str, Any] | None:
        """What CloudFormation tells of it; None if there is none."""
        try:
            stacks = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ValidationError":
                return None
            raise
        return next((stack for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"), None)

    def exists(self) -> bool:
        """Whether anything was ever applied."""
        described = self.described()
        return described is not None and described["StackStatus"] != "REVIEW_IN_PROGRESS"

    def settled(self) -> bool:
        """Whether it runs as its parameters say, after a change that succeeded or was rolled back."""
        return (self.described() or {}).get("StackStatus") in SETTLED

    def parameters(self) -> dict[str, str]:
        """The values of its last deployment."""
        described = self.described()
        parameters = described.get("Parameters", []) if described is not None else []
        return {each["ParameterKey"]: each.get("ParameterValue", "") for each in parameters}

    def resources(self, *, with_retained: bool = False) -> dict[str, tuple[str, str]]:
        """Logical id → type and the resource's own id; what was let go is left out, what was retained unless asked."""
        let_go = (GONE,) if with_retained else (GONE, RETAINED)
        found = {}
        for page in self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name):
            for each in page["StackResourceSummaries"]:
                if each.get("PhysicalResourceId") and each.get("ResourceStatus") not in let_go:
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
        """What would change; None if nothing would. Raises CannotDeploy in a state that allows no change."""
        status = (self.described() or {}).get("StackStatus", "")
        imported = list(to_import)
        kind = Kind.IMPORT if imported else self._kind(status)
        more: dict[str, Any] = {"ResourcesToImport": imported} if imported else {}
        if kind is not Kind.IMPORT:
            more["OnStackFailure"] = "ROLLBACK"
        made = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType=kind.value,
            TemplateURL=template_url,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in sorted(parameters.items())],
            Capabilities=list(CAPABILITIES),
            Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
            **more,
        )
        return self._proposed(made["Id"], kind)

    def apply(self, change_set: ChangeSet) -> None:
        """Execute and wait, with a line for each resource. Raises CannotDeploy with what failed first, and why."""
        seen = {event["EventId"] for event in self._events(set())}
        self._cloudformation.execute_change_set(StackName=self.name, ChangeSetName=change_set.id)
        self._wait(seen, len(change_set.changes))

    def discard(self, change_set: ChangeSet) -> None:
        """Nobody wanted it."""
        self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set.id)

    def delete(self) -> None:
        """Away with everything that no policy retains."""
        described = self.described()
        if described is None:
            return
        seen = {event["EventId"] for event in self._events(set())}
        resources = len(self.resources())
        self._cloudformation.delete_stack(StackName=self.name)
        self._wait(seen, resources, stack=described["StackId"])

    # -- how ----------------------------------------------------------------------------------------------------

    def _kind(self, status: str) -> Kind:
        if status in ("", "REVIEW_IN_PROGRESS"):
            return Kind.CREATE
        if status.endswith("_IN_PROGRESS"):
            raise CannotDeploy(f"Another change of {self.name} is under way ({status}): wait for it, then try again.")
        if status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            stage = self.name.partition("-")[2]
            raise CannotDeploy(
                f"{self.name} can only be removed ({status}): `make destroy STAGE={stage}` (data stays), then deploy"
                " again: that takes the data back."
            )
        if status == "UPDATE_FAILED":
            raise CannotDeploy(
                f"{self.name} stands half changed ({status}): run `aws cloudformation rollback-stack --stack-name"
                f" {self.name}`, and deploy again when it has ended."
            )
        if status == "UPDATE_ROLLBACK_FAILED":
            raise CannotDeploy(
                f"{self.name} could not be rolled back: mend what its last events name, then run"
                f" `aws cloudformation continue-update-rollback --stack-name {self.name}`."
            )
        return Kind.UPDATE

    def _proposed(self, change_set: str, kind: Kind) -> ChangeSet | None:
        until = self._clock() + PROPOSED_WITHIN_SECONDS
        while True:
            told = self._cloudformation.describe_change_set(StackName=self.name, ChangeSetName=change_set)
            if told["Status"] == "CREATE_COMPLETE":
                return ChangeSet(change_set, kind, tuple(self._changes(told)))
            if told["Status"] == "FAILED":
                reason = told.get("StatusReason", "no reason was given")
                unchanged = any(words in reason for words in NO_CHANGES)
                failed = [] if unchanged else self._validated(change_set)
                self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
                if unchanged:
                    return None
                raise CannotDeploy(refusal(reason, failed))
            if self._clock() >= until:
                raise CannotDeploy("CloudFormation did not say within ten minutes what would change; try again.")
            self._pause(LOOK_EVERY_SECONDS)

    def _validated(self, change_set: str) -> list[dict[str, Any]]:
        """What did not pass validation, as long as the change set is there; nothing if it cannot be asked.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
        """
        try:
            pages = self._cloudformation.get_paginator("describe_events").paginate(
                ChangeSetName=change_set, Filters={"FailedEvents": True}
            )
            return [event for page in pages for event in page["OperationEvents"]]
        except (ClientError, BotoCoreError):
            return []

    def _changes(self, told: dict[str, Any]) -> Iterable[Change]:
        while True:
            for each in told["Changes"]:
                change = each["ResourceChange"]
                yield Change(
                    action=change["Action"],
                    resource=change["LogicalResourceId"],
                    type=change["ResourceType"],
                    replacement=change.get("Replacement", "False"),
                )
            if not told.get("NextToken"):
                return
            told = self._cloudformation.describe_change_set(
                StackName=self.name, ChangeSetName=told["ChangeSetId"], NextToken=told["NextToken"]
            )

    def _wait(self, seen: set[str], resources: int, *, stack: str | None = None) -> None:
        until = self._clock() + APPLIED_WITHIN_SECONDS
        done: set[str] = set()
        failed: list[dict[str, Any]] = []
        ended = False
        while True:
            for event in reversed(self._events(seen, stack)):
                seen.add(event["EventId"])
                self._tell(event, done, failed, resources)
                ended = event["LogicalResourceId"] == self.name and not event["ResourceStatus"].endswith("_IN_PROGRESS")
            status = self._status(stack)
            # The status alone may still be the one from before the change.
            if status == "DELETE_COMPLETE" or (ended and not status.endswith("_IN_PROGRESS")):
                break
            if self._clock() >= until:
                raise StillChanges(
                    f"{self.name} still changes after {APPLIED_WITHIN_SECONDS / 60:.0f} minutes ({status});"
                    " CloudFormation goes on by itself. Look at its events in the console, and run the same command"
                    " again afterwards."
                )
            self._pause(LOOK_EVERY_SECONDS)
        good = ("DELETE_COMPLETE",) if stack else DONE
        if status not in good:
            raise CannotDeploy(explained(self.name, status, failed))

    def _status(self, stack: str | None) -> str:
        """A stack that was deleted is still known by its id, at most places."""
        try:
            stacks = self._cloudformation.describe_stacks(StackName=stack or self.name)["Stacks"]
        except ClientError as error:
            if stack is None or error.response.get("Error", {}).get("Code") != "ValidationError":
                raise
            return "DELETE_COMPLETE"
        return str(stacks[0]["StackStatus"]) if stacks else "DELETE_COMPLETE"

    def _events(self, seen: set[str], stack: str | None = None) -> list[dict[str, Any]]:
        """Those not seen, newest first."""
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

    def _tell(self, event: dict[str, Any], done: set[str], failed: list[dict[str, Any]], resources: int) -> None:
        resource, status = event["LogicalResourceId"], event.get("ResourceStatus", "")
        if resource == self.name:
            return
        if status.endswith("_FAILED"):
            failed.append(event)
            self._say(f"  failed   {resource}: {event.get('ResourceStatusReason', 'no reason was given')}")
        elif status.endswith(("_COMPLETE", "_SKIPPED")) and resource not in done:
            done.add(resource)
            self._say(f"  {len(done):>3} of {max(resources, len(done))}  {resource}")
