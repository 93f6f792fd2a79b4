"""Files of JSON lines, written atomically and readable by no other user."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def line_of(entry: dict[str, Any]) -> str:
    """Returns a line of the file, of as many bytes as characters."""
    return json.dumps(entry, ensure_ascii=True) + "\n"


def write_lines(path: Path, entries: Iterable[dict[str, Any]]) -> None:
    """Replaces a file. Raises OSError; the former content stays then."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(map(line_of, entries))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
