"""What CloudFormation knows of templates and MiniStack does not: functions in conditions, what replaces a resource."""

import re
from collections.abc import Mapping
from typing import Any, Final

#: The properties whose change replaces the resource, as CloudFormation's reference lists them. Of other types MiniStack
#: says that each change may replace it, and a deployment then refuses to touch what holds data.
REPLACING: Final[Mapping[str, tuple[str, ...]]] = {
    "AWS::KMS::Key": ("KeySpec", "KeyUsage", "MultiRegion", "Origin"),
    "AWS::S3::Bucket": ("BucketName", "BucketNamePrefix", "BucketNamespace", "ObjectLockEnabled"),
}
_PLACE = re.compile(r"\$\{([A-Za-z0-9]+)\}")


def conditions_may_split_and_substitute() -> None:
    """MiniStack evaluates conditions over texts and parameters; here their other functions are evaluated before."""
    from ministack.services.cloudformation import changesets, engine, handlers, stacks

    evaluate = engine._evaluate_conditions

    def evaluate_ours(template: dict[str, Any], params: dict[str, Any]) -> Any:
        values = {name: str(each["Value"]) for name, each in params.items() if "Value" in each}
        return evaluate({**template, "Conditions": evaluated(template.get("Conditions", {}), values)}, params)

    for module in (engine, changesets, handlers, stacks):
        module._evaluate_conditions = evaluate_ours


def a_key_and_a_bucket_change_in_place() -> None:
    """A key's policy and a bucket's encryption change without a new key or bucket."""
    from ministack.services.cloudformation import provisioners

    for kind, properties in REPLACING.items():
        if kind in provisioners._REPLACING_PROPERTIES:
            raise SystemExit(f"MiniStack knows what replaces {kind} now: take it out of tests/rehearsal/emulated/.")
        provisioners._REPLACING_PROPERTIES[kind] = properties


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
