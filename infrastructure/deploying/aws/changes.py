"""A proposed change as people read it, what of it is refused, and what a failed one says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

#: What holds data or people: never removed or replaced by a deployment.
DATA_TYPES: Final = frozenset(
    {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Cognito::UserPool", "AWS::ECR::Repository"}
)
FAILURES_SHOWN: Final = 5
#: A resource that fails only because another one did.
CANCELLED: Final = ("Resource creation cancelled", "Resource update cancelled", "Resource creation Initiated")
#: What people do about the commonest reasons.
MENDS: Final[Mapping[str, str]] = {
    "already exists": "it is left from an earlier stage of this name: remove it, or choose another STAGE",
    "not authorized": "these credentials lack a permission that is named above",
    "AccessDenied": "these credentials lack a permission that is named above",
    "imit": "ask for a higher limit in Service Quotas",
    "Circuit Breaker": "the new runners did not become well: see their log group and the service's events in ECS",
    "circuit breaker": "the new runners did not become well: see their log group and the service's events in ECS",
    "service linked role": "deploy again: AWS was still making the service's role",
}


class Kind(StrEnum):
    """What a change set does."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    IMPORT = "IMPORT"


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that would be added, modified, imported or removed."""

    action: str
    resource: str
    type: str
    #: ``True``, ``False`` or ``Conditional``, as CloudFormation says
    replacement: str = "False"

    @property
    def word(self) -> str:
        """For the table."""
        if self.action == "Modify":
            return {"True": "replace", "Conditional": "may replace"}.get(self.replacement, "modify")
        return self.action.lower()


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A proposal that waits for a yes."""

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


def refused(changes: Iterable[Change], may_replace: Iterable[str] = ()) -> list[str]:
    """Why these changes must not be applied, a sentence each: they would lose data, or people."""
    sentences = []
    for change in changes:
        if change.type not in DATA_TYPES:
            continue
        if change.action == "Remove":
            sentences.append(f"{change.resource} holds data and would leave the stack: put it back into the template.")
        elif change.replacement == "True":
            sentences.append(f"{change.resource} holds data and would be replaced by an empty one: undo that change.")
        elif change.replacement == "Conditional" and change.resource not in may_replace:
            sentences.append(
                f"{change.resource} holds data and might be replaced by an empty one: see the change set in the"
                f" console, and say REPLACE={change.resource} if it is not."
            )
    return sentences


def refusal(reason: str, failed: Iterable[Mapping[str, Any]]) -> str:
    """Why CloudFormation proposes nothing; what it validates beforehand, it names only in events of their own."""
    lines = [f"CloudFormation refuses the change: {reason}"]
    for event in list(failed)[:FAILURES_SHOWN]:
        why = event.get("ValidationStatusReason", "")
        if why:
            path = event.get("ValidationPath", "")
            lines.append(f"  {event.get('LogicalResourceId', 'the template')}: {why}" + (f" ({path})" if path else ""))
            lines += _mend(why)
    return "\n".join(lines)


def explained(stack: str, status: str, failed: Iterable[Mapping[str, Any]]) -> str:
    """What failed first, its reason and what to do."""
    own = [event for event in failed if not any(words in event.get("ResourceStatusReason", "") for words in CANCELLED)]
    lines = [f"{stack}: {status}. What failed first:"]
    for event in own[:FAILURES_SHOWN]:
        reason = event.get("ResourceStatusReason", "no reason was given")
        lines.append(f"  {event['LogicalResourceId']} ({event['ResourceType']}): {reason}")
        lines += _mend(reason)
    if not own:
        lines.append("  CloudFormation names no resource: see the stack's events in the console.")
    if status in ("UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"):
        lines.append("What ran before runs on. Mend it and deploy again.")
    elif status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        stage = stack.partition("-")[2]
        lines.append(f"Mend it, remove the rest by `make destroy STAGE={stage}` (data stays) and deploy again.")
    elif status == "DELETE_FAILED":
        lines.append("The rest is gone. Mend it and destroy again.")
    return "\n".join(lines)


def _mend(reason: str) -> list[str]:
    """The first that fits, as a line; none does of what nobody has met before."""
    return [f"    → {mend}" for words, mend in MENDS.items() if words in reason][:1]
