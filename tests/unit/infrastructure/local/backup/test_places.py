"""Places of backups: the same rules on a folder, a real SFTP server and a played S3; addresses and their errors."""

import io
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import asyncssh
import pytest
from boto3.s3.transfer import TransferConfig

from infrastructure.local.backup import BackupFailed, s3
from infrastructure.local.backup.manifest import Digest
from infrastructure.local.backup.places import (
    Address,
    Folder,
    Place,
    digest_at,
    named_file,
    open_place,
    parse_address,
)
from infrastructure.local.service.user import name_of_this_user
from tests.unit.infrastructure.local.backup.conftest import Sftp

MakePlace = Callable[[], Place]


@pytest.fixture(params=["folder", "sftp", "s3", "s3 without a prefix"])
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> MakePlace:
    """Opens the same place again each time, as another process would."""
    if request.param == "folder":
        (tmp_path / "folder").mkdir()
        return lambda: open_place(str(tmp_path / "folder"), {})
    if request.param == "sftp":
        server: Sftp = request.getfixturevalue("sftp")
        known = {"BACKUP_CREDENTIALS": str(server.key), "BACKUP_KNOWN_HOSTS": str(server.known_hosts)}
        return lambda: open_place(server.address, known)
    credentials: Path = request.getfixturevalue("s3_credentials")
    address = "s3://agency-backups/answerline/one" if request.param == "s3" else "s3://agency-backups"
    return lambda: open_place(address, {"BACKUP_CREDENTIALS": str(credentials)})


def content_of(place: Place, name: str) -> bytes:
    chunks: list[bytes] = []
    place.read(name, chunks.append)
    return b"".join(chunks)


def test_a_file_is_read_back_and_replaced(make_place: MakePlace) -> None:
    large = bytes(range(256)) * 8_000
    make_place().write("a", io.BytesIO(large))
    assert content_of(make_place(), "a") == large
    assert digest_at(make_place(), "a").size_bytes == len(large)
    make_place().write("a", io.BytesIO(b""))
    assert digest_at(make_place(), "a") == Digest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0)


def test_files_are_listed_renamed_and_removed(make_place: MakePlace) -> None:
    place = make_place()
    assert place.names() == []
    for name in ("b", "a", "c.partial"):
        place.write(name, io.BytesIO(name.encode()))
    assert make_place().names() == ["a", "b", "c.partial"]
    place.rename("c.partial", "c")
    place.rename("b", "a")
    assert make_place().names() == ["a", "c"]
    assert content_of(place, "a") == b"b" and content_of(place, "c") == b"c.partial"
    place.remove("a")
    place.remove("a")
    assert make_place().names() == ["c"]


def test_a_source_may_return_less_than_was_asked_for(make_place: MakePlace) -> None:
    class Dripping:
        left = 1_000

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"" if self.left < 0 else b"drop"

    make_place().write("a", Dripping())
    assert content_of(make_place(), "a") == b"drop" * 1_000


def test_a_large_file_goes_to_s3_in_parts(s3_credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, use_threads=False)
    monkeypatch.setattr(s3, "_TRANSFER", parts)
    place, content = (
        open_place("s3://agency-backups/x", {"BACKUP_CREDENTIALS": str(s3_credentials)}),
        os.urandom(12 << 20),
    )
    place.write("a.partial", io.BytesIO(content))
    place.rename("a.partial", "a")
    assert digest_at(place, "a") == Digest(sha256(content).hexdigest(), len(content))


def test_a_source_that_breaks_off_is_an_error(make_place: MakePlace) -> None:
    class Broken:
        def __init__(self) -> None:
            self.reads = 0

        def read(self, size: int = -1) -> bytes:
            self.reads += 1
            if self.reads > 2:
                raise BackupFailed("the packing failed")
            return b"x" * 100

    place = make_place()
    with pytest.raises(BackupFailed, match="the packing failed"):
        place.write("a", Broken())


def test_a_missing_file_is_an_error(make_place: MakePlace) -> None:
    with pytest.raises(BackupFailed):
        content_of(make_place(), "missing")


