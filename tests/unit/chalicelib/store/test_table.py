"""The table, on moto and in memory: the same tests pass on both."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest

from chalicelib.errors import TransientError
from chalicelib.store.table import Attr, Check, ConditionFailed, Item, Put, Table, Update
from tests.simulation.memory_table import MemoryTable


class Colour(StrEnum):
    RED = "red"


@pytest.fixture(params=["moto", "memory"])
def either(request: pytest.FixtureRequest) -> Iterator[Table]:
    yield request.getfixturevalue("table") if request.param == "moto" else MemoryTable()


def stored(table: Table, **attributes: Any) -> Item:
    item = {"pk": "P", "sk": "S", **attributes}
    table.put(Put(item, when=None))
    return item


def keys(items: Iterator[Item]) -> list[str]:
    return [item["sk"] for item in items]


# -- values --------------------------------------------------------------------------------------------------------


def test_an_item_is_read_back_as_plain_values(either: Table) -> None:
    stored(either, colour=Colour.RED, count=3, half=0.5, whole=2.0, yes=True, parts=("a", "b"), inner={"n": {"m": 1}})
    item = either.get("P", "S")
    assert item == {
        "pk": "P",
        "sk": "S",
        "colour": "red",
        "count": 3,
        "half": 0.5,
        "whole": 2,
        "yes": True,
        "parts": ["a", "b"],
        "inner": {"n": {"m": 1}},
    }
    assert type(item["colour"]) is str
    assert type(item["whole"]) is int


def test_an_attribute_of_none_is_not_there_and_a_none_inside_a_map_is(either: Table) -> None:
    stored(either, nothing=None, inner={"nothing": None})
    assert either.get("P", "S") == {"pk": "P", "sk": "S", "inner": {"nothing": None}}


def test_what_is_read_can_be_changed_without_changing_the_table(either: Table) -> None:
    stored(either, inner={"list": [1]}, names={"a"})
    item = either.get("P", "S")
    assert item is not None
    item["inner"]["list"].append(2)
    item["names"].add("b")
    assert either.get("P", "S") == {"pk": "P", "sk": "S", "inner": {"list": [1]}, "names": {"a"}}


def test_a_missing_item_is_none(either: Table) -> None:
    assert either.get("P", "S") is None


# -- single writes -------------------------------------------------------------------------------------------------


def test_many_items_are_read_at_once_however_many_they_are(either: Table) -> None:
    assert either.get_many([]) == []
    for number in range(120):
        either.put(Put({"pk": "P", "sk": str(number), "n": number}))
    asked = [("P", str(number)) for number in range(130)]
    assert sorted(item["n"] for item in either.get_many([*asked, asked[0]])) == list(range(120))


def test_items_that_a_busy_table_left_out_are_asked_for_again_and_not_for_ever(table: Table) -> None:
    table.put(Put({"pk": "P", "sk": "S"}))
    read, left = table._client.batch_get_item, [2]

    def busy(**request: Any) -> Any:
        left[0] -= 1
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]} if left[0] >= 0 else read(**request)

    table._client.batch_get_item = busy  # type: ignore[method-assign]
    assert [item["sk"] for item in table.get_many([("P", "S")])] == ["S"]
    left[0] = 1_000
    with pytest.raises(TransientError):
        table.get_many([("P", "S")])


def test_a_put_of_an_existing_item_fails_with_that_item(either: Table) -> None:
    before = stored(either, colour="red")
    with pytest.raises(ConditionFailed) as failed:
        either.put(Put({"pk": "P", "sk": "S", "colour": "blue"}))
    assert failed.value.item == before
    assert either.get("P", "S") == before


def test_an_update_makes_the_item_and_returns_all_of_it(either: Table) -> None:
    assert either.update(Update("P", "S", set={"a": 1})) == {"pk": "P", "sk": "S", "a": 1}
    assert either.update(Update("P", "S", set={"b": (1, 2)})) == {"pk": "P", "sk": "S", "a": 1, "b": [1, 2]}


def test_an_update_to_none_removes(either: Table) -> None:
    stored(either, a=1, b=2, c=3)
    assert either.update(Update("P", "S", set={"a": None}, remove=("b", "never"))) == {"pk": "P", "sk": "S", "c": 3}


def test_a_failed_update_carries_the_present_item_or_none(either: Table) -> None:
    with pytest.raises(ConditionFailed) as failed:
        either.update(Update("P", "S", set={"a": 1}, when=Attr("pk").exists()))
    assert failed.value.items == (None,)
    before = stored(either, a=1)
    with pytest.raises(ConditionFailed) as failed:
        either.update(Update("P", "S", set={"a": 2}, when=Attr("a").eq(7)))
    assert failed.value.items == (before,)


def test_numbers_are_added_from_nothing_and_sets_are_joined(either: Table) -> None:
    either.update(Update("P", "S", add={"count": 2, "names": {"a"}}))
    item = either.update(Update("P", "S", add={"count": -5, "names": {"a", "b"}}))
    assert item == {"pk": "P", "sk": "S", "count": -3, "names": {"a", "b"}}


def test_paths_lead_into_maps_and_names_may_hold_dots(either: Table) -> None:
    stored(either, assigned={})
    either.update(Update("P", "S", set={("assigned", "4711@c.us"): {"epoch": 1, "gone": True}}))
    either.update(
        Update("P", "S", set={("assigned", "4711@c.us", "epoch"): 2, ("assigned", "4711@c.us", "gone"): None})
    )
    either.update(Update("P", "S", add={("assigned", "count"): 1}))
    assert either.get("P", "S") == {"pk": "P", "sk": "S", "assigned": {"4711@c.us": {"epoch": 2}, "count": 1}}
    either.update(Update("P", "S", remove=(("assigned", "4711@c.us"), ("assigned", "never"))))
    assert either.get("P", "S") == {"pk": "P", "sk": "S", "assigned": {"count": 1}}


def test_a_path_that_leads_nowhere_is_a_mistake_and_changes_nothing(either: Table) -> None:
    stored(either, a=1)
    with pytest.raises(Exception, match=r"path|nowhere") as failed:
        either.update(Update("P", "S", set={("assigned", "x"): 1, "a": 2}))
    assert not isinstance(failed.value, ConditionFailed)
    assert either.get("P", "S") == {"pk": "P", "sk": "S", "a": 1}


def test_a_delete_is_repeatable(either: Table) -> None:
    stored(either, a=1)
    either.delete("P", "S")
    either.delete("P", "S")
    assert either.get("P", "S") is None


# -- conditions ----------------------------------------------------------------------------------------------------

CONDITIONS = [
    (Attr("n").eq(1), True),
    (Attr("n").eq(2), False),
    (Attr("n").eq("1"), False),
    (Attr("n").ne(2), True),
    (Attr("never").ne(2), True),
    (Attr("never").eq(2), False),
    (Attr("n").lt(2), True),
    (Attr("n").lte(1), True),
    (Attr("n").gt(1), False),
    (Attr("n").gte(1), True),
    (Attr("never").lt(2), False),
    (Attr("text").gt("aa"), True),
    (Attr("n").between(0, 1), True),
    (Attr("text").is_in(["abc", "x"]), True),
    (Attr("text").is_in(["x"]), False),
    (Attr("text").begins_with("ab"), True),
    (Attr("text").contains("bc"), True),
    (Attr("names").contains("a"), True),
    (Attr("names").contains("b"), False),
    (Attr("inner.deep.n").eq(5), True),
    (Attr("inner.never.n").eq(5), False),
    (Attr("inner.deep").exists(), True),
    (Attr("inner.never").not_exists(), True),
    (Attr("never.at.all").not_exists(), True),
    (Attr("yes").eq(True), True),
    (Attr("colour").eq(Colour.RED), True),
    (~Attr("n").eq(1), False),
    (~Attr("never").lt(1), True),
    (Attr("n").eq(1) & Attr("text").eq("abc") & Attr("yes").exists(), True),
    (Attr("n").eq(1) & Attr("n").eq(2), False),
    (Attr("n").eq(2) | Attr("n").eq(1), True),
    ((Attr("n").eq(2) | Attr("n").eq(3)) & Attr("n").eq(1), False),
]


def test_conditions_hold_as_dynamodb_says(either: Table) -> None:
    stored(either, n=1, text="abc", names={"a"}, inner={"deep": {"n": 5}}, yes=True, colour="red")
    for place, (condition, expected) in enumerate(CONDITIONS):
        try:
            either.update(Update("P", "S", set={"touched": place}, when=condition))
            held = True
        except ConditionFailed:
            held = False
        assert held is expected, f"condition {place}: {condition.get_expression()}"


# -- transactions --------------------------------------------------------------------------------------------------


def test_a_transaction_is_all_or_nothing_and_names_the_failed_condition(either: Table) -> None:
    before = stored(either, a=1)
    with pytest.raises(ConditionFailed) as failed:
        either.transact(
            Update("P", "OTHER", set={"b": 1}),
            Update("P", "S", set={"a": 2}, when=Attr("a").eq(5)),
            Put({"pk": "P", "sk": "THIRD"}),
        )
    assert failed.value.items == (None, before, None)
    assert either.get("P", "OTHER") is None
    assert either.get("P", "THIRD") is None
    assert either.get("P", "S") == before


def test_a_transaction_tells_of_every_failed_condition(either: Table) -> None:
    before = stored(either, a=1)
    with pytest.raises(ConditionFailed) as failed:
        either.transact(
            Check("P", "NEVER", when=Attr("pk").exists()),
            Put({"pk": "P", "sk": "S"}),
        )
    assert failed.value.items == (None, before)


def test_a_check_writes_nothing_but_must_hold(either: Table) -> None:
    stored(either, a=1)
    either.transact(Check("P", "S", when=Attr("a").eq(1)), Update("P", "OTHER", add={"n": 1}))
    assert either.get("P", "S") == {"pk": "P", "sk": "S", "a": 1}
    assert either.get("P", "OTHER") == {"pk": "P", "sk": "OTHER", "n": 1}
    with pytest.raises(ConditionFailed):
        either.transact(Check("P", "S", when=Attr("a").eq(2)), Update("P", "OTHER", add={"n": 1}))
    assert either.get("P", "OTHER") == {"pk": "P", "sk": "OTHER", "n": 1}


def test_a_transaction_names_an_item_once(either: Table) -> None:
    with pytest.raises(Exception, match=r"multiple operations|names an item twice"):
        either.transact(Update("P", "S", add={"n": 1}), Update("P", "S", add={"n": 1}))


# -- queries -------------------------------------------------------------------------------------------------------


@pytest.fixture
def chat(either: Table) -> Table:
    for sk, at in [("A#1", "3"), ("A#2", "1"), ("B#1", "2"), ("B#2", None)]:
        either.put(Put({"pk": "CHAT", "sk": sk, "at": at, "even": sk.endswith("2")}))
    either.put(Put({"pk": "OTHER", "sk": "A#9", "at": "9"}))
    return either


def test_a_query_yields_one_partition_in_order(chat: Table) -> None:
    assert keys(chat.query("CHAT")) == ["A#1", "A#2", "B#1", "B#2"]
    assert keys(chat.query("CHAT", newest_first=True)) == ["B#2", "B#1", "A#2", "A#1"]
    assert keys(chat.query("NEVER")) == []


def test_a_query_can_be_narrowed_and_bounded(chat: Table) -> None:
    assert keys(chat.query("CHAT", begins_with="A#")) == ["A#1", "A#2"]
    assert keys(chat.query("CHAT", between=("A#2", "B#1"))) == ["A#2", "B#1"]
    assert keys(chat.query("CHAT", limit=2)) == ["A#1", "A#2"]
    assert keys(chat.query("CHAT", where=Attr("even").eq(True))) == ["A#2", "B#2"]
    assert keys(chat.query("CHAT", where=Attr("even").eq(True), limit=1, newest_first=True)) == ["B#2"]


def test_by_time_lists_only_what_has_a_time(chat: Table) -> None:
    assert keys(chat.query("CHAT", index="by_time", keys=("pk", "at"))) == ["A#2", "B#1", "A#1"]
    newest = chat.query("CHAT", index="by_time", keys=("pk", "at"), newest_first=True, limit=2)
    assert keys(newest) == ["A#1", "B#1"]
    assert keys(chat.query("CHAT", index="by_time", keys=("pk", "at"), between=("2", "3"))) == ["B#1", "A#1"]


def test_a_global_index_holds_who_has_both_of_its_attributes(either: Table) -> None:
    stored(either, open_turns="OPEN", due_at=30, tenant="t")
    either.put(Put({"pk": "P", "sk": "EARLY", "open_turns": "OPEN", "due_at": 10, "tenant": "u"}))
    either.put(Put({"pk": "P", "sk": "NEVER", "open_turns": "OPEN"}))

    def due(until: int, **more: Any) -> list[str]:
        return keys(
            either.query(
                "OPEN",
                index="open_turns",
                keys=("open_turns", "due_at"),
                between=(0, until),
                consistent=False,
                **more,
            )
        )

    assert due(100) == ["EARLY", "S"]
    assert due(20) == ["EARLY"]
    assert due(100, where=Attr("tenant").eq("t")) == ["S"]
    either.update(Update("P", "EARLY", set={"due_at": 40}))
    assert due(100) == ["S", "EARLY"]
    either.update(Update("P", "S", set={"open_turns": None}))
    assert due(100) == ["EARLY"]
    either.delete("P", "EARLY")
    assert due(100) == []


def test_an_index_of_keys_tells_only_keys(either: Table) -> None:
    stored(either, unplaced="UNPLACED", unplaced_since=5, phase="idle")
    found = list(either.query("UNPLACED", index="unplaced", keys=("unplaced", "unplaced_since"), consistent=False))
    assert found == [{"pk": "P", "sk": "S", "unplaced": "UNPLACED", "unplaced_since": 5}]


def test_a_global_index_is_not_read_consistently(either: Table) -> None:
    with pytest.raises(Exception, match="onsistent"):
        list(either.query("RUNNER", index="directory", keys=("directory", "directory_order")))


def test_in_memory_a_global_index_may_lag_and_keeps_the_order_of_writes() -> None:
    now, lags = [0.0], [2.0, 1.0]
    table = MemoryTable(now=lambda: now[0], lag=lambda: lags.pop(0))

    def listed() -> list[Any]:
        return [
            item["n"]
            for item in table.query("D", index="directory", keys=("directory", "directory_order"), consistent=False)
        ]

    table.put(Put({"pk": "P", "sk": "S", "directory": "D", "directory_order": "1", "n": 1}))
    table.update(Update("P", "S", set={"n": 2}))
    assert table.get("P", "S") is not None
    assert listed() == []
    now[0] = 1.5
    assert listed() == []
    now[0] = 2.0
    assert listed() == [2]
