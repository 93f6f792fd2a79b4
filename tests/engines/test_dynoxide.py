"""The engine of one machine alone: tokens, sizes, pages, and what it keeps when it is killed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.store.table import ConditionFailed, Put, Table, Update
from infrastructure.local.table.items import read_items
from tests.engines.dynoxide import Dynoxide, new_table

pytestmark = pytest.mark.dynoxide
TABLE = "answerline"


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Dynoxide]:
    with Dynoxide(tmp_path, tmp_path / "answerline.db") as engine:
        yield engine


def add_one(client: Any, token: str, by: int = 1) -> None:
    """Adds to a counter in a transaction, as a client does whose first answer was lost."""
    client.transact_write_items(
        TransactItems=[
            {
                "Update": {
                    "TableName": TABLE,
                    "Key": {"pk": {"S": "P"}, "sk": {"S": "S"}},
                    "UpdateExpression": "ADD #n :by",
                    "ExpressionAttributeNames": {"#n": "n"},
                    "ExpressionAttributeValues": {":by": {"N": str(by)}},
                }
            }
        ],
        ClientRequestToken=token,
    )


def count(table: Table) -> int:
    return int((table.get("P", "S") or {"n": 0})["n"])


def test_a_transaction_with_the_same_token_is_made_once(dynoxide: Dynoxide) -> None:
    client = dynoxide.client()
    table = new_table(client, TABLE)
    for token in ("one", "one", "two", "one"):
        add_one(client, token)
    assert count(table) == 2
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        add_one(client, "one", by=5)
    assert count(table) == 2


def test_tokens_are_forgotten_when_the_engine_ends(on_disk: Dynoxide) -> None:
    """A deviation: AWS knows a token for ten minutes. Our transactions hold a condition, or write the same again."""
    client = on_disk.client()
    table = new_table(client, TABLE)
    add_one(client, "one")
    on_disk.kill()
    on_disk.start()
    add_one(client, "one")
    assert count(table) == 2


def test_what_was_acknowledged_survives_a_kill(on_disk: Dynoxide) -> None:
    client = on_disk.client()
    table = new_table(client, TABLE)
    for number in range(40):
        table.put(Put({"pk": "P", "sk": f"{number:03d}", "at": f"{number:03d}", "n": 10**37 + number}))
        if number % 10 == 9:
            on_disk.kill()
            on_disk.start()
    assert [item["n"] - 10**37 for item in table.query("P")] == list(range(40))
    assert [item["sk"] for item in table.query("P", index="by_time", keys=("pk", "at"), limit=3)] == [
        "000",
        "001",
        "002",
    ]


def test_of_many_writers_each_is_counted_and_one_wins(dynoxide: Dynoxide) -> None:
    table = new_table(dynoxide.client(), TABLE)

    def write(writer: int) -> int:
        won = 0
        for number in range(25):
            table.update(Update("P", "S", add={"n": 1}))
            try:
                table.transact(Put({"pk": "P", "sk": f"{number}", "by": writer}), Update("P", "WON", add={"n": 1}))
                won += 1
            except ConditionFailed:
                continue
        return won

    with ThreadPoolExecutor(6) as writers:
        assert sum(writers.map(write, range(6))) == 25
    assert count(table) == 150
    assert table.get("P", "WON") == {"pk": "P", "sk": "WON", "n": 25}


def test_a_partition_of_many_pages_is_read_whole(dynoxide: Dynoxide) -> None:
    table = new_table(dynoxide.client(), TABLE)
    for number in range(8):
        table.put(Put({"pk": "P", "sk": str(number), "at": str(9 - number), "data": "x" * 390_000}))
    assert "LastEvaluatedKey" in dynoxide.client().scan(TableName=TABLE)
    assert [item["sk"] for item in table.query("P")] == list("01234567")
    assert [item["sk"] for item in table.query("P", index="by_time", keys=("pk", "at"))] == list("76543210")
    assert len(list(read_items(dynoxide.client(), TABLE))) == 8


def test_an_item_larger_than_dynamodb_takes_is_refused(dynoxide: Dynoxide) -> None:
    table = new_table(dynoxide.client(), TABLE)
    for write in (
        lambda: table.put(Put({"pk": "P", "sk": "S", "data": "x" * 410_000})),
        lambda: table.update(Update("P", "S", set={"data": "x" * 410_000})),
        lambda: table.transact(Put({"pk": "P", "sk": "S", "data": "x" * 410_000})),
    ):
        with pytest.raises(ClientError, match="size"):
            write()
    assert table.get("P", "S") is None


def test_an_expired_item_is_there_until_somebody_deletes_it(dynoxide: Dynoxide) -> None:
    """A deviation: AWS deletes it within days. `infrastructure/local/table/expiry.py` does here."""
    client = dynoxide.client()
    table = new_table(client, TABLE)
    client.update_time_to_live(
        TableName=TABLE, TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": True}
    )
    table.put(Put({"pk": "P", "sk": "S", "expires_at": 1}))
    assert table.get("P", "S") is not None
