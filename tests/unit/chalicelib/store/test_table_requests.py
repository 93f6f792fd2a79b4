"""What the table asks of DynamoDB, and what it makes of its errors and pages; DynamoDB is a list of answers."""

from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import TransientError
from chalicelib.store.table import (
    ATTEMPTS,
    BACKOFF_SECONDS,
    MAX_BATCH,
    Attr,
    Check,
    ConditionFailed,
    Put,
    Table,
    Update,
)

ITEM = {"pk": {"S": "P"}, "sk": {"S": "S"}, "n": {"N": "1"}}
PLAIN = {"pk": "P", "sk": "S", "n": 1}


def an_error(code: str, reasons: Sequence[dict[str, Any]] | None = None, item: Any = None) -> ClientError:
    answer: dict[str, Any] = {"Error": {"Code": code, "Message": code}}
    if reasons is not None:
        answer["CancellationReasons"] = reasons
    if item is not None:
        answer["Item"] = item
    return ClientError(answer, "operation")  # type: ignore[arg-type]


class Client:
    """Answers each call with the next of the test's answers; keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.requests: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> Any:
            self.requests.append({"operation": operation, **request})
            answer = self.answers.pop(0) if self.answers else {"Attributes": ITEM, "Items": []}
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def table(client: Client, pauses: list[float]) -> Table:
    return Table(client, "table", pause=pauses.append)  # type: ignore[arg-type]


# -- errors ----------------------------------------------------------------------------------------------------------

BUSY = (
    "TransactionConflictException",
    "TransactionInProgressException",
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
)


@pytest.mark.parametrize("code", BUSY)
def test_a_busy_table_is_asked_again_after_a_pause_that_grows(
    table: Table, client: Client, pauses: list[float], code: str
) -> None:
    client.answers = [an_error(code)] * 3 + [{"Item": ITEM}]
    assert table.get("P", "S") == PLAIN
    assert len(client.requests) == 4
    for attempt, pause in enumerate(pauses):
        assert 0.5 <= pause / (BACKOFF_SECONDS * 2**attempt) <= 1.5


def test_a_table_that_stays_busy_is_given_up(table: Table, client: Client, pauses: list[float]) -> None:
    client.answers = [an_error(BUSY[0])] * 99
    with pytest.raises(TransientError):
        table.get("P", "S")
    assert len(client.requests) == len(pauses) == ATTEMPTS


@pytest.mark.parametrize("code", ["ValidationException", "ResourceNotFoundException", "AccessDeniedException", ""])
def test_any_other_error_is_raised_as_it_is(table: Table, client: Client, code: str) -> None:
    client.answers = [an_error(code)]
    with pytest.raises(ClientError) as raised:
        table.get("P", "S")
    assert raised.value.response["Error"]["Code"] == code
    assert len(client.requests) == 1


@pytest.mark.parametrize("code", ["InternalServerError", "InternalFailure", "ServiceUnavailable"])
def test_a_database_that_fails_is_tried_again_later_by_the_caller(table: Table, client: Client, code: str) -> None:
    client.answers = [an_error(code)]
    with pytest.raises(TransientError, match="tried again"):
        table.put(Put({"pk": "P", "sk": "S"}))
    assert len(client.requests) == 1


@pytest.mark.parametrize("item", [None, ITEM])
def test_a_condition_that_failed_carries_the_present_item(table: Table, client: Client, item: Any) -> None:
    client.answers = [an_error("ConditionalCheckFailedException", item=item)]
    with pytest.raises(ConditionFailed) as failed:
        table.update(Update("P", "S", set={"n": 1}))
    assert failed.value.items == ((PLAIN,) if item else (None,))


OK, FAILED = {"Code": "None"}, {"Code": "ConditionalCheckFailed"}


@pytest.mark.parametrize(
    ("reasons", "attempts", "raised"),
    [
        ([OK, {"Code": "TransactionConflict"}], 2, None),
        ([OK, {"Code": "ThrottlingError"}], 2, None),
        ([{"Code": "ProvisionedThroughputExceeded"}], 2, None),
        ([FAILED, OK], 1, ConditionFailed),
        ([{"Code": "TransactionConflict"}, FAILED], 1, ConditionFailed),
        ([OK, {"Code": "ValidationError"}], 1, ClientError),
        ([], 1, ClientError),
    ],
    ids=str,
)
def test_a_transaction_is_sent_again_unless_a_condition_failed_or_it_is_a_mistake(
    table: Table, client: Client, reasons: list[dict[str, Any]], attempts: int, raised: type[Exception] | None
) -> None:
    client.answers = [an_error("TransactionCanceledException", reasons)]
    if raised is None:
        table.transact(Update("P", "S", set={"n": 1}))
    else:
        with pytest.raises(raised):
            table.transact(Update("P", "S", set={"n": 1}))
    assert len(client.requests) == attempts


def test_a_failed_transaction_has_an_entry_for_each_write(table: Table, client: Client) -> None:
    client.answers = [an_error("TransactionCanceledException", [{**FAILED, "Item": ITEM}, OK, FAILED])]
    with pytest.raises(ConditionFailed) as failed:
        table.transact(Update("P", "S"), Update("P", "T"), Update("P", "U"))
    assert failed.value.items == (PLAIN, None, None)


# -- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("update", "expression"),
    [
        (Update("P", "S"), None),
        (Update("P", "S", set={"a": 1}), "SET #p0 = :p0"),
        (Update("P", "S", set={"a": None}), "REMOVE #p0"),
        (Update("P", "S", set={"a": 1, "b": None}, remove=("c",)), "SET #p0 = :p0 REMOVE #p1, #p2"),
        (Update("P", "S", add={"a": 1, ("b", "c"): 2}), "ADD #p0 :p0, #p1.#p2 :p1"),
        (Update("P", "S", set={"a": 0}, add={"b": {"x"}}), "SET #p0 = :p0 ADD #p1 :p1"),
    ],
    ids=str,
)
def test_an_update_has_a_clause_for_each_kind_of_change(
    table: Table, client: Client, update: Update, expression: str | None
) -> None:
    table.update(update)
    [request] = client.requests
    assert request.get("UpdateExpression") == expression
    assert "ConditionExpression" not in request
    assert ("ExpressionAttributeNames" in request) is (expression is not None)
    assert ("ExpressionAttributeValues" in request) is (":p0" in (expression or ""))


def test_a_condition_travels_with_each_write(table: Table, client: Client) -> None:
    when = Attr("a").eq(1)
    table.put(Put({"pk": "P", "sk": "S", "n": None}))
    table.put(Put({"pk": "P", "sk": "S"}, when=None))
    table.update(Update("P", "S", set={"a": 2}, when=when))
    table.transact(Put({"pk": "P", "sk": "S"}), Update("P", "T", when=when), Check("P", "U", when=when))
    new, overwriting, update, transaction = client.requests
    assert new["ConditionExpression"] == "attribute_not_exists(#n0)" and "n" not in new["Item"]
    assert "ConditionExpression" not in overwriting and "ExpressionAttributeNames" not in overwriting
    assert update["ConditionExpression"] == "#n0 = :v0"
    kinds = [
        (kind, write["ConditionExpression"]) for each in transaction["TransactItems"] for kind, write in each.items()
    ]
    equal = "#n0 = :v0"
    assert kinds == [("Put", "attribute_not_exists(#n0)"), ("Update", equal), ("ConditionCheck", equal)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"KeyConditionExpression": "#n0 = :v0", "ScanIndexForward": True, "ConsistentRead": True}),
        ({"begins_with": "X#"}, {"KeyConditionExpression": "(#n0 = :v0 AND begins_with(#n1, :v1))"}),
        ({"begins_with": ""}, {"KeyConditionExpression": "(#n0 = :v0 AND begins_with(#n1, :v1))"}),
        ({"between": (0, 1)}, {"KeyConditionExpression": "(#n0 = :v0 AND #n1 BETWEEN :v1 AND :v2)"}),
        (
            {"index": "by_time", "keys": ("pk", "at"), "consistent": False},
            {"IndexName": "by_time", "ConsistentRead": False},
        ),
        ({"newest_first": True, "limit": 3}, {"ScanIndexForward": False, "Limit": 3}),
        ({"limit": 0}, {"Limit": 0}),
    ],
    ids=str,
)
def test_a_query_asks_for_what_it_yields(
    table: Table, client: Client, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert list(table.query("P", **options)) == []
    [request] = client.requests
    assert {name: request[name] for name in expected} == expected
    optional = {"IndexName", "FilterExpression", "Limit", "ExclusiveStartKey"}
    assert optional & set(request) == optional & set(expected)


def test_a_filtered_query_reads_on_until_it_has_enough(table: Table, client: Client) -> None:
    client.answers = [
        {"Items": [], "LastEvaluatedKey": {"pk": {"S": "P"}}},
        {"Items": [ITEM, ITEM], "LastEvaluatedKey": {"pk": {"S": "Q"}}},
        {"Items": [ITEM]},
    ]
    assert list(table.query("P", where=Attr("n").eq(1), limit=2)) == [PLAIN, PLAIN]
    assert [request.get("ExclusiveStartKey") for request in client.requests] == [None, {"pk": {"S": "P"}}]
    assert all("Limit" not in request and "FilterExpression" in request for request in client.requests)


def test_a_query_goes_on_to_the_last_page(table: Table, client: Client) -> None:
    client.answers = [{"Items": [ITEM], "LastEvaluatedKey": {"pk": {"S": "P"}}}, {"Items": [ITEM]}, {"Items": [ITEM]}]
    assert list(table.query("P")) == [PLAIN, PLAIN]


# -- many at once ----------------------------------------------------------------------------------------------------


def keys(count: int) -> list[tuple[str, str]]:
    return [("P", str(number)) for number in range(count)]


def test_no_item_is_no_request(table: Table, client: Client) -> None:
    assert table.get_many([]) == []
    assert client.requests == []


@pytest.mark.parametrize("count", [1, MAX_BATCH, MAX_BATCH + 1, 3 * MAX_BATCH])
def test_items_are_read_in_batches_each_once(table: Table, client: Client, pauses: list[float], count: int) -> None:
    client.answers = [{"Responses": {"table": [ITEM]}} for _ in range(9)]
    batches = -(-count // MAX_BATCH)
    assert table.get_many([*keys(count), *keys(count)]) == [PLAIN] * batches
    asked = [request["RequestItems"]["table"]["Keys"] for request in client.requests]
    assert [len(batch) for batch in asked[:-1]] == [MAX_BATCH] * (batches - 1)
    assert sum(len(batch) for batch in asked) == count
    assert pauses == []


def test_what_dynamodb_left_out_is_asked_for_after_a_pause_and_not_for_ever(
    table: Table, client: Client, pauses: list[float]
) -> None:
    left = {"Responses": {}, "UnprocessedKeys": {"table": {"Keys": [{"pk": {"S": "P"}}]}}}
    client.answers = [left, left, {"Responses": {"table": [ITEM]}}]
    assert table.get_many(keys(1)) == [PLAIN]
    assert pauses == [BACKOFF_SECONDS, 2 * BACKOFF_SECONDS]
    client.answers = [left] * 99
    client.requests.clear()
    pauses.clear()
    with pytest.raises(TransientError):
        table.get_many(keys(1))
    assert len(client.requests) == ATTEMPTS
    assert pauses[-1] <= BACKOFF_SECONDS * 2**ATTEMPTS


def test_a_large_read_has_an_attempt_more_for_each_batch(table: Table, client: Client, pauses: list[float]) -> None:
    left = {"Responses": {}, "UnprocessedKeys": {"table": {"Keys": [{"pk": {"S": "P"}}]}}}
    client.answers = [left] * 99
    with pytest.raises(TransientError):
        table.get_many(keys(4 * MAX_BATCH))
    assert len(client.requests) == ATTEMPTS + 4
    assert max(pauses) == BACKOFF_SECONDS * 2**ATTEMPTS
