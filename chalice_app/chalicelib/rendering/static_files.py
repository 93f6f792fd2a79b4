"""Styles and scripts as they are served: by name, each with the version that its address carries."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from chalicelib.errors import NotFound

TEXT_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
STATIC: Final = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One of them."""

    text: str
    type: str
    version: str


def static_file(name: str) -> StaticFile:
    """Only those that exist can be asked for: a path can lead nowhere else."""
    file = _every().get(name)
    if file is None:
        raise NotFound
    return file


@cache
def _every() -> Mapping[str, StaticFile]:
    """By name."""
    found = {}
    for path in sorted(STATIC.iterdir()):
        if path.suffix in TEXT_TYPES:
            text = path.read_text(encoding="utf-8")
            found[path.name] = StaticFile(text, TEXT_TYPES[path.suffix], hashlib.sha256(text.encode()).hexdigest()[:12])
    return found
