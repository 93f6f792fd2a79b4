"""Which operations are flushed to the disk before they are acknowledged."""

import pytest

from infrastructure.local.table.server import is_write


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        *[(name, False) for name in ("GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan", "ListTables")],
        *[(name, False) for name in ("DescribeTable", "DescribeTimeToLive", "ListTagsOfResource")],
        *[(name, True) for name in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")],
        *[(name, True) for name in ("CreateTable", "UpdateTable", "UpdateTimeToLive", "ExecuteStatement")],
        ("SomethingNew", True),
    ],
)
def test_what_may_change_the_table_is_a_write(operation: str, expected: bool) -> None:
    assert is_write(f"DynamoDB_20120810.{operation}") is expected