# -- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address", "label"),
    [
        ("/mnt/backups/", Address("", "", None, None, "/mnt/backups"), "/mnt/backups"),
        ("/mnt/../b", Address("", "", None, None, "/b"), "/b"),
        (
            "sftp://me@b.example.com/srv/me/x/",
            Address("sftp", "b.example.com", None, "me", "/srv/me/x"),
            "sftp://b.example.com/srv/me/x",
        ),
        (
            "SFTP://b.example.com:2222/x",
            Address("sftp", "b.example.com", 2222, None, "/x"),
            "sftp://b.example.com:2222/x",
        ),
        ("sftp://u%40x@h/a%20b", Address("sftp", "h", None, "u@x", "/a b"), "sftp://h/a b"),
        ("sftp://me@[2001:db8::1]:22/x", Address("sftp", "2001:db8::1", 22, "me", "/x"), "sftp://[2001:db8::1]:22/x"),
        ("s3://bucket", Address("s3", "bucket", None, None, ""), "s3://bucket"),
        ("s3://Bucket.x/a/b/", Address("s3", "Bucket.x", None, None, "/a/b"), "s3://Bucket.x/a/b"),
    ],
)
def test_an_address_is_parsed_and_shown_without_its_user(text: str, address: Address, label: str) -> None:
    assert parse_address(text) == address
    assert address.label == label


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("backups", "no whole path"),
        ("../backups", "no whole path"),
        ("~/backups", "no whole path"),
        ("", "no whole path"),
        ("ftp://h/x", "means nothing"),
        ("http://h/x", "means nothing"),
        ("file:///x", "means nothing"),
        ("sftp://h", "has no path"),
        ("sftp://h/", "has no path"),
        ("sftp:///x", "no address"),
        ("sftp://h:port/x", "no address"),
        ("sftp://h:99999/x", "no address"),
        ("sftp://[::1/x", "no address"),
        ("sftp://h/x?y=1", "no address"),
        ("s3://", "no address"),
        ("s3://key@bucket/x", "no address"),
        ("s3://bucket:1/x", "no address"),
        ("s3://bucket/x#y", "no address"),
        ("sftp://me:hunter2@h/x", "password"),
        ("s3://AKIA:hunter2@bucket", "password"),
        ("sftp://me:hunter2@h:port/x", "no address"),
        ("ftp://me:hunter2@h/x", "means nothing"),
    ],
)
def test_another_address_is_refused_with_what_to_give_instead(text: str, reason: str) -> None:
    with pytest.raises(BackupFailed, match=reason) as refused:
        parse_address(text)
    assert "hunter2" not in str(refused.value)


def test_a_folder_that_is_not_there_is_never_made(tmp_path: Path) -> None:
    """It may be the mount point of a disk that is not mounted."""
    place = open_place(str(tmp_path / "unmounted"), {})
    for call in (place.names, lambda: place.write("a", io.BytesIO()), lambda: place.rename("a", "b")):
        with pytest.raises(BackupFailed, match="mount its disk"):
            call()
    assert not (tmp_path / "unmounted").exists()


def test_files_of_a_folder_are_for_this_user_only(tmp_path: Path) -> None:
    open_place(str(tmp_path), {}).write("a", io.BytesIO(b"x"))
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


# -- credentials and their errors -----------------------------------------------------------------------------------


def test_a_file_is_named_by_its_setting_or_by_systemd(tmp_path: Path) -> None:
    (tmp_path / "backup-credentials").write_text("x")
    systemd = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert named_file("BACKUP_CREDENTIALS", systemd) == tmp_path / "backup-credentials"
    assert named_file("BACKUP_CREDENTIALS", {**systemd, "BACKUP_CREDENTIALS": "/x"}) == Path("/x")
    assert named_file("BACKUP_KNOWN_HOSTS", systemd) is None
    (tmp_path / "backup-known-hosts").touch()
    assert named_file("BACKUP_KNOWN_HOSTS", systemd) is None, "an empty one is not given"
    assert named_file("BACKUP_CREDENTIALS", {}) is None


