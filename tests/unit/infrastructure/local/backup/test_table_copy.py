"""The table is copied as it is at one instant while another process writes it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.data_copy import TABLE
from infrastructure.local.backup.table_copy import SavedLine, check_table, compact_table, copy_table, saved_lines
from tests.unit.infrastructure.local.backup.conftest import STACK, Data

#: More pages than one step copies.
ITEMS = 3_000


def fill(data: Data, value: int) -> None:
    with closing(sqlite3.connect(data.directory / TABLE)) as database, database:
        rows = ((f"S:CHAT#{number}", "S:CHAT", f"{value:01000d}") for number in range(ITEMS))
        database.executemany(f'INSERT OR REPLACE INTO "{STACK}" VALUES (?, ?, ?)', rows)


def test_a_copy_is_of_one_instant_and_holds_no_writer_up(data: Data, tmp_path: Path) -> None:
    """Every pause of the copy is used by a writer: it must neither wait nor be in the copy."""
    fill(data, 0)
    writes: list[int] = []

    def write_meanwhile(_seconds: float) -> None:
        writes.append(len(writes))
        assert len(writes) < 20, "the copy began anew after each write"
        with closing(sqlite3.connect(data.directory / TABLE, timeout=0)) as database, database:
            changed = f"{len(writes):01000d}"
            database.execute(f'UPDATE "{STACK}" SET item_json = ? WHERE sk = ?', (changed, "S:CHAT"))

    copy_table(data.directory / TABLE, tmp_path / "copy.db", write_meanwhile)
    check_table(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        found = set(database.execute(f'SELECT DISTINCT item_json FROM "{STACK}" WHERE sk = ?', ("S:CHAT",)))
    assert found == {("0" * 1000,)}
    assert len(writes) > 1, "the copy was made in steps"


def test_what_is_in_the_log_alone_is_copied(data: Data, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data.directory / TABLE)) as open_writer:
        open_writer.execute("PRAGMA wal_autocheckpoint=0")
        with open_writer:
            open_writer.execute(f'INSERT INTO "{STACK}" VALUES (?, ?, ?)', ("S:new", "S:CHAT", "{}"))
        assert (data.directory / "table" / "answerline.db-wal").stat().st_size
        copy_table(data.directory / TABLE, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        assert database.execute(f'SELECT count(*) FROM "{STACK}" WHERE pk = ?', ("S:new",)).fetchone() == (1,)
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0


def test_a_copy_that_is_checked_gets_no_files_beside_it(data: Data, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy_table(data.directory / TABLE, tmp_path / "copy" / "x.db")
    check_table(tmp_path / "copy" / "x.db")
    assert saved_lines(tmp_path / "copy" / "x.db", STACK)
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["x.db"]


@pytest.mark.parametrize("at", [0, 60, 4_096 * 3 + 5, 4_096 * 200])
def test_a_damaged_page_is_found(data: Data, tmp_path: Path, at: int) -> None:
    fill(data, 0)
    copy_table(data.directory / TABLE, tmp_path / "copy.db")
    with (tmp_path / "copy.db").open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 64)
    with pytest.raises(BackupFailed, match="damaged"):
        check_table(tmp_path / "copy.db")


def test_what_was_deleted_is_in_no_byte_of_a_table_that_was_compacted(data: Data) -> None:
    fill(data, 0)
    data.put("CHAT#x", "MESSAGE#1", {"text": {"S": "a private word"}})
    with closing(sqlite3.connect(data.directory / TABLE)) as database, database:
        database.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite have it on, the engine's has not
        database.execute(f'DELETE FROM "{STACK}" WHERE pk = ?', ("S:CHAT#x",))

    def held() -> bytes:
        return b"".join(path.read_bytes() for path in (data.directory / "table").iterdir())

    assert b"a private word" in held(), "SQLite alone leaves it there"
    compact_table(data.directory / TABLE)
    assert b"a private word" not in held()
    check_table(data.directory / TABLE)


def test_a_table_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="There is no table"):
        copy_table(tmp_path / "missing.db", tmp_path / "copy.db")
    (tmp_path / "x.db").write_text("hello" * 1_000)
    with pytest.raises(BackupFailed, match="cannot be copied"):
        copy_table(tmp_path / "x.db", tmp_path / "copy.db")
    with pytest.raises(BackupFailed, match="cannot be read"):
        saved_lines(tmp_path / "x.db", STACK)


def test_logins_are_read_with_their_snapshots(data: Data) -> None:
    data.session("florist", linked=False)
    data.session("garage", snapshots=("profiles/garage/b", "profiles/garage/a"))
    found = {line.tenant: line for line in saved_lines(data.directory / TABLE, STACK)}
    assert found["florist"] == SavedLine("florist", linked=False, snapshots=())
    assert found["garage"] == SavedLine("garage", linked=True, snapshots=("profiles/garage/b", "profiles/garage/a"))
    assert found["bakery"].linked and len(found["bakery"].snapshots) == 1
