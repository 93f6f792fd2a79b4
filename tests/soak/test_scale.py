"""What `make scale` counts and judges."""

from typing import Any

import pytest

from tests.soak.counted_functions import Counts, by_page, read_counts, rows_of
from tests.soak.scale_report import CONVERGED_WITHIN_SECONDS, grown, report, verdict


def key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def query(partition: str, index: str | None = None) -> dict[str, Any]:
    named = {"IndexName": index} if index else {}
    return {
        "KeyConditionExpression": "#0 = :1 AND #1 BETWEEN :2 AND :3",
        "ExpressionAttributeValues": {":2": {"S": "0"}, ":1": {"S": partition}, ":3": {"S": "9"}},
        **named,
    }


@pytest.mark.parametrize(
    ("operation", "request_", "answer", "rows"),
    [
        ("GetItem", {"Key": key("TENANT#a", "SESSION")}, {}, [(("read", "SESSION"), 1)]),
        ("GetItem", {"Key": key("CHAT#a#b", "MESSAGE#contact#A")}, {}, [(("read", "MESSAGE"), 1)]),
        (
            "BatchGetItem",
            {},
            {"Responses": {"t": [key("RUNNER#a", "RUNNER"), key("RUNNER#b", "RUNNER")]}},
            [(("read", "RUNNER"), 1)] * 2,
        ),
        ("Query", query("TENANT", "directory"), {"Items": [{}] * 7}, [(("read", "directory: TENANT"), 7)]),
        ("Query", query("ROOM#2", "unplaced"), {"Items": []}, [(("read", "unplaced: ROOM#…"), 1)]),
        ("Query", query("CHAT#a#b"), {"Items": [{}], "ScannedCount": 30}, [(("read", "CHAT#…"), 30)]),
        ("UpdateItem", {"Key": key("RUNNER#a", "BELL")}, {}, [(("write", "BELL"), 1)]),
        ("PutItem", {"Item": key("FLEET", "FLEET")}, {}, [(("write", "FLEET"), 1)]),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Update": {"Key": key("TENANT#a", "SESSION")}},
                    {"Put": {"Item": key("TENANT#a", "EVENT#1#2")}},
                    {"ConditionCheck": {"Key": key("TENANT#a", "TENANT")}},
                ]
            },
            {},
            [(("write", "SESSION"), 1), (("write", "EVENT"), 1), (("read", "TENANT"), 1)],
        ),
    ],
)
def test_each_request_is_counted_by_kind_and_key(
    operation: str, request_: dict[str, Any], answer: dict[str, Any], rows: list[Any]
) -> None:
    assert list(rows_of(operation, request_, answer)) == rows


def test_counts_are_written_and_read(tmp_path: Any) -> None:
    counts = Counts()
    for _ in range(3):
        counts.add(rows_of("GetItem", {"Key": key("TENANT#a", "SESSION")}, {}))
    counts.write(tmp_path / "counts.json")
    assert read_counts(tmp_path / "counts.json") == {("read", "SESSION"): 3}


def test_what_a_page_reads_is_counted_by_itself() -> None:
    rows = [(("read", "SESSION"), 50), (("write", "OPERATOR"), 1)]
    paged = [(("read by /admin/live", "SESSION"), 50), (("write by /admin/live", "OPERATOR"), 1)]
    assert list(by_page(rows, "/admin/live")) == paged
    for page in ("", "/admin/tenants/scaletenant00001"):
        assert list(by_page(rows, page)) == rows


def figures(rows: dict[str, float], converged: float = 90.0, polls: dict[str, float] | None = None) -> dict[str, Any]:
    seconds = {"placed_seconds": 60.0, "converged_seconds": converged}
    return {"runners": 250, "each_minute": rows, "each_poll": polls or {}, **seconds}


@pytest.mark.parametrize(
    ("small", "large", "grows"),
    [
        ({"read by /admin: SESSION": 50}, {"read by /admin: SESSION": 55}, False),
        ({"read by /admin: SESSION": 50}, {"read by /admin: SESSION": 56}, True),
        ({}, {"read by /admin: directory: TENANT": 4_000}, True),
        ({}, {"read by /admin: LINES": 2}, False),
    ],
)
def test_a_poll_reads_as_much_of_many_lines_as_of_few(
    small: dict[str, float], large: dict[str, float], grows: bool
) -> None:
    measured = {500: figures({}, polls=small), 2_000: figures({}, polls=large)}
    held, line = verdict(measured)
    (row,) = large
    assert held is not grows and (row in line) is grows
    assert f"| {row} | {small.get(row, 0):,} | {large[row]:,} |" in report(measured)


def test_what_grows_with_the_installation_alone_is_no_growth() -> None:
    measured = {500: figures({"read: RUNNER": 1_000, "write: RUNNER": 10}), 2_000: figures({"read: RUNNER": 4_000})}
    assert grown(measured) == {} and verdict(measured)[0]
    assert "| read: RUNNER | 1,000 | 4,000 | 2.00 | 2.00 |" in report(measured)


@pytest.mark.parametrize(
    ("small", "large", "rows"),
    [
        ({"read: RUNNER": 1_000}, {"read: RUNNER": 4_401}, ["read: RUNNER"]),
        ({"read: RUNNER": 1_000}, {"read: RUNNER": 4_399}, []),
        ({}, {"read: unplaced: ROOM#…": 400}, ["read: unplaced: ROOM#…"]),
        ({}, {"read: FLEET": 3}, []),
        ({"write: RUNNER": 1}, {"write: RUNNER": 9_000}, []),
    ],
)
def test_a_row_that_is_read_more_often_for_each_tenant_is_named(
    small: dict[str, float], large: dict[str, float], rows: list[str]
) -> None:
    measured = {500: figures(small), 2_000: figures(large)}
    held, line = verdict(measured)
    assert list(grown(measured)) == rows and held is (not rows)
    assert all(row in line for row in rows)


def test_lines_that_stay_away_for_too_long_hold_no_bound() -> None:
    held, line = verdict({500: figures({}), 2_000: figures({}, CONVERGED_WITHIN_SECONDS + 1)})
    assert not held and line.startswith("NOT held: 2,000 tenants on 250 runners")
