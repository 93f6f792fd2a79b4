"""A CloudFormation change set as people read it, and the explanation of one that failed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

FAILURES_SHOWN: Final = 5
#: The reasons of a resource that failed only because another one did.
CANCELLED: Final = ("Resource creation cancelled", "Resource update cancelled", "Resource creation Initiated")
#: The fixes of the commonest reasons.
FIXES: Final[Mapping[str, str]] = {
    "already exists": "it is left from an earlier stage of this name: remove it, or choose another STAGE",
    "not authorized": "these credentials lack a permission that is named above",
    "AccessDenied": "these credentials lack a permission that is named above",
    "imit": "ask for a higher limit in Service Quotas",
    "Circuit Breaker": "the new runners did not become healthy: see their log group and the service's events in ECS",
    "circuit breaker": "the new runners did not become healthy: see their log group and the service's events in ECS",
    "service linked role": "deploy again: AWS was still creating the service's role",
}


class Kind(StrEnum):
    """The types of change sets that CloudFormation has."""

    CREATE = "CREATE"  #: creates the stack
    UPDATE = "UPDATE"  #: changes its resources
    IMPORT = "IMPORT"  #: takes resources in that exist already


@dataclass(frozen=True, slots=True)
class Change:
    """A resource that would be added, modified, imported or removed."""

    action: str
    resource: str
    type: str
    #: ``True``, ``False`` or ``Conditional``, as CloudFormation writes it
    replacement: str = "False"

    @property
    def word(self) -> str:
        """The change as the table prints it."""
        if self.action == "Modify":
            return {"True": "replace", "Conditional": "may replace"}.get(self.replacement, "modify")
        return self.action.lower()


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A proposed change that waits for the operator's agreement."""

    id: str
    kind: Kind
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        order = ("remove", "replace", "may replace", "import", "add", "modify")
        rows = sorted(
            self.changes,
            key=lambda change: (order.index(change.word) if change.word in order else 9, change.resource),
        )
        width = max((len(change.resource) for change in rows), default=0)
        return "\n".join(f"  {change.word:<11}  {change.resource:<{width}}  {change.type}" for change in rows)


def explain_rejection(reason: str, failed: Iterable[Mapping[str, Any]]) -> str:
    """Explains why CloudFormation creates no change set.

    Args:
        reason: the change set's own status reason.
        failed: the events of its validation, which name the resources.
    """
    lines = [f"CloudFormation rejects the change: {reason}"]
    for event in list(failed)[:FAILURES_SHOWN]:
        why = event.get("ValidationStatusReason", "")
        if why:
            path = event.get("ValidationPath", "")
            lines.append(f"  {event.get('LogicalResourceId', 'the template')}: {why}" + (f" ({path})" if path else ""))
            lines += _fix(why)
    return "\n".join(lines)


def explain_failure(stack: str, status: str, failed: Iterable[Mapping[str, Any]]) -> str:
    """Explains a change that failed: the resources that failed first, their reasons, and what to do."""
    own = [event for event in failed if not any(words in event.get("ResourceStatusReason", "") for words in CANCELLED)]
    lines = [f"{stack}: {status}. These resources failed first:"]
    for event in own[:FAILURES_SHOWN]:
        reason = event.get("ResourceStatusReason", "no reason was given")
        lines.append(f"  {event['LogicalResourceId']} ({event['ResourceType']}): {reason}")
        lines += _fix(reason)
    if not own:
        lines.append("  CloudFormation names no resource: see the stack's events in the console.")
    if status in ("UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"):
        lines.append("The former version runs on. Fix the cause and deploy again.")
    elif status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        stage = stack.partition("-")[2]
        lines.append(f"Fix the cause, remove the rest with `make destroy STAGE={stage}` (data stays) and deploy again.")
    elif status == "DELETE_FAILED":
        lines.append("The rest is deleted. Fix the cause and destroy again.")
    return "\n".join(lines)


def _fix(reason: str) -> list[str]:
    """The first fix that fits, as a line; none for an unknown reason."""
    return [f"    → {fix}" for words, fix in FIXES.items() if words in reason][:1]
