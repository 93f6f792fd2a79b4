"""Values, paths and conditions in DynamoDB's requests, and items back as Python values."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from chalicelib.model import TurnState
from chalicelib.store.expressions import Expression, plain, stored
from chalicelib.store.table import Attr


@pytest.mark.parametrize(
    ("value", "written", "read"),
    [
        ("a", {"S": "a"}, "a"),
        (TurnState.READY, {"S": "ready"}, "ready"),
        (7, {"N": "7"}, 7),
        (0.5, {"N": "0.5"}, 0.5),
        (2.0, {"N": "2.0"}, 2),
        (True, {"BOOL": True}, True),
        (None, {"NULL": True}, None),
        ({"a"}, {"SS": ["a"]}, {"a"}),
        (("a", 1.5), {"L": [{"S": "a"}, {"N": "1.5"}]}, ["a", 1.5]),
        ({"a": {"b": (1,)}}, {"M": {"a": {"M": {"b": {"L": [{"N": "1"}]}}}}}, {"a": {"b": [1]}}),
        ({TurnState.READY: 1.5}, {"M": {"ready": {"N": "1.5"}}}, {"ready": 1.5}),
        (MappingProxyType({"a": 1}), {"M": {"a": {"N": "1"}}}, {"a": 1}),
    ],
    ids=str,
)
def test_a_value_is_written_in_dynamodbs_json_and_read_back(value: Any, written: Any, read: Any) -> None:
    in_json = stored(value)
    assert in_json == written
    assert repr(plain({"x": in_json})["x"]) == repr(read), "numbers are int or float at each depth"


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("a.b", "#p0", {"#p0": "a.b"}),
        (("a", "b.c"), "#p0.#p1", {"#p0": "a", "#p1": "b.c"}),
    ],
)
def test_a_path_is_a_placeholder_for_each_part(path: Any, text: str, names: Mapping[str, str]) -> None:
    expression = Expression()
    assert expression.path(path) == text
    assert expression.placeholders() == {"ExpressionAttributeNames": names}


def test_a_request_without_placeholders_names_none() -> None:
    """DynamoDB refuses an empty mapping."""
    assert Expression().placeholders() == {}
    value = Expression()
    assert value.value(1) == ":p0"
    assert value.placeholders() == {"ExpressionAttributeValues": {":p0": {"N": "1"}}}
    name = Expression()
    assert name.condition(Attr("a").exists()) == "attribute_exists(#n0)"
    assert name.placeholders() == {"ExpressionAttributeNames": {"#n0": "a"}}
