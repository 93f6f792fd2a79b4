"""A DynamoDB table as Python values: conditional writes, transactions and queries, without our nouns.

Each write is an UpdateItem, a PutItem of a new item, or a transaction of these, under a condition. Only the items of
sign-ins are deleted.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from botocore.exceptions import ClientError

from chalicelib.errors import TransientError
from chalicelib.store.expressions import Expression, Item, Path, key_of, plain, stored

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Attr", "Check", "ConditionBase", "ConditionFailed", "Item", "Path", "Put", "Table", "Update"]

#: A request that collides with another write or is throttled is sent this many times, with backoff and jitter.
ATTEMPTS: Final = 8
BACKOFF_SECONDS: Final = 0.02
#: DynamoDB's own failures, which boto3 has retried: a part of it is down, or the disk of the one machine is full.
SERVER_FAILURES: Final = frozenset({"InternalServerError", "InternalFailure", "ServiceUnavailable"})
#: DynamoDB returns at most so many items of a batch.
MAX_BATCH: Final = 100


class ConditionFailed(Exception):
    """The condition of a write did not hold; ``items`` are the present items (None for one that does not exist)."""

    def __init__(self, items: Sequence[Item | None]) -> None:
        super().__init__("the condition of a write did not hold")
        self.items = tuple(items)

    @property
    def item(self) -> Item | None:
        """The present item of a single write."""
        return self.items[0]


@dataclass(frozen=True, slots=True)
class Put:
    """The write of a new item; by default it must not exist yet."""

    item: Item
    when: ConditionBase | None = field(default_factory=lambda: Attr("pk").not_exists())

    @property
    def attributes(self) -> Item:
        """The attributes that have a value."""
        return {name: value for name, value in self.item.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Update:
    """Changes to one item, created if missing unless ``when`` forbids it. A value of None removes the attribute."""

    pk: str
    sk: str
    #: the keys of ``set`` and ``add`` are a Path each
    set: Mapping[Any, Any] = field(default_factory=dict)
    add: Mapping[Any, int | Set[str]] = field(default_factory=dict)
    remove: Sequence[Path] = ()
    when: ConditionBase | None = None

    @property
    def setting(self) -> list[tuple[Path, Any]]:
        """The paths that get a value."""
        return [(path, value) for path, value in self.set.items() if value is not None]

    @property
    def removing(self) -> list[Path]:
        """The paths that are removed."""
        return [*self.remove, *(path for path, value in self.set.items() if value is None)]


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on an item that a transaction does not write."""

    pk: str
    sk: str
    when: ConditionBase


