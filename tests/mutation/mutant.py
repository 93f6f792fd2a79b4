"""A mutant: one edit of one module, which some test must notice."""

import hashlib
from dataclasses import dataclass, field
from typing import Any


def digest(*parts: str) -> str:
    """Returns a hash of these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one safeguard less.

    Args:
        path: the module, from the root of the repository.
        lines: the first and the last line of the edit.
        place: the class and function of the edit.
        change: the edit in one line; unique within its place.
        source: the whole edited module.
        name: the sentence of a named mutant; empty for a mechanical one.
        histories: for a named mutant, the plan and the seeds whose histories find it.
    """

    path: str
    lines: tuple[int, int]
    place: str
    change: str
    source: str
    name: str = ""
    histories: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name under which results are kept: it has no line number, so that it survives edits elsewhere."""
        return f"{self.path} {self.name or f'{self.place}: {self.change}'}"

    @property
    def title(self) -> str:
        """The mutant for people, with its line."""
        return f"{self.path}:{self.lines[0]} {self.name or f'{self.place}: {self.change}'}"
