"""Templates as Python values: read with their intrinsics in long form, and joined without overriding anything."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

#: What has one meaning as a whole and is never joined with anything.
_INTRINSICS = ("Ref", "Condition")


class Clash(Exception):
    """Two files say different things about the same place; nothing here ever wins over anything."""


class NotReadable(Exception):
    """A file is no YAML; the message says where."""


class _Loader(yaml.SafeLoader):
    """Understands the short form of the intrinsics."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
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
    """Writes the same value twice where it stands twice, instead of pointing from one to the other."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def load(path: Path) -> dict[str, Any]:
    """The template with its intrinsics in long form. Raises NotReadable."""
    try:
        return dict(yaml.load(path.read_text(), Loader=_Loader))  # noqa: S506 - a SafeLoader with more tags
    except yaml.YAMLError as error:
        raise NotReadable(f"{path} is not YAML: {error}") from None


def dump(body: Mapping[str, Any]) -> str:
    """The template as YAML, the same text for the same value."""
    return yaml.dump(body, Dumper=_Dumper, sort_keys=True, width=10_000, allow_unicode=True)


def merged(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """All parts in one; each is the name of its file and what that says. Raises Clash."""
    body: dict[str, Any] = {}
    said_by: dict[tuple[str, ...], str] = {}
    for name, part in parts:
        _add(body, part, name, said_by, ())
    return body


def _add(
    into: dict[str, Any], part: Mapping[str, Any], name: str, said_by: dict[tuple[str, ...], str], at: tuple[str, ...]
) -> None:
    for key, value in part.items():
        here = (*at, str(key))
        if key not in into:
            # Copied, so that a later addition does not change the part.
            into[key] = {} if _joinable(value) else value
            said_by[here] = name
            if not _joinable(value):
                continue
        elif not (_joinable(into[key]) and _joinable(value)):
            if into[key] != value:
                raise Clash(
                    f"{said_by[here]} and {name} both say what {'.'.join(here)} is: {into[key]!r} and {value!r}."
                    " Say it in one of them."
                )
            continue
        _add(into[key], value, name, said_by, here)


def _joinable(value: Any) -> bool:
    """A mapping that is not an intrinsic; `Ref` and `Fn::…` stand for one value."""
    if not isinstance(value, Mapping):
        return False
    return not (len(value) == 1 and (next(iter(value)) in _INTRINSICS or str(next(iter(value))).startswith("Fn::")))
