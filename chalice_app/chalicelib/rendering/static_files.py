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
    """The content of a style sheet, script or image."""

    text: str
    #: its Content-Type
    type: str
    #: the start of its SHA-256
    version: str


def static_file(name: str) -> StaticFile:
    """Returns a file of ``static/`` by its name, and never by a path. Raises NotFound."""
    file = _files().get(name)
    if file is None:
        raise NotFound
    return file


@cache
def _files() -> Mapping[str, StaticFile]:
    """Reads all files, by name."""
    found = {}
    for path in sorted(STATIC.iterdir()):
        if path.suffix in TEXT_TYPES:
            text = path.read_text(encoding="utf-8")
            found[path.name] = StaticFile(text, TEXT_TYPES[path.suffix], hashlib.sha256(text.encode()).hexdigest()[:12])
    return found
