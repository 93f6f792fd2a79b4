"""Packs the login of a browser profile into one archive, and unpacks it with every check.

The archive is a tar under zstd: ``manifest.json`` first, then the files it names, in its order. Only IndexedDB and
Local Storage are archived; the rest of a profile can be fetched again.
"""

import errno
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import zstandard

from runner.profile.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_UNPACKED_BYTES,
    ArchivedFile,
    Manifest,
    SnapshotTooLarge,
    fingerprint,
    is_kept_path,
    is_older,
)
from wire import MAX_SNAPSHOT_BYTES

CHUNK_BYTES = 1 << 20
#: Fast, and within a few percent of the slower ones on LevelDB's own compressed blocks.
COMPRESSION_LEVEL = 3
#: An archive that needs more memory than this to be read was not written by us.
MAX_WINDOW_BYTES = 1 << 27
#: How zstd begins a frame without a checksum, a content size and a dictionary; one byte, the window's size, follows.
FRAME_HEADER_START = zstandard.FRAME_HEADER + b"\0"
FRAME_HEADER_BYTES = len(FRAME_HEADER_START) + 1
#: No block of a frame may be larger.
RAW_BLOCK_BYTES = 1 << 17
#: Stands for the hash of a file that was not read yet; as long as any other.
UNREAD = "0" * 64
#: Errors of the file system that an archive's odd names cause; all others are this machine's.
ERRORS_OF_NAMES = frozenset(
    {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ELOOP}
)


class SnapshotDamaged(Exception):
    """The archive must not be used; another one may."""


class ChromiumTooOld(Exception):
    """A newer Chromium wrote the archive: ours would take it for broken and wipe it."""


class LinkedFileChanged(Exception):
    """A file that a database never changes was changed after the freeze: the snapshot must not be used."""

    def __init__(self, path: str) -> None:
        super().__init__("a linked file changed after the freeze")
        self.path = path


class NoRoomToPack(Exception):
    """The archive would leave the browsers on this disk no room: the snapshot is given up."""


class PackedArchive(NamedTuple):
    """An archive that is ready for the upload."""

    path: Path
    sha256: str
    size_bytes: int
    #: Of the content alone: the same for the same files, whenever they were packed.
    fingerprint: str


class ExpectedArchive(NamedTuple):
    """The archive as the control plane committed it, and the Chromium that is to open it."""

    tenant: str
    epoch: int
    sequence: int
    sha256: str
    chromium: str
    #: The Chromium that wrote it, as it was committed; empty if that is not known.
    written_by: str = ""


# -- packing ------------------------------------------------------------------------------------------------------


