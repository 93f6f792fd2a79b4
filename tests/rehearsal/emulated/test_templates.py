"""The functions in conditions that are evaluated before MiniStack sees them."""

from typing import Any

import pytest

from tests.rehearsal.emulated.templates import evaluated

PARAMETERS = {"Mails": "a@example.com,b@example.com", "Stage": "prod"}


@pytest.mark.parametrize(
    ("written", "result"),
    [
        ({"Fn::Sub": "${Mails},,"}, "a@example.com,b@example.com,,"),
        ({"Fn::Split": [",", {"Ref": "Mails"}]}, ["a@example.com", "b@example.com"]),
        ({"Fn::Split": [",", {"Fn::Sub": "${Stage},,"}]}, ["prod", "", ""]),
        ({"Fn::Join": ["-", [{"Ref": "Stage"}, "x"]]}, "prod-x"),
        ({"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, ""]}]}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, ""]}]}),
    ],
)
def test_a_function_becomes_its_result_and_all_else_stays(written: Any, result: Any) -> None:
    assert evaluated(written, PARAMETERS) == result
