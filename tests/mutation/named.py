"""Named mutants: safeguards that no single condition holds, and the survivors of a review, as edits of the text."""

from pathlib import Path
from typing import Any

import yaml

from tests.mutation.mutant import Mutant
from tests.mutation.sides import ROOT

NAMED = Path(__file__).with_name("named.yaml")
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")


class Gone(Exception):
    """The code of a named mutant is not there any more: express it anew, or drop it."""


def read_named(file: Path = NAMED, root: Path = ROOT) -> list[Mutant]:
    """Returns the named mutants. Raises Gone if the code that one edits is not there exactly once."""
    return [_mutant(entry, root) for entry in yaml.safe_load(file.read_text()) or []]


def read_equivalent(file: Path = EQUIVALENT) -> dict[str, str]:
    """Returns the labels of the mutants that change nothing, or nothing that a test here can see, with the reason."""
    return {f"{entry['path']} {entry['mutant']}": entry["reason"] for entry in yaml.safe_load(file.read_text()) or []}


def _mutant(entry: dict[str, Any], root: Path) -> Mutant:
    source = edited = (root / entry["path"]).read_text()
    begins, ends = [], []
    for edit in entry["edits"]:
        old, new = edit["old"].rstrip("\n"), (edit["new"] or "").rstrip("\n")
        if source.count(old) != 1 or edited.count(old) != 1:
            raise Gone(f"{entry['name']!r} edits code that is {source.count(old)} times in {entry['path']}: {old}")
        begins.append(source[: source.index(old)].count("\n") + 1)
        ends.append(begins[-1] + old.count("\n"))
        edited = edited.replace(old, new)
    return Mutant(
        path=entry["path"],
        lines=(min(begins), max(ends)),
        place="",
        change="",
        source=edited,
        name=entry["name"],
        histories=entry.get("histories", {}),
    )
