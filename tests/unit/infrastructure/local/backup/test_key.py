"""The key of the backups: printed once, the public half alone stays, and a key file says what it is."""

from pathlib import Path

import pyrage
import pytest

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.key import RECIPIENT, key_problem, make_key, no_key, read_identity, recipient_of


def test_only_the_public_half_stays_on_the_machine(tmp_path: Path) -> None:
    secret = make_key(tmp_path)
    assert secret.startswith("AGE-SECRET-KEY-1")
    stored = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert stored == [f"{pyrage.x25519.Identity.from_str(secret).to_public()}\n"]
    assert (tmp_path / RECIPIENT).stat().st_mode & 0o077 == 0
    assert recipient_of(tmp_path) == stored[0].strip()


def test_a_second_key_needs_a_word(tmp_path: Path) -> None:
    first = make_key(tmp_path)
    before = recipient_of(tmp_path)
    with pytest.raises(BackupFailed, match="There is a key already"):
        make_key(tmp_path)
    assert recipient_of(tmp_path) == before
    assert make_key(tmp_path, replace=True) != first
    assert recipient_of(tmp_path) != before


@pytest.mark.parametrize("content", ["", "age1xyz", "AGE-SECRET-KEY-1AAA", "age1\x00", "\xff"])
def test_a_damaged_public_half_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / RECIPIENT).parent.mkdir()
    (tmp_path / RECIPIENT).write_bytes(content.encode("latin-1"))
    assert recipient_of(tmp_path) is None
    assert "is damaged" in key_problem(tmp_path)


def test_a_key_that_cannot_be_read_is_not_a_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_problem(tmp_path) == no_key(tmp_path)
    make_key(tmp_path)
    assert key_problem(tmp_path) == ""

    def refuse(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    said = key_problem(tmp_path)
    assert f"cannot read the key of the backups, {tmp_path / RECIPIENT} (Permission denied): `sudo chown -R " in said


def test_a_key_file_is_read_with_its_comments(tmp_path: Path) -> None:
    secret, file = make_key(tmp_path), tmp_path / "key.txt"
    file.write_text(f"# created: 2026-11-28\n# public key: age1…\n\n  {secret}  \n")
    assert str(read_identity(file)) == secret


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"hello", b"\xff\xfe", b"AGE-SECRET-KEY-1QQQ"])
def test_another_file_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key.txt"
    file.write_bytes(content)
    with pytest.raises(BackupFailed) as refused:
        read_identity(file)
    assert "hello" not in str(refused.value) and "QQQ" not in str(refused.value)


def test_two_keys_in_a_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_text(f"{make_key(tmp_path)}\n{make_key(tmp_path, replace=True)}\n")
    with pytest.raises(BackupFailed, match="holds no key"):
        read_identity(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match=r"missing cannot be read: No such file"):
        read_identity(tmp_path / "missing")
