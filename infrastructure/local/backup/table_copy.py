"""A copy of the table's SQLite file, taken while it is written; whether a copy is whole, and which logins it names."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infrastructure.local.backup import BackupFailed

#: Pages of 4 KiB for each step, and the pause after it, so that the table's own reads and writes find the disk free.
STEP_PAGES: Final = 512
STEP_PAUSE_SECONDS: Final = 0.005
#: A writer never holds a reader up in WAL mode; a checkpoint may for a moment.
BUSY_TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class SavedLine:
    """A tenant's login, as the table has it."""

    tenant: str
    linked: bool
    #: keys of its snapshots in the bucket, newest first
    snapshots: tuple[str, ...]


def copy_table(source: Path, target: Path, pause: Callable[[float], None] = time.sleep) -> None:
    """Copies the table as it is at one instant, with SQLite's own backup. Raises :class:`BackupFailed`.

    One read transaction holds the instant: without it SQLite begins anew after each write of another process. Writers
    go on meanwhile; their log (``-wal``) grows until the copy is whole.
    """
    if not source.is_file():
        raise BackupFailed(f"There is no table {source}.")
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_SECONDS)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.isolation_level = None
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reading.backup(writing, pages=STEP_PAGES, progress=lambda *_: pause(STEP_PAUSE_SECONDS))
            reading.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise BackupFailed(f"The table {source} cannot be copied: {error}. `make doctor` looks further.") from None
    target.chmod(0o600)


def check_table(copy: Path) -> None:
    """Raises :class:`BackupFailed` unless SQLite finds every page and index of a copy in order."""
    try:
        with _opened(copy) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA integrity_check(1)")]
    except sqlite3.Error as error:
        found = [str(error)]
    if found != ["ok"]:
        raise BackupFailed(f"The copy of the table is damaged ({found[0] if found else 'no answer'}).")


def saved_lines(copy: Path, table: str) -> list[SavedLine]:
    """Returns each tenant's login, as a copy of the table has it."""
    try:
        with _opened(copy) as database:
            rows = database.execute(f'SELECT item_json FROM "{table}" WHERE sk = ?', ("S:SESSION",))  # noqa: S608
            return [_line(json.loads(row[0])) for row in rows]
    except sqlite3.Error as error:
        raise BackupFailed(f"The copy of the table cannot be read: {error}.") from None


def compact_table(file: Path) -> None:
    """Rewrites a table that nobody uses: SQLite leaves what was deleted in its free pages, and in its log."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise BackupFailed(f"The table {file} cannot be rewritten without what was deleted: {error}.") from None


@contextmanager
def _opened(copy: Path) -> Iterator[sqlite3.Connection]:
    # Immutable: SQLite makes no files beside a copy that nobody writes.
    with closing(sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)) as database:
        yield database


def _line(item: dict[str, dict[str, object]]) -> SavedLine:
    stored = item.get("snapshots", {}).get("L", [])
    keys = tuple(str(each["M"]["key"]["S"]) for each in stored) if isinstance(stored, list) else ()
    tenant = str(item["pk"]["S"]).removeprefix("TENANT#")
    return SavedLine(tenant, linked="S" in item.get("number", {}), snapshots=keys)
