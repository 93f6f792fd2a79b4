"""Resolves the intrinsic functions of `cloudformation/resources.yaml` for one stack, as CloudFormation does."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infrastructure.packaging import template

RESOURCES = Path(__file__).resolve().parents[1] / "cloudformation" / "resources.yaml"

_PLACE = re.compile(r"\$\{([^}!]+)\}")


def load() -> dict[str, Any]:
    """Loads `resources.yaml`, with its intrinsic functions in long form."""
    return template.load(RESOURCES)


@dataclass
class Template:
    """The template for one stack name; ``created`` holds the values of Ref and GetAtt of each resource."""

    body: Mapping[str, Any]
    pseudo: Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: logical name → {"Ref": …, "Arn": …}, filled in as the resources are created
    created: dict[str, dict[str, str]] = field(default_factory=dict)

    def of_type(self, kind: str) -> list[str]:
        """Lists the logical ids of the resources of this type whose condition holds, in the order of the file."""
        return [
            name
            for name, resource in self.body["Resources"].items()
            if resource["Type"] == kind and self._holds(resource.get("Condition"))
        ]

    def properties(self, name: str) -> dict[str, Any]:
        """Returns the resolved Properties of one resource."""
        return dict(self.resolve(self.body["Resources"][name].get("Properties", {})))

    def resolve(self, value: Any) -> Any:
        """Replaces every intrinsic function in ``value`` by its result."""
        if isinstance(value, list):
            return [self.resolve(each) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name in _INTRINSICS:
                return _INTRINSICS[name](self, argument)
        return {key: self.resolve(each) for key, each in value.items()}

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolve(self.body["Conditions"][condition]))

    def _ref(self, name: str) -> str:
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self.body.get("Parameters", {}):
            return str(self.body["Parameters"][name].get("Default", ""))
        return self._attribute([name, "Ref"])

    def _attribute(self, path: list[str]) -> str:
        name, attribute = path
        if name not in self.created:
            raise LookupError(f"resources.yaml refers to {name}.{attribute} before it is created")
        return self.created[name][attribute]

    def _substitute(self, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else (argument[0], self.resolve(argument[1]))

        def place(match: re.Match[str]) -> str:
            name = match[1]
            if name in own:
                return str(own[name])
            return self._attribute(name.split(".", 1)) if "." in name else self._ref(name)

        return _PLACE.sub(place, text)

    def _choose(self, argument: list[Any]) -> Any:
        condition, yes, no = argument
        return self.resolve(yes if self._holds(condition) else no)

    def _equal(self, argument: list[Any]) -> bool:
        left, right = self.resolve(argument)
        return bool(left == right)

    def _any(self, argument: list[Any]) -> bool:
        return any(self.resolve(argument))

    def _all(self, argument: list[Any]) -> bool:
        return all(self.resolve(argument))

    def _not(self, argument: list[Any]) -> bool:
        return not self.resolve(argument)[0]

    def _joined(self, argument: list[Any]) -> str:
        separator, parts = self.resolve(argument)
        return str(separator).join(map(str, parts))


_INTRINSICS: dict[str, Callable[[Template, Any], Any]] = {
    "Ref": Template._ref,
    "Fn::GetAtt": Template._attribute,
    "Fn::Sub": Template._substitute,
    "Fn::If": Template._choose,
    "Fn::Equals": Template._equal,
    "Fn::Or": Template._any,
    "Fn::And": Template._all,
    "Fn::Not": Template._not,
    "Fn::Join": Template._joined,
    "Condition": Template._holds,
}
