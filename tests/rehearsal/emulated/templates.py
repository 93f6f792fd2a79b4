"""Functions that CloudFormation takes in conditions and MiniStack does not: Sub, Split, Join."""

import re
from collections.abc import Mapping
from typing import Any

_PLACE = re.compile(r"\$\{([A-Za-z0-9]+)\}")


def conditions_may_split_and_substitute() -> None:
    """MiniStack evaluates conditions over texts and parameters; here their other functions are evaluated before."""
    from ministack.services.cloudformation import changesets, engine, handlers

    evaluate = engine._evaluate_conditions

    def evaluate_ours(template: dict[str, Any], params: dict[str, Any]) -> Any:
        values = {name: str(each["Value"]) for name, each in params.items() if "Value" in each}
        return evaluate({**template, "Conditions": evaluated(template.get("Conditions", {}), values)}, params)

    for module in (engine, changesets, handlers):
        module._evaluate_conditions = evaluate_ours


def evaluated(value: Any, parameters: Mapping[str, str]) -> Any:
    """Returns a part of a template with the results of these functions in their places."""
    if isinstance(value, list):
        return [evaluated(each, parameters) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: evaluated(each, parameters) for key, each in value.items()}
    if isinstance(text := inner.get("Fn::Sub"), str):
        return _PLACE.sub(lambda place: parameters[place[1]], text)
    if "Fn::Split" in inner:
        delimiter, text = inner["Fn::Split"]
        return _text(text, parameters).split(delimiter)
    if "Fn::Join" in inner:
        delimiter, parts = inner["Fn::Join"]
        return delimiter.join(_text(each, parameters) for each in parts)
    return inner


def _text(value: Any, parameters: Mapping[str, str]) -> str:
    return parameters[value["Ref"]] if isinstance(value, dict) else str(value)
