"""The state as releases before November 2026 kept it: whole checkpoints in numbered directories. Only read.

Such a release wrote all services into one checkpoint every few seconds, the table too, each file with its digest in a
manifest, and an empty file beside them when it stopped with nothing left to write.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

#: Below the directory of MiniStack's data.
DIRECTORY = "generations"
#: The name that the directory has once its content was taken over.
TAKEN_OVER = "generations.taken-over"

_MANIFEST = "manifest.json"
_CLEAN_STOP = "clean-stop"


class FormerStateUnreadable(Exception):
    """No checkpoint is whole; the sentence has the operator's next step."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint."""

    directory: Path
    #: the names of its files, each of which holds one service's state
    files: tuple[str, ...]
    #: True if nothing was acknowledged after it
    is_last_word: bool


def newest_checkpoint(generations: Path) -> Checkpoint | None:
    """Returns the newest checkpoint of which each file is as it was written; None if there never was one.

    Raises :class:`FormerStateUnreadable` if there are checkpoints, and none is whole.
    """
    numbered = [entry for entry in generations.iterdir() if entry.name.isdigit()] if generations.is_dir() else []
    newest_first = sorted(numbered, key=lambda entry: int(entry.name), reverse=True)
    for directory in newest_first:
        if (files := _whole_files(directory)) is not None:
            clean = directory is newest_first[0] and (generations / _CLEAN_STOP).exists()
            return Checkpoint(directory, files, clean)
    if not newest_first:
        return None
    raise FormerStateUnreadable(
        f"No checkpoint in {generations} is whole. Nothing was changed. Restore a backup into another directory: "
        "`make restore FROM=… KEY=… DATA=…`."
    )


def _whole_files(directory: Path) -> tuple[str, ...] | None:
    """Returns the names of the files that the manifest lists; None if one of them differs from it."""
    try:
        digests: dict[str, str] = json.loads((directory / _MANIFEST).read_bytes())["files"]
        for name, digest in digests.items():
            if hashlib.sha256((directory / name).read_bytes()).hexdigest() != digest:
                return None
        return tuple(digests) or None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
