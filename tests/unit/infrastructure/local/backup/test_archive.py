"""The sealed archive: what goes in comes out, in bounded memory, and nothing damaged passes for whole."""

import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pyrage
import pytest
import zstandard

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.archive import sealed, unseal
from infrastructure.local.backup.manifest import FORMAT, MANIFEST, check, describe, digest_of

SECRET = pyrage.x25519.Identity.generate()
RECIPIENT = str(SECRET.to_public())
CHUNK = 1 << 16


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of some data, with its manifest."""
    directory = tmp_path / "copy"
    for name, content in {
        "table/answerline.db": os.urandom(300_000),
        "ministack/s3/000000000000/bucket/profiles/ä b/x.tar.zst": b"snapshot",
        "operator.json": b"{}",
        "empty": b"",
    }.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    describe(directory, commit="0123456789ab", taken_at=5).write(directory)
    return directory


def seal(directory: Path) -> bytes:
    with sealed(directory, RECIPIENT) as stream:
        return b"".join(iter(lambda: stream.read(CHUNK), b""))


def open_again(content: bytes, tmp_path: Path, identity: pyrage.x25519.Identity = SECRET) -> Path:
    file, directory = tmp_path / "b.tar.zst.age", tmp_path / "opened"
    file.write_bytes(content)
    directory.mkdir(exist_ok=True)
    unseal(file, identity, directory)
    return directory


def test_a_backup_comes_back_whole_and_private(data: Path, tmp_path: Path) -> None:
    (data / "operator.json").chmod(0o644)
    opened = open_again(seal(data), tmp_path)
    manifest = check(opened)
    assert (manifest.format, manifest.commit, manifest.taken_at) == (FORMAT, "0123456789ab", 5)
    assert set(manifest.files) == {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()} - {
        MANIFEST
    }
    assert not [path for path in opened.rglob("*") if path.stat().st_mode & 0o077]


def test_standard_tools_read_it(data: Path) -> None:
    """age, then zstd, then tar; the manifest first."""
    plain = pyrage.decrypt(seal(data), [SECRET])
    with tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(io.BytesIO(plain)), mode="r|") as archive:
        members = archive.getmembers()
    assert members[0].name == MANIFEST
    assert {(member.uid, member.uname) for member in members} == {(0, "")}


def test_the_digest_is_of_the_bytes_that_left(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "out"
    with sealed(data, RECIPIENT) as stream, file.open("wb") as out:
        while chunk := stream.read(1000):
            out.write(chunk)
    assert stream.digest == digest_of(file)


def test_memory_stays_bounded(tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    directory.mkdir()
    (directory / "big").write_bytes(os.urandom(32 << 20))
    describe(directory, commit="x", taken_at=0).write(directory)
    tracemalloc.start()
    try:
        with sealed(directory, RECIPIENT) as stream:
            while stream.read(CHUNK):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_file_that_cannot_be_packed_is_no_end(tmp_path: Path) -> None:
    """The reader must not take the packing's error for the archive's end."""
    directory = tmp_path / "copy"
    directory.mkdir()
    (directory / "a").write_bytes(os.urandom(8 << 20))  # the pipes hold less, so that z is not reached yet
    (directory / "z").touch()
    describe(directory, commit="x", taken_at=0).write(directory)
    with sealed(directory, RECIPIENT) as stream:
        assert stream.read(10)
        (directory / "z").unlink()
        with pytest.raises(FileNotFoundError):
            while stream.read(CHUNK):
                pass


def test_a_reader_that_stops_leaves_no_thread(data: Path) -> None:
    (data / "big").write_bytes(os.urandom(8 << 20))
    with sealed(data, RECIPIENT) as stream:
        assert stream.read(10)


@pytest.mark.parametrize("cut", [1, 20, 5_000, 100_000, 200_000])
def test_a_part_is_refused(data: Path, tmp_path: Path, cut: int) -> None:
    with pytest.raises(BackupFailed, match=r"damaged|no sealed backup"):
        open_again(seal(data)[:-cut], tmp_path)


@pytest.mark.parametrize("at", [0, 30, 100, 170, 1_000, 70_000, 200_000, -1, -17, -40])
def test_a_flipped_byte_is_refused(data: Path, tmp_path: Path, at: int) -> None:
    content = bytearray(seal(data))
    content[at] ^= 1
    with pytest.raises(BackupFailed, match=r"damaged|no sealed backup|another key"):
        open_again(bytes(content), tmp_path)


def test_something_appended_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="damaged"):
        open_again(seal(data) + b"x", tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"age-encryption.org/v1\n"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BackupFailed, match="no sealed backup"):
        open_again(content, tmp_path)


def test_another_key_does_not_open_it(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="sealed for another key"):
        open_again(seal(data), tmp_path, pyrage.x25519.Identity.generate())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside", tarfile.REGTYPE),
        ("in/../../outside", tarfile.REGTYPE),
        ("/outside", tarfile.REGTYPE),
        ("..", tarfile.DIRTYPE),
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ],
)
def test_an_archive_with_more_than_files_in_its_directory_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    raw = io.BytesIO()
    with (
        zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as compressed,
        tarfile.open(fileobj=compressed, mode="w|") as archive,
    ):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "../outside"
        archive.addfile(member, io.BytesIO())
    with pytest.raises(BackupFailed):
        open_again(pyrage.encrypt(raw.getvalue(), [SECRET.to_public()]), tmp_path)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", ["data_filter", "tar_filter", "FilterError"])
def test_a_python_without_filters_opens_a_backup(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Debian 12 has Python 3.11.2, whose tarfile has none."""
    monkeypatch.delattr(tarfile, name, raising=False)
    monkeypatch.delattr(tarfile.TarFile, "extractall")
    open_again(seal(data), tmp_path)
