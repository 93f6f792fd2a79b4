"""The manifest of a backup: of which release it is, and the size and digest of each of its files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infrastructure.local.backup import BackupFailed

#: The layout of the data in a backup. 1: the archives `.tar.gz` of releases before the table was a file of its own.
FORMAT = 2
MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """The content of one file."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of one backup."""

    format: int
    #: the release that took it
    commit: str
    #: epoch milliseconds at which its copy of the table was begun
    taken_at: int
    #: by path from the data directory, with slashes
    files: Mapping[str, Digest]

    def write(self, directory: Path) -> None:
        """Writes the manifest into the directory that it describes."""
        (directory / MANIFEST).write_text(json.dumps(asdict(self), indent=1, sort_keys=True))


def describe(directory: Path, *, commit: str, taken_at: int) -> Manifest:
    """Returns the manifest of all files below ``directory``."""
    return Manifest(FORMAT, commit, taken_at, {path: digest_of(directory / path) for path in _files(directory)})


def check(directory: Path) -> Manifest:
    """Compares every file with its digest; raises :class:`BackupFailed` with the first that differs, or is too many."""
    manifest = _read(directory / MANIFEST)
    present = set(_files(directory))
    if missing := sorted(manifest.files.keys() - present):
        raise BackupFailed(f"The backup is damaged: {missing[0]} is missing. Restore another one.")
    if unknown := sorted(present - manifest.files.keys()):
        raise BackupFailed(f"The backup is damaged: its manifest does not know {unknown[0]}. Restore another one.")
    for path, expected in manifest.files.items():
        if digest_of(directory / path) != expected:
            raise BackupFailed(f"The backup is damaged: the digest of {path} differs. Restore another one.")
    return manifest


def digest_of(file: Path) -> Digest:
    """Returns the digest of a file."""
    computed, size = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            computed.update(chunk)
            size += len(chunk)
    return Digest(computed.hexdigest(), size)


def in_words(size_bytes: int) -> str:
    """Returns a size as people read it: ``8.5 kB``, ``12.3 MB``, ``1.4 GB``."""
    for size, unit in ((1e9, "GB"), (1e6, "MB")):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes / 1e3:.1f} kB"


def _files(directory: Path) -> list[str]:
    return sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink() and path != directory / MANIFEST
    )


def _read(file: Path) -> Manifest:
    try:
        stored: dict[str, Any] = json.loads(file.read_text())
        version = int(stored["format"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupFailed("This is no backup of Answerline: it has no manifest that can be read.") from None
    if version != FORMAT:
        raise BackupFailed(
            f"The backup has format {version}, and this release reads {FORMAT}: check out the release that made it "
            f"({stored.get('commit', 'unknown')}), restore there, and upgrade."
        )
    try:
        files = {
            str(path): Digest(str(each["sha256"]), int(each["size_bytes"])) for path, each in stored["files"].items()
        }
        return Manifest(version, str(stored["commit"]), int(stored["taken_at"]), files)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BackupFailed("The backup is damaged: its manifest is incomplete. Restore another one.") from None
