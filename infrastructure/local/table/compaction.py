"""Compaction of the table's file before the engine starts, which never shrinks it; and the check that it is whole."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infrastructure.local.settings import CannotStart

#: Below this a file is not worth the wait.
WORTH_BYTES = 8 << 20
#: SQLite writes what is left twice: beside the file, and into its log.
COPIES = 2
#: The room that a compaction leaves free for everything else on the disk.
SPARE_BYTES = 256 << 20
#: SQLite's result codes of a file that is no database, or not a whole one.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


@dataclass(frozen=True)
class FileSize:
    """The pages of a database's file, and how many of them hold nothing any more."""

    pages: int
    free_pages: int
    page_bytes: int

    @property
    def used_bytes(self) -> int:
        """The size after a compaction."""
        return (self.pages - self.free_pages) * self.page_bytes

    @property
    def total_bytes(self) -> int:
        """The size of the file."""
        return self.pages * self.page_bytes


def is_due(size: FileSize, free_bytes: int) -> bool:
    """Returns whether the file is compacted: at least half of it is free, and the disk has room for the copies."""
    return (
        size.total_bytes >= WORTH_BYTES
        and 2 * size.free_pages >= size.pages
        and free_bytes >= COPIES * size.used_bytes + SPARE_BYTES
    )


def prepare(file: Path, report: Callable[[str], None], free_bytes: Callable[[Path], int] | None = None) -> None:
    """Checks the table's file and compacts it if that is due; does nothing if there is none yet.

    The engine must not run. An interruption at any moment leaves the file as it was: SQLite does all of it in one
    transaction.

    Raises:
        CannotStart: the file is damaged, or cannot be read.
    """
    if not file.exists():
        return
    with _opened(file) as database:
        _check(database, file)
        size = _size(database)
        if is_due(size, (free_bytes or _free_bytes)(file.parent)):
            database.execute("VACUUM")
            after = _size(database)
            report(f"the table's file shrank from {size.total_bytes >> 20} to {after.total_bytes >> 20} MiB")


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Opens the file alone; what the engine's log still holds is first brought into it, as by the engine itself."""
    directory = os.environ.get("SQLITE_TMPDIR")
    os.environ["SQLITE_TMPDIR"] = str(file.parent)  # where the room was measured; /tmp may be small
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
            yield database
    except sqlite3.Error as error:
        raise CannotStart(_sentence(file, error)) from error
    finally:
        if directory is None:
            del os.environ["SQLITE_TMPDIR"]
        else:
            os.environ["SQLITE_TMPDIR"] = directory


def _check(database: sqlite3.Connection, file: Path) -> None:
    (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise CannotStart(_damaged(file, answer.splitlines()[-1]))


def _size(database: sqlite3.Connection) -> FileSize:
    pages, free_pages, page_bytes = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return FileSize(pages, free_pages, page_bytes)


def _sentence(file: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the kind; the rest says more of it
    if code in _DAMAGED:
        return _damaged(file, str(error))
    if code == sqlite3.SQLITE_BUSY:
        return f"Another process uses {file}: stop it first."
    if code in _NO_ROOM:
        return f"{file} cannot be written ({error}): is the disk full? Make room, then start again; nothing was lost."
    return f"{file} cannot be opened ({error}): see its owner and mode."


def _damaged(file: Path, detail: str) -> str:
    return (
        f"The table's file {file} is damaged ({detail}). Nothing was changed or deleted. Keep it, restore the newest"
        " backup into another directory (`make restore FROM=… KEY=… DATA=…`), and start from there."
    )


def _free_bytes(directory: Path) -> int:
    return shutil.disk_usage(directory).free
