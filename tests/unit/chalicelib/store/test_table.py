"""The table: the same tests pass on every engine."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest

from chalicelib.errors import TransientError
from chalicelib.store.table import Attr, Check, ConditionFailed, Item, Put, Table, Update
from tests.simulation.memory_table import MemoryTable


class Colour(StrEnum):
    RED = "red"


def stored(table: Table, **attributes: Any) -> Item:
    item = {"pk": "P", "sk": "S", **attributes}
    table.put(Put(item, when=None))
    return item


def keys(items: Iterator[Item]) -> list[str]:
    return [item["sk"] for item in items]


# -- values --------------------------------------------------------------------------------------------------------


def test_an_item_is_read_back_as_plain_values(table: Table) -> None:
    stored(table, colour=Colour.RED, count=3, half=0.5, whole=2.0, yes=True, parts=("a", "b"), inner={"n": {"m": 1}})
    item = table.get("P", "S")
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


def test_an_attribute_of_none_is_not_there_and_a_none_inside_a_map_is(table: Table) -> None:
    stored(table, nothing=None, inner={"nothing": None})
    assert table.get("P", "S") == {"pk": "P", "sk": "S", "inner": {"nothing": None}}


def test_what_is_read_can_be_changed_without_changing_the_table(table: Table) -> None:
    stored(table, inner={"list": [1]}, names={"a"})
    item = table.get("P", "S")
    assert item is not None
    item["inner"]["list"].append(2)
    item["names"].add("b")
    assert table.get("P", "S") == {"pk": "P", "sk": "S", "inner": {"list": [1]}, "names": {"a"}}


def test_a_missing_item_is_none(table: Table) -> None:
    assert table.get("P", "S") is None


# -- single writes -------------------------------------------------------------------------------------------------


def test_many_items_are_read_at_once_however_many_they_are(table: Table) -> None:
    assert table.get_many([]) == []
    for number in range(120):
        table.put(Put({"pk": "P", "sk": str(number), "n": number}))
    asked = [("P", str(number)) for number in range(130)]
    assert sorted(item["n"] for item in table.get_many([*asked, asked[0]])) == list(range(120))


def test_items_that_a_busy_table_left_out_are_asked_for_again_and_not_for_ever(moto_table: Table) -> None:
    moto_table.put(Put({"pk": "P", "sk": "S"}))
    read, left = moto_table._client.batch_get_item, [2]

    def busy(**request: Any) -> Any:
        left[0] -= 1
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]} if left[0] >= 0 else read(**request)

    moto_table._client.batch_get_item = busy  # type: ignore[method-assign]
    assert [item["sk"] for item in moto_table.get_many([("P", "S")])] == ["S"]
    left[0] = 1_000
    with pytest.raises(TransientError):
        moto_table.get_many([("P", "S")])


def test_a_put_of_an_existing_item_fails_with_that_item(table: Table) -> None:
    before = stored(table, colour="red")
    with pytest.raises(ConditionFailed) as failed:
        table.put(Put({"pk": "P", "sk": "S", "colour": "blue"}))
    assert failed.value.item == before
    assert table.get("P", "S") == before


def test_an_update_makes_the_item_and_returns_all_of_it(table: Table) -> None:
    assert table.update(Update("P", "S", set={"a": 1})) == {"pk": "P", "sk": "S", "a": 1}
    assert table.update(Update("P", "S", set={"b": (1, 2)})) == {"pk": "P", "sk": "S", "a": 1, "b": [1, 2]}


def test_an_update_to_none_removes(table: Table) -> None:
    stored(table, a=1, b=2, c=3)
    assert table.update(Update("P", "S", set={"a": None}, remove=("b", "never"))) == {"pk": "P", "sk": "S", "c": 3}


def test_a_failed_update_carries_the_present_item_or_none(table: Table) -> None:
    with pytest.raises(ConditionFailed) as failed:
        table.update(Update("P", "S", set={"a": 1}, when=Attr("pk").exists()))
    assert failed.value.items == (None,)
    before = stored(table, a=1)
    with pytest.raises(ConditionFailed) as failed:
        table.update(Update("P", "S", set={"a": 2}, when=Attr("a").eq(7)))
    assert failed.value.items == (before,)


def test_numbers_are_added_from_nothing_and_sets_are_joined(table: Table) -> None:
    table.update(Update("P", "S", add={"count": 2, "names": {"a"}}))
    item = table.update(Update("P", "S", add={"count": -5, "names": {"a", "b"}}))
    assert item == {"pk": "P", "sk": "S", "count": -3, "names": {"a", "b"}}


def test_paths_lead_into_maps_and_names_may_hold_dots(table: Table) -> None:
    stored(table, assigned={})
    table.update(Update("P", "S", set={("assigned", "4711@c.us"): {"epoch": 1, "gone": True}}))
    table.update(Update("P", "S", set={("assigned", "4711@c.us", "epoch"): 2, ("assigned", "4711@c.us", "gone"): None}))
    table.update(Update("P", "S", add={("assigned", "count"): 1}))
    assert table.get("P", "S") == {"pk": "P", "sk": "S", "assigned": {"4711@c.us": {"epoch": 2}, "count": 1}}
    table.update(Update("P", "S", remove=(("assigned", "4711@c.us"), ("assigned", "never"))))
    assert table.get("P", "S") == {"pk": "P", "sk": "S", "assigned": {"count": 1}}


def test_a_path_that_leads_nowhere_is_a_mistake_and_changes_nothing(table: Table) -> None:
    stored(table, a=1)
    with pytest.raises(Exception, match=r"path|nowhere") as failed:
        table.update(Update("P", "S", set={("assigned", "x"): 1, "a": 2}))
    assert not isinstance(failed.value, ConditionFailed)
    assert table.get("P", "S") == {"pk": "P", "sk": "S", "a": 1}


@pytest.mark.parametrize("added", [{"text": 1}, {"text": {"a"}}, {"n": {"a"}}, {"names": 1}, {"names": {1}}], ids=str)
def test_what_is_of_another_type_is_not_added_and_changes_nothing(table: Table, added: dict[str, Any]) -> None:
    before = stored(table, n=1, text="abc", names={"a"})
    with pytest.raises(Exception, match=r"type|operand") as failed:
        table.update(Update("P", "S", add=added))
    assert not isinstance(failed.value, ConditionFailed)
    assert table.get("P", "S") == before


def test_large_numbers_are_added_digit_for_digit(table: Table) -> None:
    stored(table, n=10**37)
    table.update(Update("P", "S", add={"n": 1}))
    assert table.update(Update("P", "S", add={"n": 10**20}))["n"] == 10**37 + 10**20 + 1


def test_a_set_has_a_member(table: Table) -> None:
    with pytest.raises(Exception, match=r"(?i)\bset\b"):
        table.update(Update("P", "S", add={"names": set()}))
    assert table.get("P", "S") is None


def test_a_delete_is_repeatable(table: Table) -> None:
    stored(table, a=1)
    table.delete("P", "S")
    table.delete("P", "S")
    assert table.get("P", "S") is None


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
    (Attr("n").contains("1"), False),
    (Attr("n").begins_with("1"), False),
    (Attr("text").contains(1), False),
    (Attr("list").contains(1), True),
    (Attr("list").eq([1, "a"]), True),
    (Attr("inner").eq({"deep": {"n": 5}}), True),
    (Attr("inner").eq({"deep": {"n": 5, "m": 1}}), False),
    (Attr("yes").eq("yes"), False),
]


def test_conditions_hold_as_dynamodb_says(table: Table) -> None:
    stored(table, n=1, text="abc", names={"a"}, inner={"deep": {"n": 5}}, yes=True, colour="red", list=[1, "a"])
    for place, (condition, expected) in enumerate(CONDITIONS):
        try:
            table.update(Update("P", "S", set={"touched": place}, when=condition))
            held = True
        except ConditionFailed:
            held = False
        assert held is expected, f"condition {place}: {condition.get_expression()}"


# -- transactions --------------------------------------------------------------------------------------------------


def test_a_transaction_is_all_or_nothing_and_names_the_failed_condition(table: Table) -> None:
    before = stored(table, a=1)
    with pytest.raises(ConditionFailed) as failed:
        table.transact(
            Update("P", "OTHER", set={"b": 1}),
            Update("P", "S", set={"a": 2}, when=Attr("a").eq(5)),
            Put({"pk": "P", "sk": "THIRD"}),
        )
    assert failed.value.items == (None, before, None)
    assert table.get("P", "OTHER") is None
    assert table.get("P", "THIRD") is None
    assert table.get("P", "S") == before


def test_a_transaction_tells_of_every_failed_condition(table: Table) -> None:
    before = stored(table, a=1)
    with pytest.raises(ConditionFailed) as failed:
        table.transact(
            Check("P", "NEVER", when=Attr("pk").exists()),
            Put({"pk": "P", "sk": "S"}),
        )
    assert failed.value.items == (None, before)


def test_a_check_writes_nothing_but_must_hold(table: Table) -> None:
    stored(table, a=1)
    table.transact(Check("P", "S", when=Attr("a").eq(1)), Update("P", "OTHER", add={"n": 1}))
    assert table.get("P", "S") == {"pk": "P", "sk": "S", "a": 1}
    assert table.get("P", "OTHER") == {"pk": "P", "sk": "OTHER", "n": 1}
    with pytest.raises(ConditionFailed):
        table.transact(Check("P", "S", when=Attr("a").eq(2)), Update("P", "OTHER", add={"n": 1}))
    assert table.get("P", "OTHER") == {"pk": "P", "sk": "OTHER", "n": 1}


def test_a_transaction_names_an_item_once(table: Table) -> None:
    with pytest.raises(Exception, match=r"multiple operations|names an item twice"):
        table.transact(Update("P", "S", add={"n": 1}), Update("P", "S", add={"n": 1}))


def test_a_transaction_with_an_invalid_write_writes_nothing(table: Table) -> None:
    with pytest.raises(Exception, match=r"Validation|nowhere"):
        table.transact(Put({"pk": "P", "sk": "S"}), Update("P", "OTHER", set={("map", "x"): 1}))
    assert table.get("P", "S") is None


# -- queries -------------------------------------------------------------------------------------------------------


@pytest.fixture
def chat(table: Table) -> Table:
    for sk, at in [("A#1", "3"), ("A#2", "1"), ("B#1", "2"), ("B#2", None)]:
        table.put(Put({"pk": "CHAT", "sk": sk, "at": at, "even": sk.endswith("2")}))
    table.put(Put({"pk": "OTHER", "sk": "A#9", "at": "9"}))
    return table


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


def test_a_global_index_holds_who_has_both_of_its_attributes(table: Table) -> None:
    stored(table, open_turns="OPEN", due_at=30.5, tenant="t")
    table.put(Put({"pk": "P", "sk": "EARLY", "open_turns": "OPEN", "due_at": 10, "tenant": "u"}))
    table.put(Put({"pk": "P", "sk": "NEVER", "open_turns": "OPEN"}))

    def due(until: int, **more: Any) -> list[str]:
        return keys(
            table.query(
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
    table.update(Update("P", "EARLY", set={"due_at": 40}))
    assert due(100) == ["S", "EARLY"]
    table.update(Update("P", "S", set={"open_turns": None}))
    assert due(100) == ["EARLY"]
    table.delete("P", "EARLY")
    assert due(100) == []


def test_an_index_of_keys_tells_only_keys(table: Table) -> None:
    stored(table, unplaced="UNPLACED", unplaced_since=5, phase="idle")
    found = list(table.query("UNPLACED", index="unplaced", keys=("unplaced", "unplaced_since"), consistent=False))
    assert found == [{"pk": "P", "sk": "S", "unplaced": "UNPLACED", "unplaced_since": 5}]


def test_a_global_index_is_not_read_consistently(table: Table) -> None:
    with pytest.raises(Exception, match="onsistent"):
        list(table.query("RUNNER", index="directory", keys=("directory", "directory_order")))


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
