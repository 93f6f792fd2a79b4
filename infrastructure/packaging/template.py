"""CloudFormation templates as Python values: read with intrinsics in long form, and merged without overriding."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

try:  # libyaml reads ten times as fast, where PyYAML was built with it
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

#: Intrinsics without the prefix ``Fn::``.
_INTRINSICS = ("Ref", "Condition")


class Clash(Exception):
    """Two files set the same place to different values; neither overrides the other."""


class NotReadable(Exception):
    """A file is no YAML; the message names the place."""


class _Loader(SafeLoader):
    """Reads the short form of intrinsics."""


def _intrinsic(loader: SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in _INTRINSICS else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


class _Dumper(yaml.SafeDumper):
    """Writes a value that occurs twice in full each time, without YAML's aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Returns True for every value."""
        return True


def load(path: Path) -> dict[str, Any]:
    """Reads a template, with its intrinsics in long form. Raises NotReadable."""
    try:
        return dict(yaml.load(path.read_text(), Loader=_Loader))  # noqa: S506 - a SafeLoader with more tags
    except yaml.YAMLError as error:
        raise NotReadable(f"{path} is not YAML: {error}") from None


def dump(body: Mapping[str, Any]) -> str:
    """Writes the template as YAML, the same text for the same value."""
    return yaml.dump(body, Dumper=_Dumper, sort_keys=True, width=10_000, allow_unicode=True)


def merged(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Merges all parts, each given as the name of its file and its content. Raises Clash."""
    body: dict[str, Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    for name, part in parts:
        _add(body, part, name, origins, ())
    return body


def _add(
    into: dict[str, Any], part: Mapping[str, Any], name: str, origins: dict[tuple[str, ...], str], at: tuple[str, ...]
) -> None:
    for key, value in part.items():
        here = (*at, str(key))
        if key not in into:
            # Copied, so that a later addition does not change the part.
            into[key] = {} if _is_mergeable(value) else value
            origins[here] = name
            if not _is_mergeable(value):
                continue
        elif not (_is_mergeable(into[key]) and _is_mergeable(value)):
            if into[key] != value:
                raise Clash(
                    f"{origins[here]} and {name} both set {'.'.join(here)}: {into[key]!r} and {value!r}."
                    " Set it in one of them."
                )
            continue
        _add(into[key], value, name, origins, here)


def _is_mergeable(value: Any) -> bool:
    """Returns whether this is a mapping and no intrinsic: `Ref` and `Fn::…` stand for one value."""
    if not isinstance(value, Mapping):
        return False
    return not (len(value) == 1 and (next(iter(value)) in _INTRINSICS or str(next(iter(value))).startswith("Fn::")))
