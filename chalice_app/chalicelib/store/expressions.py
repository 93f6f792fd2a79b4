"""Translates Python values, paths and conditions into DynamoDB's requests, and its items back into Python values."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

Item = dict[str, Any]
#: An attribute, or a path into a map.
Path = str | tuple[str, ...]

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class Expression:
    """The placeholders of one request, which stand for names and values in its expressions."""

    def __init__(self) -> None:
        self._builder = ConditionExpressionBuilder()
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def path(self, path: Path) -> str:
        """Returns the placeholders of a path."""
        parts = (path,) if isinstance(path, str) else path
        placeholders = []
        for part in parts:
            placeholder = f"#p{len(self._names)}"
            self._names[placeholder] = part
            placeholders.append(placeholder)
        return ".".join(placeholders)

    def value(self, value: Any) -> str:
        """Returns the placeholder of a value."""
        placeholder = f":p{len(self._values)}"
        self._values[placeholder] = stored(value)
        return placeholder

    def condition(self, condition: ConditionBase, *, of_keys: bool = False) -> str:
        """Returns the text of a condition; ``of_keys`` for the key condition of a query."""
        built = self._builder.build_expression(condition, is_key_condition=of_keys)
        self._names.update(built.attribute_name_placeholders)
        self._values.update({name: stored(value) for name, value in built.attribute_value_placeholders.items()})
        return str(built.condition_expression)

    def placeholders(self) -> dict[str, Any]:
        """Returns the request's arguments that resolve the placeholders."""
        result: dict[str, Any] = {}
        if self._names:
            result["ExpressionAttributeNames"] = self._names
        if self._values:
            result["ExpressionAttributeValues"] = self._values
        return result


def key_of(pk: str, sk: str) -> dict[str, Any]:
    """Returns the primary key of an item."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def stored(value: Any) -> Any:
    """Returns a value in DynamoDB's JSON."""
    return _serialize(_storable(value))


def plain(item: Mapping[str, Any]) -> Item:
    """Returns an item of DynamoDB's JSON as Python values."""
    return {name: _native(_deserialize(value)) for name, value in item.items()}


def _storable(value: Any) -> Any:
    """Turns floats into decimals and tuples into lists, which the serializer accepts."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return {str(name): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def _native(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _native(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_native(inner) for inner in value]
    return value
