"""The table's file is whole, and it shrinks, before the engine starts."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from infrastructure.local.settings import CannotStart
from infrastructure.local.table import compaction
from infrastructure.local.table.compaction import SPARE_BYTES, WORTH_BYTES, FileSize, is_due, prepare

GIB = 1 << 30


@pytest.mark.parametrize(
    ("pages", "free_pages", "free_bytes", "due"),
    [
        (10_000, 5_000, GIB, True),
        (10_001, 5_000, GIB, False),
        (10_000, 4_999, GIB, False),
        (10_000, 10_000, GIB, True),
        (0, 0, GIB, False),
        (WORTH_BYTES // 4096, WORTH_BYTES // 4096, GIB, True),
        (WORTH_BYTES // 4096 - 1, WORTH_BYTES // 4096 - 1, GIB, False),
        (10_000, 5_000, SPARE_BYTES + 2 * 5_000 * 4096, True),
        (10_000, 5_000, SPARE_BYTES + 2 * 5_000 * 4096 - 1, False),
    ],
)
def test_a_file_is_compacted_when_half_is_free_and_the_disk_has_room(
    pages: int, free_pages: int, free_bytes: int, due: bool
) -> None:
    assert is_due(FileSize(pages, free_pages, 4096), free_bytes) is due


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file as the engine leaves it: most of it free, in the mode in which it writes."""
    file = tmp_path / "answerline.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE items (pk TEXT PRIMARY KEY, item TEXT)")
        with database:
            database.executemany("INSERT INTO items VALUES (?, ?)", ((f"{n:05d}", "x" * 900) for n in range(12_000)))
        with database:
            database.execute("DELETE FROM items WHERE pk >= '02000'")
    file.chmod(0o600)
    return file


def count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as database:
        return int(database.execute("SELECT count(*) FROM items").fetchone()[0])


def test_a_file_that_is_mostly_free_shrinks_and_keeps_its_items_mode_and_log(file: Path) -> None:
    before, said = file.stat().st_size, list[str]()
    prepare(file, said.append)
    assert file.stat().st_size < before / 3
    assert count(file) == 2_000
    assert file.stat().st_mode & 0o777 == 0o600
    assert said == ["the table's file shrank from 11 to 1 MiB"]
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    prepare(file, said.append)
    assert len(said) == 1


def test_a_full_disk_keeps_the_file_as_it_is(file: Path) -> None:
    before = file.read_bytes()
    prepare(file, pytest.fail, free_bytes=lambda directory: SPARE_BYTES)
    assert file.read_bytes() == before


def test_the_first_start_has_no_file(tmp_path: Path) -> None:
    prepare(tmp_path / "table" / "answerline.db", pytest.fail)
    assert not (tmp_path / "table").exists()


def test_what_the_log_still_holds_after_a_kill_is_kept(file: Path, tmp_path: Path) -> None:
    """A copy of the three files while they are open is what a kill leaves."""
    with closing(sqlite3.connect(file)) as database:
        with database:
            database.execute("INSERT INTO items VALUES ('new', 'x')")
        killed = tmp_path / "killed.db"
        for suffix in ("", "-wal"):
            Path(f"{killed}{suffix}").write_bytes(Path(f"{file}{suffix}").read_bytes())
    prepare(killed, lambda sentence: None)
    assert count(killed) == 2_001


def _overwrite(at: int, length: int) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[at : at + length] = os.urandom(length)
        file.write_bytes(content)

    return damage


def _cut(size: int) -> Callable[[Path], None]:
    return lambda file: os.truncate(file, size)


@pytest.mark.parametrize(
    "damage",
    [_overwrite(0, 100), _overwrite(4096, 8192), _overwrite(4096 * 20, 4096), _cut(50_000), _cut(4096), _cut(10)],
    ids=["header", "first pages", "a page", "cut", "first page alone", "nothing"],
)
def test_a_damaged_file_stops_the_start_with_what_to_do_and_nothing_is_deleted(
    file: Path, damage: Callable[[Path], None]
) -> None:
    prepare(file, lambda sentence: None)  # without free pages, whose damage would be none
    damage(file)
    before = file.read_bytes()
    with pytest.raises(CannotStart) as stopped:
        prepare(file, pytest.fail)
    sentence = str(stopped.value)
    assert str(file) in sentence
    assert "damaged" in sentence
    assert "make restore" in sentence
    assert "Nothing was changed or deleted" in sentence
    assert file.read_bytes() == before


def test_a_file_that_another_process_uses_is_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CannotStart, match="Another process uses"):
            prepare(file, pytest.fail)
    assert count(file) == 2_000


def test_the_copy_is_made_beside_the_file_where_the_room_was_measured(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", "/somewhere")
    seen = list[str]()

    def measure(directory: Path) -> int:
        seen.append(os.environ["SQLITE_TMPDIR"])
        return 0

    prepare(file, pytest.fail, free_bytes=measure)
    assert seen == [str(file.parent)]
    assert os.environ["SQLITE_TMPDIR"] == "/somewhere"
    monkeypatch.delenv("SQLITE_TMPDIR")
    prepare(file, pytest.fail, free_bytes=measure)
    assert "SQLITE_TMPDIR" not in os.environ


def test_an_error_names_its_kind() -> None:
    sentences = {
        kind: compaction._sentence(Path("answerline.db"), error(kind))
        for kind in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT)
    }
    assert "disk full" in sentences[sqlite3.SQLITE_FULL]
    assert "disk full" in sentences[sqlite3.SQLITE_IOERR_WRITE]
    assert "owner and mode" in sentences[sqlite3.SQLITE_CANTOPEN]
    assert "damaged" in sentences[sqlite3.SQLITE_CORRUPT]


def error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    return error
