"""Packs the login of a browser profile into one archive, and unpacks it with every check.

The archive is a tar under zstd: ``manifest.json`` first, then the files it names, in its order. Only IndexedDB and
Local Storage are archived; the rest of a profile can be fetched again.
"""

import errno
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, NamedTuple

import zstandard
from pydantic import BaseModel, ConfigDict, Field, ValidationError

#: The directories with the login and the chats; copied together, because one without the other reads as empty.
KEPT_DIRECTORIES = ("Default/IndexedDB", "Default/Local Storage")
#: The lock of a live database, and its own log.
EXCLUDED_NAMES = frozenset({"LOCK", "LOG", "LOG.old"})
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 8 << 20
MAX_FILES = 20_000
MAX_UNPACKED_BYTES = 2 << 30
MAX_PATH_LENGTH = 200
CHUNK_BYTES = 1 << 20
#: Fast, and within a few percent of the slower ones on LevelDB's own compressed blocks.
COMPRESSION_LEVEL = 3
#: An archive that needs more memory than this to be read was not written by us.
MAX_WINDOW_BYTES = 1 << 27


class SnapshotDamaged(Exception):
    """The archive must not be used; another one may."""


class ChromiumTooOld(Exception):
    """A newer Chromium wrote the archive: ours would take it for broken and wipe it."""


class CopyStopped(Exception):
    """The copy took too long or grew too large; it must not be used."""


class ArchivedFile(BaseModel):
    """A file of the archive."""

    model_config = ConfigDict(frozen=True, strict=True)

    path: str
    size: Annotated[int, Field(ge=0, le=MAX_UNPACKED_BYTES)]
    sha256: str


class Manifest(BaseModel):
    """The archive's description of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    tenant: str
    epoch: int
    sequence: int
    chromium: str
    wa_js: str = ""
    #: A list, because JSON has no tuples.
    files: Annotated[list[ArchivedFile], Field(max_length=MAX_FILES)]


class PackedArchive(NamedTuple):
    """An archive that is ready for the upload."""

    path: Path
    sha256: str
    size_bytes: int


class ExpectedArchive(NamedTuple):
    """The archive as the control plane committed it, and the Chromium that is to open it."""

    tenant: str
    epoch: int
    sequence: int
    sha256: str
    chromium: str


# -- copying ------------------------------------------------------------------------------------------------------


def copy_profile(profile: Path, into: Path, may_continue: Callable[[], bool]) -> int:
    """Copies the kept part of a profile whose browser is frozen, while ``may_continue``; returns the number of bytes.

    Raises CopyStopped.
    """
    copied = 0
    for count, source in enumerate(_kept_files(profile), 1):
        target = into / source.relative_to(profile)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for written in _clone(source, target):
            copied += written
            if not may_continue():
                raise CopyStopped("the copy took too long")
        if count > MAX_FILES or copied > MAX_UNPACKED_BYTES:
            raise CopyStopped("the profile is too large")
    return copied


def _kept_files(profile: Path) -> Iterator[Path]:
    for kept in KEPT_DIRECTORIES:
        for directory, folders, names in os.walk(profile / kept):
            folders.sort()
            for name in sorted(names):
                path = Path(directory) / name
                if name not in EXCLUDED_NAMES and path.is_file() and not path.is_symlink():
                    yield path


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


# -- packing ------------------------------------------------------------------------------------------------------


def list_files(directory: Path) -> list[ArchivedFile]:
    """Returns every file below a directory, in order, with its hash."""
    return [
        ArchivedFile(path=path.relative_to(directory).as_posix(), size=path.stat().st_size, sha256=_sha256_of(path))
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    ]


def fingerprint(files: list[ArchivedFile]) -> str:
    """Returns a hash that depends on nothing but the content."""
    return hashlib.sha256(repr([(each.path, each.sha256) for each in files]).encode()).hexdigest()


def pack(directory: Path, manifest: Manifest, archive: Path) -> PackedArchive:
    """Writes the archive; its bytes depend on nothing but the arguments."""
    description = manifest.model_dump_json().encode()
    with archive.open("xb") as file:
        writer = _HashingWriter(file)
        compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True)
        with (
            compressor.stream_writer(writer, closefd=False) as compressed,  # type: ignore[arg-type]
            tarfile.open(fileobj=compressed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
        ):
            tar.addfile(_member(MANIFEST, len(description)), io.BytesIO(description))
            for each in manifest.files:
                with (directory / each.path).open("rb") as content:
                    tar.addfile(_member(each.path, each.size), content)
    return PackedArchive(archive, writer.hash.hexdigest(), writer.size)


class _HashingWriter:
    """A file that remembers the hash and the length of its content."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    return member