class Table:
    """A table with keys ``pk`` and ``sk``.

    Args:
        client: a boto3 DynamoDB client.
        name: the table's name.
        pause: sleeps between attempts; takes seconds.
    """

    def __init__(self, client: "DynamoDBClient", name: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._name = name
        self._pause = pause

    def get(self, pk: str, sk: str) -> Item | None:
        """Returns an item, read consistently; None if there is none."""
        answer = self._call(self._client.get_item, TableName=self._name, Key=key_of(pk, sk), ConsistentRead=True)
        return plain(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        """Returns those of these items that exist, a moment old, in no order."""
        found: list[Item] = []
        waiting = [key_of(*key) for key in dict.fromkeys(keys)]
        if not waiting:
            return found
        for attempt in range(ATTEMPTS + len(waiting) // MAX_BATCH):
            asked, waiting = waiting[:MAX_BATCH], waiting[MAX_BATCH:]
            answer = self._call(self._client.batch_get_item, RequestItems={self._name: {"Keys": asked}})
            found += [plain(item) for item in answer["Responses"].get(self._name, [])]
            left = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            if left:
                self._pause(BACKOFF_SECONDS * 2 ** min(attempt, ATTEMPTS))
                waiting += left
            if not waiting:
                return found
        raise TransientError("The database is busy; this will be tried again.")

    def query(
        self,
        pk: str,
        *,
        begins_with: str | None = None,
        between: tuple[Any, Any] | None = None,
        index: str | None = None,
        keys: tuple[str, str] = ("pk", "sk"),
        where: ConditionBase | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        page: int | None = None,
        consistent: bool = True,
    ) -> Iterator[Item]:
        """Yields the items of one partition in order, across pages.

        Args:
            between: bounds of the sort key, both included.
            index: an index to read, with the names of its ``keys``.
            where: a filter, which does not reduce what is read.
            limit: the most items that are yielded.
            page: the most items of one request. DynamoDB reads a page to its end, however early the caller stops.
            consistent: must be False for a global index.
        """
        condition: ConditionBase = Key(keys[0]).eq(pk)
        if begins_with is not None:
            condition = condition & Key(keys[1]).begins_with(begins_with)
        if between is not None:
            condition = condition & Key(keys[1]).between(*between)
        expression = Expression()
        request: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": expression.condition(condition, of_keys=True),
            "ScanIndexForward": not newest_first,
            "ConsistentRead": consistent,
        }
        if index is not None:
            request["IndexName"] = index
        if where is not None:
            request["FilterExpression"] = expression.condition(where)
        at_most = [size for size in (page, limit if where is None else None) if size is not None]
        if at_most:
            request["Limit"] = min(at_most)
        request.update(expression.placeholders())
        yielded = 0
        while True:
            answer = self._call(self._client.query, **request)
            for item in answer["Items"]:
                yield plain(item)
                yielded += 1
                if limit is not None and yielded >= limit:
                    return
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def put(self, put: Put) -> None:
        """Writes a new item. Raises ConditionFailed if the condition does not hold (by default: it exists)."""
        self._call(self._client.put_item, **self._put(put), ReturnValuesOnConditionCheckFailure="ALL_OLD")

    def update(self, update: Update) -> Item:
        """Changes an item and returns it as it is afterwards. Raises ConditionFailed with the present item."""
        answer = self._call(
            self._client.update_item,
            **self._update(update),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return plain(answer["Attributes"])

    def delete(self, pk: str, sk: str) -> None:
        """Deletes an item, if it exists."""
        self._call(self._client.delete_item, TableName=self._name, Key=key_of(pk, sk))

    def transact(self, *writes: Put | Update | Check) -> None:
        """Writes all or nothing. Raises ConditionFailed; its ``items`` then has one entry for each write."""
        self._call(self._client.transact_write_items, TransactItems=[self._transact_item(write) for write in writes])

    # -- requests --------------------------------------------------------------------------------------------

    def _call(self, operation: Callable[..., Any], **request: Any) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                return operation(**request)
            except ClientError as error:
                if not _is_transient(error):
                    raise _translated(error) from None
            self._pause(BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
        raise TransientError("The database is busy; this will be tried again.")

    def _transact_item(self, write: Put | Update | Check) -> dict[str, Any]:
        match write:
            case Put():
                return {"Put": {**self._put(write), "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
            case Update():
                return {"Update": {**self._update(write), "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
            case Check():
                expression = Expression()
                return {
                    "ConditionCheck": {
                        "TableName": self._name,
                        "Key": key_of(write.pk, write.sk),
                        "ConditionExpression": expression.condition(write.when),
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                        **expression.placeholders(),
                    }
                }

    def _put(self, put: Put) -> dict[str, Any]:
        expression = Expression()
        request: dict[str, Any] = {
            "TableName": self._name,
            "Item": {name: stored(value) for name, value in put.attributes.items()},
        }
        if put.when is not None:
            request["ConditionExpression"] = expression.condition(put.when)
        return {**request, **expression.placeholders()}

    def _update(self, update: Update) -> dict[str, Any]:
        expression = Expression()
        clauses = []
        if update.setting:
            put = (f"{expression.path(path)} = {expression.value(value)}" for path, value in update.setting)
            clauses.append("SET " + ", ".join(put))
        if update.removing:
            clauses.append("REMOVE " + ", ".join(expression.path(path) for path in update.removing))
        if update.add:
            added = (f"{expression.path(path)} {expression.value(value)}" for path, value in update.add.items())
            clauses.append("ADD " + ", ".join(added))
        request: dict[str, Any] = {"TableName": self._name, "Key": key_of(update.pk, update.sk)}
        if clauses:
            request["UpdateExpression"] = " ".join(clauses)
        if update.when is not None:
            request["ConditionExpression"] = expression.condition(update.when)
        return {**request, **expression.placeholders()}


def _is_transient(error: ClientError) -> bool:
    """True if another write collided or the table is throttled, so that the request is sent again."""
    code = error.response.get("Error", {}).get("Code", "")
    if code == "TransactionCanceledException":
        reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
        return "ConditionalCheckFailed" not in reasons and any(
            reason in ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded") for reason in reasons
        )
    return code in (
        "TransactionConflictException",
        "TransactionInProgressException",
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
    )


def _translated(error: ClientError) -> Exception:
    """Returns a ConditionFailed for a condition that did not hold, a TransientError for a failure of the database.

    Any other error is a mistake of ours and returned as it is.
    """
    code = error.response.get("Error", {}).get("Code", "")
    if code in SERVER_FAILURES:
        return TransientError("The database stores and finds nothing just now; this will be tried again.")
    if code == "ConditionalCheckFailedException":
        item: Any = error.response.get("Item")
        return ConditionFailed([plain(item) if item else None])
    reasons: list[Any] = list(error.response.get("CancellationReasons", []))  # of a transaction only
    if any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
        return ConditionFailed([plain(reason["Item"]) if reason.get("Item") else None for reason in reasons])
    return error