def pack(
    directory: Path,
    manifest: Manifest,
    archive: Path,
    *,
    linked: Mapping[str, int] = MappingProxyType({}),
    max_bytes: int = MAX_SNAPSHOT_BYTES,
    has_room: Callable[[], bool] = lambda: True,
) -> PackedArchive:
    """Writes the archive; its bytes depend on nothing but the manifest and the content of the files.

    Each file is read once, hashed and compressed in the same go. Its hash stands in the manifest, which is the first
    member; so the room of the manifest, whose length is known, is left free and filled in the end: uncompressed, in
    the same frame, because readers of earlier releases read one frame.

    Args:
        directory: the staged copy.
        manifest: names the files with the sizes they had while the browser was frozen; their hashes are filled in.
        linked: the paths that share their content with the live profile, and the mtime (ns) that each had.
        max_bytes: the archive's limit.
        has_room: whether the disk has room for more.

    Raises SnapshotTooLarge, NoRoomToPack, LinkedFileChanged, or OSError.
    """
    room = len(_frame(b"", _first_member(_with_hashes(manifest, {}))))
    # No checksum of zstd's own: it covers the content in order, and the manifest comes last.
    compressor = zstandard.ZstdCompressor(COMPRESSION_LEVEL, write_checksum=False, write_content_size=False)
    stream = compressor.compressobj()
    hashes: dict[str, str] = {}
    with archive.open("x+b") as file:
        file.seek(room)
        for each in manifest.files:
            file.write(stream.compress(_member(each.path, each.size)))
            digest = hashlib.sha256()
            for chunk in _read(directory / each.path, each, linked.get(each.path)):
                digest.update(chunk)
                if not has_room():
                    raise NoRoomToPack
                if file.tell() + file.write(stream.compress(chunk)) > max_bytes:
                    raise SnapshotTooLarge(f"the archive is larger than {max_bytes >> 20} MB")
            hashes[each.path] = digest.hexdigest()
            file.write(stream.compress(bytes(-each.size % tarfile.BLOCKSIZE)))
        file.write(stream.compress(bytes(2 * tarfile.BLOCKSIZE)) + stream.flush())
        if (size := file.tell()) > max_bytes:
            raise SnapshotTooLarge(f"the archive is larger than {max_bytes >> 20} MB")
        file.seek(room)
        header = file.read(FRAME_HEADER_BYTES)
        if header[: len(FRAME_HEADER_START)] != FRAME_HEADER_START:
            raise ValueError("this zstd begins a frame in a way that the archive does not know")
        manifest = _with_hashes(manifest, hashes)
        file.seek(0)
        file.write(_frame(header, _first_member(manifest)))
    return PackedArchive(archive, _sha256_of(archive), size, fingerprint(manifest.files))


def _read(path: Path, file: ArchivedFile, linked_mtime_ns: int | None) -> Iterator[bytes]:
    """Yields the content that a file had while the browser was frozen."""
    left = file.size
    with path.open("rb") as content:
        while left and (chunk := content.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
        now = os.fstat(content.fileno())
    if linked_mtime_ns is not None and (now.st_size, now.st_mtime_ns) != (file.size, linked_mtime_ns):
        raise LinkedFileChanged(file.path)
    if left:
        raise OSError(errno.EIO, "a staged file is shorter than it was copied")


def _with_hashes(manifest: Manifest, hashes: Mapping[str, str]) -> Manifest:
    files = [each.model_copy(update={"sha256": hashes.get(each.path, UNREAD)}) for each in manifest.files]
    return manifest.model_copy(update={"files": files})


def _first_member(manifest: Manifest) -> bytes:
    """Returns the manifest as the first member of the tar; its length depends on the names and sizes alone."""
    content = manifest.model_dump_json().encode()
    return _member(MANIFEST, len(content)) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _member(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    return member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def _frame(header: bytes, content: bytes) -> bytes:
    """Begins a zstd frame with ``content`` in raw blocks (RFC 8878, 3.1.1.2); more blocks must follow."""
    blocks = [content[at : at + RAW_BLOCK_BYTES] for at in range(0, len(content), RAW_BLOCK_BYTES)]
    return header + b"".join((len(block) << 3).to_bytes(3, "little") + block for block in blocks)


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
        if isinstance(error, SnapshotDamaged | ChromiumTooOld) or not isinstance(error, Exception):
            raise
        if not isinstance(error, OSError):
            # Whatever an archive surprises a library with: the version before it is tried.
            raise SnapshotDamaged("the archive cannot be read") from error
        if error.errno in ERRORS_OF_NAMES:
            raise SnapshotDamaged("the archive names a place twice, or one that no file can have") from error
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
        if expected.written_by and manifest.chromium != expected.written_by:
            raise SnapshotDamaged("the archive was written by another Chromium than was committed")
        if is_older(expected.chromium, manifest.chromium):
            raise ChromiumTooOld("a newer Chromium wrote this archive")
        if sum(file.size for file in manifest.files) > MAX_UNPACKED_BYTES:
            raise SnapshotDamaged("the archive is larger than any profile")
        if not all(is_kept_path(file.path) for file in manifest.files):
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


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
