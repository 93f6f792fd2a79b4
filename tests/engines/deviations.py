"""Known deviations: where an engine answers otherwise than DynamoDB, why that harms nothing, and an example of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.conditions import Attr

from chalicelib.store.table import Put, Update
from tests.engines.operations import Get, Operation, Query, Transaction
from tests.engines.results import CRASH, INVALID


@dataclass(frozen=True)
class Deviation:
    """One rule of DynamoDB that one engine does not keep; the two others do."""

    engine: str
    #: the rule, and what the engine does instead
    sentence: str
    #: why we can live with it
    reason: str
    #: the last operation shows it
    example: Sequence[Operation]
    #: the result of the last operation by DynamoDB's rule
    rule: Any
    #: tells from an operation, its right result and the engine's whether the table may differ for this reason
    covers: Callable[[Operation, Any, Any], bool]


def explain(engine: str, operation: Operation, expected: Any, result: Any) -> str:
    """Returns the sentence of the deviation that covers the operation; empty if nobody knows one."""
    known = (each for each in DEVIATIONS if each.engine == engine and each.covers(operation, expected, result))
    return next((each.sentence for each in known), "")


def _is_condition(result: Any) -> bool:
    return isinstance(result, tuple) and bool(result) and result[0] == "condition"


def _lost_items(expected: Any, result: Any) -> bool:
    """Returns whether a condition failed as it should, without the present items."""
    if not (_is_condition(expected) and _is_condition(result)):
        return False
    return all(given in (right, None) for right, given in zip(expected[1], result[1], strict=True))


def _found_in_other_case(operation: Operation, expected: Any, result: Any) -> bool:
    if not isinstance(operation, Query) or "begins_with" not in operation.options or not isinstance(result, list):
        return False
    if result == expected:
        return False
    prefix = operation.options["begins_with"]
    exact = [item for item in result if item["sk"].startswith(prefix)]
    others = [item for item in result if item not in exact]
    # A limit was reached earlier than by exact items alone.
    return exact == expected[: len(exact)] and all(item["sk"].lower().startswith(prefix.lower()) for item in others)


def _removes_inside(operation: Operation) -> bool:
    writes = operation.writes if isinstance(operation, Transaction) else [operation]
    return any(isinstance(path, tuple) for write in writes if isinstance(write, Update) for path in write.removing)


def _adds(operation: Operation) -> bool:
    writes = operation.writes if isinstance(operation, Transaction) else [operation]
    return any(isinstance(write, Update) and write.add for write in writes)


ITEM = {"pk": "P", "sk": "a", "n": 1}
THERE = Put(ITEM, when=None)

DEVIATIONS = (
    Deviation(
        "dynoxide",
        "a REMOVE inside of a map that is not there is invalid; dynoxide removes nothing and goes on",
        "nothing is left to remove, and our stores ask in a condition whether the map is there",
        [THERE, Update("P", "a", remove=(("map", "x"),))],
        INVALID,
        lambda operation, expected, result: result != expected == INVALID and _removes_inside(operation),
    ),
    Deviation(
        "dynoxide",
        "begins_with is exact; for dynoxide a letter of ASCII is the same in either case",
        "the kinds of our sort keys are in capitals, and none begins as another does (test_sort_keys.py)",
        [THERE, Query("P", {"begins_with": "A"})],
        [],
        _found_in_other_case,
    ),
    Deviation(
        "moto",
        "a transaction with a failed condition and an invalid write names the condition; moto the invalid write",
        "our stores make no invalid writes",
        [THERE, Transaction((Put(ITEM), Update("P", "b", set={("map", "x"): 1})))],
        ("condition", (ITEM, None)),
        lambda operation, expected, result: (
            isinstance(operation, Transaction) and _is_condition(expected) and result == INVALID
        ),
    ),
    Deviation(
        "moto",
        "an invalid update changes nothing; moto has set what stands before the mistake",
        "our stores make no invalid updates",
        [Put({**ITEM, "data": "x"}, when=None), Update("P", "a", set={"n": 2}, add={"data": 1}), Get("P", "a")],
        {**ITEM, "data": "x"},
        lambda operation, expected, result: isinstance(operation, Update) and expected == result == INVALID,
    ),
    Deviation(
        "moto",
        "a sum of more than 38 digits is invalid; moto stores it, and fails from then on",
        "our counters are far smaller",
        [Put({**ITEM, "n": 10**38 - 1}, when=None), Update("P", "a", add={"n": 10**20})],
        INVALID,
        lambda operation, expected, result: result != expected == INVALID and _adds(operation),
    ),
    Deviation(
        "moto",
        "a comparison of a number with a text does not hold; moto fails",
        "an attribute of our stores has one type",
        [THERE, Update("P", "a", set={"x": 1}, when=Attr("n").lt("text"))],
        ("condition", (ITEM,)),
        lambda operation, expected, result: result == CRASH or (result != expected and _lost_items(expected, result)),
    ),
    Deviation(
        "moto",
        "a number is no truth value; moto finds True in a list that holds 1, and equal to it",
        "our stores keep no such lists",
        [Put({**ITEM, "list": [1]}, when=None), Update("P", "a", set={"x": 1}, when=Attr("list").contains(True))],
        ("condition", ({**ITEM, "list": [1]},)),
        lambda operation, expected, result: False,  # no random condition asks this
    ),
    Deviation(
        "moto",
        "a key of an index has the index's type; moto takes any in a transaction",
        "the other engines refuse such a write in the first test",
        [Transaction((Put({**ITEM, "due_at": "text"}),))],
        INVALID,
        lambda operation, expected, result: False,  # no random item has one
    ),
    Deviation(
        "moto",
        "an update of nothing makes the item; moto fails",
        "our stores change something",
        [Update("P", "a")],
        {"pk": "P", "sk": "a"},
        lambda operation, expected, result: result == CRASH,
    ),
    Deviation(
        "moto",
        "a filter does not take the keys of what is queried; moto filters by them",
        "the other engines refuse such a query in the first test",
        [THERE, Query("P", {"where": Attr("pk").exists()})],
        INVALID,
        lambda operation, expected, result: isinstance(operation, Query) and result != expected == INVALID,
    ),
)
