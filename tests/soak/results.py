"""The results of a soak's steps, kept from run to run as long as the code that they measured is the same."""

import hashlib
import json
from pathlib import Path
from typing import Any

from infrastructure.checkout import REPOSITORY

#: What a step measures, and what measures it.
MEASURED = ("chalice_app", "infrastructure/local", "tests/soak")
#: The kinds of files that count: templates and styles are served too.
_SUFFIXES = {".py", ".html", ".css", ".js", ".json", ".txt"}

#: The figures of one step, by name.
Figures = dict[str, Any]


def fingerprint(repository: Path = REPOSITORY) -> str:
    """Returns a hash of the code that is measured."""
    hashed = hashlib.sha256()
    for folder in MEASURED:
        for path in sorted((repository / folder).rglob("*")):
            if path.is_file() and path.suffix in _SUFFIXES and not {"node_modules", "__pycache__"} & {*path.parts}:
                hashed.update(f"{path.relative_to(repository)}\0".encode() + path.read_bytes())
    return hashed.hexdigest()[:16]


class Results:
    """The figures by size and step, in a file.

    Args:
        file: it need not exist; one that cannot be read counts as empty.
        code: the fingerprint of the code; figures of another one are measured again.
    """

    def __init__(self, file: Path, code: str) -> None:
        self._file = file
        self._code = code
        try:
            self._kept: dict[str, dict[str, Figures]] = json.loads(file.read_text())
        except (OSError, ValueError):
            self._kept = {}

    def get(self, size: str, step: str) -> Figures | None:
        """Returns the figures of this step, unless they are of other code or were never measured."""
        kept = self._kept.get(size, {}).get(step)
        return kept if kept is not None and kept.get("code") == self._code else None

    def keep(self, size: str, step: str, figures: Figures) -> None:
        """Keeps the figures, also if this process ends in a moment."""
        self._kept.setdefault(size, {})[step] = {**figures, "code": self._code}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._kept, indent=1))
        new.replace(self._file)
