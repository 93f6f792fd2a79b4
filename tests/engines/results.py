"""Operations on one engine: their results and errors as our code tells them apart, and what the table then holds."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from chalicelib.store.expressions import plain, stored
from chalicelib.store.table import ConditionFailed, Item, Put, Table, Update
from infrastructure.local.table.items import read_items, write_items
from tests.engines.operations import Batch, Delete, Get, GetMany, Operation, Query, Transaction
from tests.simulation.memory_table import Invalid, MemoryTable

#: The result of a mistake of the caller, and of an engine that fails instead of answering.
INVALID = "invalid"
CRASH = "crash"


class PagedClient:
    """A client whose tables and indexes have pages of two items."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def query(self, **request: Any) -> Any:
        return self._client.query(**{**request, "Limit": min(2, request.get("Limit", 2))})


def perform(table: Table, operation: Operation) -> Any:
    """Returns the result of the operation, or its kind of error: as our code tells them apart."""
    try:
        match operation:
            case Put():
                return table.put(operation)
            case Update():
                return table.update(operation)
            case Transaction():
                return table.transact(*operation.writes)
            case Delete():
                return table.delete(operation.pk, operation.sk)
            case Get():
                return table.get(operation.pk, operation.sk)
            case GetMany():
                return sorted(table.get_many(operation.keys), key=lambda item: (item["pk"], item["sk"]))
            case Query():
                return list(table.query(operation.pk, **operation.options))
            case Batch():
                return write_batch(table, operation)
    except ConditionFailed as failed:
        return "condition", failed.items
    except (Invalid, ClientError, ParamValidationError) as error:
        return kind_of(error)
    except Exception:
        return CRASH


def write_batch(table: Table, batch: Batch) -> None:
    if isinstance(table, MemoryTable):
        for item in batch.items:
            table.put(Put(item, when=None))
        return
    items = [{name: stored(value) for name, value in item.items()} for item in batch.items]
    write_items(table._client, table._name, items)


def kind_of(error: Exception) -> str:
    if isinstance(error, Invalid | ParamValidationError):
        return INVALID
    assert isinstance(error, ClientError)
    code = error.response["Error"]["Code"]
    reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    return INVALID if code == "ValidationException" or "ValidationError" in reasons else code


def contents(table: Table) -> Sequence[Item]:
    """Returns all items, in order."""
    if isinstance(table, MemoryTable):
        found = list(table.items())
    else:
        found = [plain(item) for item in read_items(table._client, table._name)]
    return sorted(found, key=lambda item: (item["pk"], item["sk"]))
