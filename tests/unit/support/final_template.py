"""The template as CloudFormation sees it: packaged, joined, and with Serverless's resources spelled out."""

import copy
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from infrastructure.packaging import lambda_python
from infrastructure.packaging.package import Architecture, template_alone

_PLACE = re.compile(r"\$\{([^}!]+)\}")


@cache
def packaged(architecture: Architecture = "arm64") -> dict[str, Any]:
    """Returns the template as `make package` writes it; callers must not change it."""
    return template_alone(lambda_python.find(Path(sys.executable)), architecture)


@cache
def resources() -> dict[str, Any]:
    """Returns every resource, after AWS's own translator."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")  # it asks boto3 for the partition
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    body = copy.deepcopy(packaged())
    for resource in body["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    translated: dict[str, Any] = Translator({}, Parser()).translate(body, {})
    return dict(translated["Resources"])


def of_type(kind: str) -> dict[str, Any]:
    """Returns logical name → properties of every resource of this type."""
    return {name: each.get("Properties", {}) for name, each in resources().items() if each["Type"] == kind}


def dependencies(resource: Any, known: set[str]) -> set[str]:
    """Returns the logical names that must exist before this resource."""
    depends_on = resource.get("DependsOn", [])
    named = {depends_on} if isinstance(depends_on, str) else set(depends_on)
    return (named | set(_mentioned(resource.get("Properties", {})))) & known


def _mentioned(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _mentioned(each)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.partition(".")[0]
            elif key == "Fn::Sub":
                text = inner if isinstance(inner, str) else inner[0]
                own = {} if isinstance(inner, str) else inner[1]
                yield from (name.partition(".")[0] for name in _PLACE.findall(text) if name not in own)
                yield from _mentioned(own)
            else:
                yield from _mentioned(inner)


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (logical name, statement) of every policy in the template, except the trust policies of roles."""
    for name, resource in resources().items():
        for document in _documents(resource.get("Properties", {})):
            for statement in _many(document["Statement"]):
                yield name, statement


def _documents(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from _documents(each)
    elif isinstance(value, dict):
        if "Statement" in value and "Version" in value:
            yield value
        else:
            for key, inner in value.items():
                if key != "AssumeRolePolicyDocument":
                    yield from _documents(inner)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(statement: dict[str, Any]) -> list[str]:
    return _many(statement["Action"])


def resources_of(statement: dict[str, Any]) -> list[str]:
    """Returns each resource as text; references become their name in ``${}``."""
    return [as_text(each) for each in _many(statement["Resource"]) if each != {"Ref": "AWS::NoValue"}]


def as_text(value: Any) -> str:
    """Returns an intrinsic as text, as in `!Sub`."""
    if isinstance(value, str):
        return value
    (key, inner), *_ = value.items()
    if key == "Ref":
        return f"${{{inner}}}"
    if key == "Fn::GetAtt":
        return f"${{{'.'.join(inner)}}}"
    if key == "Fn::Sub":
        return inner if isinstance(inner, str) else str(inner[0])
    if key == "Fn::If":
        return as_text(inner[1])
    raise TypeError(f"no text for {key}")
