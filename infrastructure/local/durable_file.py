"""Files that survive a power cut: whole or as they were before, and on the disk when the call returns."""

import os
from collections.abc import Iterable
from pathlib import Path


def write(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Replaces a file: a temporary one is written, synced and renamed, then the directory is synced.

    The file and a directory that is made for it are readable by this user only. Raises ``OSError``, or what the parts
    of the content raise; the file is then as it was.
    """
    make_directory(path.parent)
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)  # it may have another mode
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)


def remove(path: Path) -> None:
    """Removes a file, if there is one, for good."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def rename(path: Path, new: Path) -> None:
    """Renames a file or a directory, in its directory, for good."""
    path.rename(new)
    sync(new.parent)


def make_directory(path: Path) -> None:
    """Makes a directory with its parents, each of them for good."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for directory in reversed(missing):
        directory.mkdir(mode=0o700, exist_ok=True)
        sync(directory.parent)


def sync(path: Path) -> None:
    """Syncs a file or a directory to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
