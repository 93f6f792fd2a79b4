"""The manifest of an archived profile: which files it holds, of which session, written by which Chromium."""

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

#: The directories with the login and the chats; copied together, because one without the other reads as empty.
KEPT_DIRECTORIES = ("Default/IndexedDB", "Default/Local Storage")
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 8 << 20
MAX_FILES = 20_000
MAX_UNPACKED_BYTES = 2 << 30
MAX_PATH_LENGTH = 200
#: The newest Chromium's milestone has three digits.
MAX_MILESTONE_DIGITS = 6


class SnapshotTooLarge(Exception):
    """The profile is too large to be archived."""


class ArchivedFile(BaseModel):
    """A file of the archive."""

    model_config = ConfigDict(frozen=True, strict=True)

    path: str
    size: Annotated[int, Field(ge=0, le=MAX_UNPACKED_BYTES)]
    sha256: str


class Manifest(BaseModel):
    """The archive's description of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    tenant: str
    epoch: int
    sequence: int
    chromium: str
    wa_js: str = ""
    #: A list, because JSON has no tuples.
    files: Annotated[list[ArchivedFile], Field(max_length=MAX_FILES)]


def fingerprint(files: Sequence[ArchivedFile]) -> str:
    """Returns a hash that depends on nothing but the content."""
    return hashlib.sha256(repr([(each.path, each.sha256) for each in files]).encode()).hexdigest()


def is_older(ours: str, theirs: str) -> bool:
    """Compares milestones: within one the databases' formats do not change, so that an image may be rolled back."""
    return _milestone(ours) < _milestone(theirs)


def _milestone(version: str) -> int:
    major = version.partition(".")[0]
    return int(major) if major.isascii() and major.isdigit() and len(major) <= MAX_MILESTONE_DIGITS else 0


def is_kept_path(path: str) -> bool:
    """Returns whether an archive may hold a file of this name: none leads out of the kept directories."""
    pure = PurePosixPath(path)
    return (
        0 < len(path) <= MAX_PATH_LENGTH
        and pure.as_posix() == path
        and "\0" not in path
        and ".." not in pure.parts
        and any(pure.is_relative_to(kept) and path != kept for kept in KEPT_DIRECTORIES)
    )
