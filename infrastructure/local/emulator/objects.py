"""The objects of the emulated S3 on disk: synced before they are acknowledged.

MiniStack writes each object, its record and its former versions to files, but syncs none of them, and acknowledges an
object that it could not write. Here its module of S3 gets another `os`, which notes the directories that it changes,
and another way to write a file, which notes the file, and keeps what the disk refused.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from infrastructure.local import durable_file


class ObjectFiles:
    """The changes of MiniStack's files that are not on the disk yet.

    Args:
        sync: returns once this file or directory is on the disk.
    """

    def __init__(self, sync: Callable[[Path], None] = durable_file.sync) -> None:
        self._sync = sync
        #: what the disk refused, in the order in which it was written
        self._refused: dict[Path, bytes] = {}
        self._unsynced: set[Path] = set()
        #: A flush that finds nothing to do must not end before another one has done it.
        self._flushing = threading.Lock()

    def install(self, s3: ModuleType) -> None:
        """Makes MiniStack's module of S3 write through this object."""
        s3.__dict__["os"] = _NotingOs(self._unsynced)
        s3.__dict__["_atomic_write"] = self.write

    def write(self, name: str, content: bytes | str, *, text: bool = False) -> None:
        """Replaces a file; keeps what the disk refuses for :meth:`flush`, which fails until the disk takes it."""
        path, data = Path(name), content.encode() if isinstance(content, str) else content
        try:
            if not self._refused:
                self._replace(path, data)
                return
        except OSError:
            pass  # flush() tries it again, and says why it fails
        self._refused.pop(path, None)
        self._refused[path] = data

    def _replace(self, path: Path, data: bytes) -> None:
        unfinished = path.with_name(f"{path.name}.tmp")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            if path.exists():
                self._sync(unfinished)  # a power cut must leave one of the two, whole
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._unsynced |= {path, path.parent}

    def is_behind(self) -> bool:
        """Returns whether something is not on the disk yet."""
        return bool(self._refused or self._unsynced or self._flushing.locked())

    def flush(self) -> None:
        """Returns once everything is on the disk. Raises ``OSError`` if something is not; it stays noted."""
        with self._flushing:
            while self._refused:
                path = next(iter(self._refused))
                self._replace(path, self._refused[path])
                del self._refused[path]
            # Files before the directories that name them.
            for path in sorted(self._unsynced.copy(), key=Path.is_dir):
                self._unsynced.discard(path)  # before: it may be noted again meanwhile
                try:
                    if path.exists():
                        self._sync(path)
                except OSError:
                    self._unsynced.add(path)
                    raise


class _NotingOs:
    """The module `os`, of which the functions that change a directory note it."""

    def __init__(self, unsynced: set[Path]) -> None:
        self._unsynced = unsynced

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def makedirs(self, name: str, mode: int = 0o700, exist_ok: bool = False) -> None:
        path = Path(name)
        self._unsynced.update(each.parent for each in (path, *path.parents) if not each.exists())
        path.mkdir(mode=0o700, parents=True, exist_ok=exist_ok)

    def remove(self, name: str) -> None:
        Path(name).unlink()
        self._unsynced.add(Path(name).parent)
