"""OpenAI's OpenAPI document, read strictly: an unknown field is an error, as a missing one is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend
from referencing.exceptions import Unresolvable

#: A part of a JSON Schema.
Schema = dict[str, Any]

COMPONENTS = "#/components/schemas/"
#: Our own keyword beside `anyOf`: the member for each value of the field `type`.
BY_TYPE = "x-by-type"
SHOWN_CHARACTERS = 200


class UnreadableDescription(Exception):
    """The document is missing, cannot be parsed, or describes something else."""


def _any_of(validator: Any, members: list[Schema], value: object, schema: Schema) -> Iterator[ValidationError]:
    """Checks `anyOf`, and where the value's type names one member that one only: sixty kinds of events are many."""
    named = schema.get(BY_TYPE, {}).get(value.get("type")) if isinstance(value, dict) else None
    if named is None:
        yield from Draft202012Validator.VALIDATORS["anyOf"](validator, members, value, schema)
    else:
        yield from validator.descend(value, named)


StrictValidator = extend(Draft202012Validator, {"anyOf": _any_of})


class Description:
    """The schemas of a document, closed against unknown fields.

    Args:
        schemas: by name, as under `components/schemas`.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas
        closed = {name: self._close(schema) for name, schema in schemas.items()}
        self._root: Schema = {"components": {"schemas": closed}}
        self._validators: dict[str, Any] = {}

    def errors(self, name: str, value: object) -> list[str]:
        """Returns what is wrong with a value as the schema of that name: empty, or one sentence per error."""
        if name not in self._validators:
            if name not in self._schemas:
                raise UnreadableDescription(f"The description has no schema {name}: is it OpenAI's?")
            self._validators[name] = StrictValidator({**self._root, "$ref": f"{COMPONENTS}{name}"})
        try:
            return [_explain(error) for error in self._validators[name].iter_errors(value)]
        except Unresolvable as error:
            raise UnreadableDescription(f"The description refers to what it does not have: {error}.") from None

    def _close(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._close(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if "allOf" in schema:
            schema = self._merge(schema)
        closed: Schema = {}
        for word, value in schema.items():
            if word == "properties":
                closed[word] = {name: self._close(each) for name, each in value.items()}
            elif word in ("enum", "const", "default", "required", "discriminator"):
                closed[word] = value
            else:
                # Several members of a `oneOf` of OpenAI's match the same item: only `anyOf` can be meant.
                closed["anyOf" if word == "oneOf" else word] = self._close(value)
        if closed.get("properties") and "additionalProperties" not in closed:
            closed["additionalProperties"] = False
        if by_type := self._members_by_type(schema.get("oneOf") or schema.get("anyOf") or []):
            closed[BY_TYPE] = by_type
        return closed

    def _members_by_type(self, members: Sequence[Schema]) -> dict[str, Schema]:
        """Returns the members of an `anyOf` by their type; empty unless each is an object of types of its own."""
        found: dict[str, Schema] = {}
        for member in members:
            types = self._resolve(member).get("properties", {}).get("type", {}).get("enum", [])
            if not types or found.keys() & set(types):
                return {}
            found |= {each: self._close(member) for each in types}
        return found

    def _merge(self, schema: Schema) -> Schema:
        """Makes one object of an `allOf`, so that it can be closed as a whole."""
        merged: Schema = {word: value for word, value in schema.items() if word != "allOf"}
        properties: dict[str, list[Any]] = {}
        required: list[str] = []
        for member in (*map(self._resolve, schema["allOf"]), {**merged}):
            for name, each in member.get("properties", {}).items():
                properties.setdefault(name, []).append(each)
            required += member.get("required", [])
        if not properties:
            return schema
        merged["type"] = "object"
        merged["properties"] = {
            name: each[0] if len(each) == 1 else {"anyOf": [{"allOf": each}]} for name, each in properties.items()
        }
        return {**merged, "required": sorted(set(required))}

    def _resolve(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            schema = self._schemas[str(schema["$ref"]).removeprefix(COMPONENTS)]
        return self._merge(schema) if "allOf" in schema else schema


def read(path: Path) -> Description:
    """Reads an OpenAPI document, JSON or YAML; raises `UnreadableDescription` with a sentence."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableDescription(f"{path} cannot be read: {error}") from None
    try:
        document = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
        schemas = document["components"]["schemas"]
        description = Description(schemas)
        Draft202012Validator.check_schema(description._root)
    except (ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError, SchemaError) as error:
        kind = type(error).__name__
        raise UnreadableDescription(f"{path} is no OpenAPI document with components/schemas ({kind}).") from None
    return description


def _explain(error: ValidationError) -> str:
    deepest = best_match([error]) or error
    where = "/".join(str(part) for part in deepest.absolute_path) or "the whole"
    return f"{where}: {deepest.message[:SHOWN_CHARACTERS]}"