# -- unpacking ----------------------------------------------------------------------------------------------------


def unpack(archive: Path, into: Path, expected: ExpectedArchive) -> Manifest:
    """Unpacks an archive into a directory that does not exist yet; deletes it again if anything is wrong.

    Raises SnapshotDamaged or ChromiumTooOld for the archive's faults, OSError for this machine's.
    """
    if _sha256_of(archive) != expected.sha256:
        raise SnapshotDamaged("the archive is not the one that was committed")
    into.mkdir(mode=0o700)
    try:
        with archive.open("rb") as file:
            decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
            with decompressor.stream_reader(file, closefd=False) as reader:
                return _Unpacker(reader, into, expected).run()
    except BaseException as error:
        shutil.rmtree(into, ignore_errors=True)
        if isinstance(error, zstandard.ZstdError | tarfile.TarError | ValidationError):
            raise SnapshotDamaged("the archive cannot be read") from error
        if isinstance(error, NotADirectoryError | FileExistsError | IsADirectoryError):
            raise SnapshotDamaged("the archive names a place twice") from error
        raise


class _Unpacker:
    """Reads one member after another: only plain files that the manifest names, and each of them."""

    def __init__(self, reader: zstandard.ZstdDecompressionReader, into: Path, expected: ExpectedArchive) -> None:
        self._reader = reader
        self._into = into
        self._expected = expected

    def run(self) -> Manifest:
        name, size = self._next() or ("", 0)
        if name != MANIFEST or size > MAX_MANIFEST_BYTES:
            raise SnapshotDamaged("the archive does not begin with its manifest")
        manifest = Manifest.model_validate_json(b"".join(self._content(size)))
        self._check(manifest)
        for file in manifest.files:
            if self._next() != (file.path, file.size):
                raise SnapshotDamaged("the archive does not hold what its manifest names")
            self._write(file)
        if self._next() is not None:
            raise SnapshotDamaged("the archive holds more than its manifest names")
        return manifest

    def _check(self, manifest: Manifest) -> None:
        expected = self._expected
        if (manifest.tenant, manifest.epoch, manifest.sequence) != expected[:3]:
            raise SnapshotDamaged("the archive belongs to another session")
        if is_older(expected.chromium, manifest.chromium):
            raise ChromiumTooOld("a newer Chromium wrote this archive")
        if sum(file.size for file in manifest.files) > MAX_UNPACKED_BYTES:
            raise SnapshotDamaged("the archive is larger than any profile")
        if not all(_is_kept_path(file.path) for file in manifest.files):
            raise SnapshotDamaged("the archive names a place outside of a profile")

    def _next(self) -> tuple[str, int] | None:
        """Returns name and size of the next member; None at the end."""
        try:
            header = tarfile.TarInfo.frombuf(self._exactly(tarfile.BLOCKSIZE), "utf-8", "strict")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            return None
        if header.type != tarfile.REGTYPE:
            raise SnapshotDamaged("the archive holds something that is no plain file")
        return header.name, header.size

    def _write(self, file: ArchivedFile) -> None:
        target = self._into / file.path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = hashlib.sha256()
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as writing:
            for chunk in self._content(file.size):
                digest.update(chunk)
                writing.write(chunk)
        if digest.hexdigest() != file.sha256:
            raise SnapshotDamaged("a file of the archive is not what its manifest says")

    def _content(self, size: int) -> Iterator[bytes]:
        left = size
        while left > 0:
            chunk = self._exactly(min(left, CHUNK_BYTES))
            left -= len(chunk)
            yield chunk
        self._exactly(-size % tarfile.BLOCKSIZE)

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size > 0:
            part = self._reader.read(size)
            if not part:
                raise SnapshotDamaged("the archive ends too early")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def is_older(ours: str, theirs: str) -> bool:
    """Compares milestones: within one the databases' formats do not change, so that an image may be rolled back."""
    return _milestone(ours) < _milestone(theirs)


def _milestone(version: str) -> int:
    major = version.partition(".")[0]
    return int(major) if major.isdigit() else 0


def _is_kept_path(path: str) -> bool:
    pure = PurePosixPath(path)
    return (
        0 < len(path) <= MAX_PATH_LENGTH
        and pure.as_posix() == path
        and "\0" not in path
        and ".." not in pure.parts
        and any(pure.is_relative_to(kept) and path != kept for kept in KEPT_DIRECTORIES)
    )


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