def test_a_server_whose_key_is_not_known_is_not_used(sftp: Sftp, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{sftp.port} {other}\n")
    known = {"BACKUP_CREDENTIALS": str(sftp.key), "BACKUP_KNOWN_HOSTS": str(tmp_path / "known_hosts")}
    with pytest.raises(BackupFailed, match="does not know the server's key"):
        open_place(sftp.address, known).names()


def test_a_key_that_the_server_does_not_take_is_named(sftp: Sftp, tmp_path: Path) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "key")
    known = {"BACKUP_CREDENTIALS": str(tmp_path / "key"), "BACKUP_KNOWN_HOSTS": str(sftp.known_hosts)}
    with pytest.raises(BackupFailed, match="does not take the key"):
        open_place(sftp.address, known).names()


@pytest.mark.parametrize("content", ["hello", ""])
def test_a_file_that_holds_no_key_is_named_without_its_content(sftp: Sftp, tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    known = {"BACKUP_CREDENTIALS": str(tmp_path / "key"), "BACKUP_KNOWN_HOSTS": str(sftp.known_hosts)}
    with pytest.raises(BackupFailed, match="holds no private key"):
        open_place(sftp.address, known).names()


def test_a_directory_that_is_not_there_is_named(sftp: Sftp) -> None:
    known = {"BACKUP_CREDENTIALS": str(sftp.key), "BACKUP_KNOWN_HOSTS": str(sftp.known_hosts)}
    with pytest.raises(BackupFailed, match="there is no such directory"):
        open_place(f"{sftp.address}/missing", known).names()


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(BackupFailed, match=r"sftp://127\.0\.0\.1:9/x cannot be used"):
        open_place("sftp://127.0.0.1:9/x", {}).names()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[other]\naws_access_key_id = x",
        "[default]\naws_access_key_id = hunter2",
        "hunter2",
        "[default]\nhunter2",
    ],
)
def test_s3_needs_a_whole_access_key(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "credentials").write_text(content or "")
    given = {} if content is None else {"BACKUP_CREDENTIALS": str(tmp_path / "credentials")}
    with pytest.raises(BackupFailed) as refused:
        open_place("s3://bucket", given).names()
    assert "[default]" in str(refused.value) and "hunter2" not in str(refused.value)


def test_errors_of_s3_are_sentences(s3_credentials: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="NoSuchBucket"):
        open_place("s3://nobodys-bucket", {"BACKUP_CREDENTIALS": str(s3_credentials)}).names()
    (tmp_path / "away").write_text(s3_credentials.read_text().replace("http://", "nonsense "))
    with pytest.raises(BackupFailed, match="is not right"):
        open_place("s3://bucket", {"BACKUP_CREDENTIALS": str(tmp_path / "away")}).names()
    with pytest.raises(BackupFailed, match="cannot be read"):
        open_place("s3://bucket", {"BACKUP_CREDENTIALS": str(tmp_path / "missing")}).names()


# -- a folder of another account ---------------------------------------------------------------------------------------


def test_a_folder_is_tried_by_writing(tmp_path: Path) -> None:
    Folder(tmp_path).try_out()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BackupFailed, match="mount its disk"):
        Folder(tmp_path / "missing").try_out()


def test_a_folder_that_is_closed_to_the_account_says_whom_to_give_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "x.jsonl"))

    user = name_of_this_user()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BackupFailed, match=rf"{user} may not use {tmp_path}/x.jsonl: `sudo chown {user} {tmp_path}/x"):
        Folder(tmp_path).write("x.jsonl", io.BytesIO())
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BackupFailed, match=rf"{user} may not use {tmp_path}: `sudo chown {user} {tmp_path}`"):
        Folder(tmp_path).write("x.jsonl", io.BytesIO())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")
def test_what_root_writes_into_a_folder_is_the_folder_accounts(tmp_path: Path) -> None:
    shutil.chown(tmp_path, "nobody")
    Folder(tmp_path).write("x", io.BytesIO(b"x"))
    assert (tmp_path / "x").owner() == "nobody"
