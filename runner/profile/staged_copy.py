"""Stages a copy of a profile's login: made while the browser is frozen, so of one instant and in no time.

LevelDB never changes an ``.ldb`` file once it is written: those are linked, whatever their size. Everything else is
copied, above all what we do not know. A link shares its content with the live profile, so the packer checks that it
did not change (``archive.pack``).
"""

import errno
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from runner.profile.manifest import KEPT_DIRECTORIES, MAX_FILES, MAX_UNPACKED_BYTES, ArchivedFile, SnapshotTooLarge

#: The lock of a live database, and its own log.
EXCLUDED_NAMES = frozenset({"LOCK", "LOG", "LOG.old"})
#: The name of a file that its database never changes once it is complete …
IMMUTABLE_SUFFIX = ".ldb"
#: … which it is, when nothing was written to it for so long.
COMPLETE_AFTER = timedelta(seconds=5)

CHUNK_BYTES = 1 << 20


class CopyStopped(Exception):
    """The copy took longer than a browser may stand still; it must not be used."""


class StagedCopy(NamedTuple):
    """The files of a staged copy, with their sizes; nothing is hashed yet."""

    files: list[ArchivedFile]
    #: The files that share their content with the live profile, and the mtime (ns) that each had.
    linked: dict[str, int]
    #: How much was written to the disk.
    copied_bytes: int


def copy_profile(
    profile: Path,
    into: Path,
    may_continue: Callable[[], bool],
    *,
    frozen_at_ms: int,
    never_link: frozenset[str] = frozenset(),
) -> StagedCopy:
    """Copies or links the kept part of a profile whose browser is frozen or closed, while ``may_continue``.

    Args:
        into: the new directory, on any disk; where no link can be made, the file is copied.
        frozen_at_ms: the time of the freeze, of the clock that dates files (epoch milliseconds).
        never_link: paths that changed although they were linked.

    Raises CopyStopped or SnapshotTooLarge.
    """
    staged = StagedCopy([], {}, 0)
    size_bytes = 0
    for source in _kept_files(profile):
        name = source.relative_to(profile).as_posix()
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = source.stat()
        if _is_complete(name, known, frozen_at_ms) and name not in never_link and _link(source, target):
            staged.linked[name] = known.st_mtime_ns
            size = known.st_size
        else:
            size = 0
            for written in _clone(source, target):
                size += written
                if not may_continue():
                    raise CopyStopped("the copy took too long")
            staged = staged._replace(copied_bytes=staged.copied_bytes + size)
        staged.files.append(ArchivedFile(path=name, size=size, sha256=""))
        size_bytes += size
        if len(staged.files) > MAX_FILES or size_bytes > MAX_UNPACKED_BYTES:
            raise SnapshotTooLarge("the profile is too large")
        if not may_continue():
            raise CopyStopped("the copy took too long")
    return staged


def _kept_files(profile: Path) -> Iterator[Path]:
    for kept in KEPT_DIRECTORIES:
        for directory, folders, names in os.walk(profile / kept):
            folders.sort()
            for name in sorted(names):
                path = Path(directory) / name
                if name not in EXCLUDED_NAMES and path.is_file() and not path.is_symlink():
                    yield path


def _is_complete(name: str, known: os.stat_result, frozen_at_ms: int) -> bool:
    """Returns whether a database does not change this file any more; one from the future is not trusted."""
    age = timedelta(milliseconds=frozen_at_ms - known.st_mtime_ns / 1_000_000)
    return name.endswith(IMMUTABLE_SUFFIX) and age >= COMPLETE_AFTER


def _link(source: Path, target: Path) -> bool:
    """Makes a hard link; False where that is not possible (another disk, a forbidden or too often linked file)."""
    try:
        target.hardlink_to(source)
    except OSError:
        return False  # a copy has its own error, if the disk is the reason
    return True


def _clone(source: Path, target: Path) -> Iterator[int]:
    """Copies within the kernel, without moving a byte where the file system shares blocks; yields each step's bytes."""
    with source.open("rb") as reading, target.open("xb") as writing:
        try:
            while step := os.copy_file_range(reading.fileno(), writing.fileno(), 64 * CHUNK_BYTES):
                yield step
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
                raise
            reading.seek(os.lseek(writing.fileno(), 0, os.SEEK_CUR))
            while chunk := reading.read(CHUNK_BYTES):
                yield writing.write(chunk)
        yield 0
