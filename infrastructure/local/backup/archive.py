"""The file of a backup: a tar archive, compressed with zstd, sealed with age; packed and opened as a stream.

``age -d -i KEY FILE | tar --zstd -x`` opens it with standard tools. Memory stays bounded: each step is a thread, and a
pipe holds what the next one has not taken yet.
"""

import hashlib
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Final

import pyrage
import zstandard

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.manifest import MANIFEST, Digest

_LEVEL: Final = 3
_CHUNK_BYTES: Final = 1 << 16


class SealedStream:
    """The bytes of a sealed archive, read once; its digest is known at its end."""

    def __init__(self, source: IO[bytes], finish: Callable[[], None]) -> None:
        self._source = source
        self._finish = finish
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes; empty at the end. Raises the error of the packing instead of a false end."""
        chunk = self._source.read(size)
        if not chunk and size != 0:
            self._finish()
        self._sha256.update(chunk)
        self._size_bytes += len(chunk)
        return chunk

    @property
    def digest(self) -> Digest:
        """Returns the digest of what was read."""
        return Digest(self._sha256.hexdigest(), self._size_bytes)


@contextmanager
def sealed(directory: Path, recipient: str) -> Iterator[SealedStream]:
    """Yields the sealed archive of all files below ``directory``, the manifest first."""
    key = pyrage.x25519.Recipient.from_str(recipient)
    with _Steps() as steps:
        packed = steps.pipe(lambda target: _pack(directory, target))
        encrypted = steps.pipe(lambda target: _encrypt(packed, target, key))
        yield SealedStream(encrypted, steps.finish)


def unseal(file: Path, identity: pyrage.x25519.Identity, directory: Path) -> None:
    """Unpacks a sealed archive into a directory; raises :class:`BackupFailed` if it is not as it was packed."""
    try:
        with _Steps() as steps, file.open("rb") as source:
            decrypted = steps.pipe(lambda target: pyrage.decrypt_io(source, target, [identity]))
            try:
                _unpack(decrypted, directory)
                while decrypted.read(_CHUNK_BYTES):
                    pass
            finally:
                # A stream that broke off is the cause of the archive that does.
                steps.finish()
    except pyrage.DecryptError as error:
        if "matching keys" in str(error):
            raise BackupFailed(f"{file.name} was sealed for another key: give the KEY of its time.") from None
        raise BackupFailed(f"{file.name} is no sealed backup, or its beginning is damaged.") from None
    except (OSError, tarfile.TarError, zstandard.ZstdError) as error:
        if isinstance(error, OSError) and error.errno:
            raise BackupFailed(f"{file.name} cannot be unpacked: {error.strerror}.") from None
        raise BackupFailed(f"{file.name} is damaged or cut off: restore another backup.") from None


def _pack(directory: Path, target: IO[bytes]) -> None:
    with (
        zstandard.ZstdCompressor(level=_LEVEL).stream_writer(target, closefd=False) as compressed,
        tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        archive.add(directory / MANIFEST, arcname=MANIFEST, recursive=False, filter=_private)
        for path in sorted(directory.rglob("*")):
            if path != directory / MANIFEST:
                name = path.relative_to(directory).as_posix()
                archive.add(path, arcname=name, recursive=False, filter=_private)


def _private(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Returns the member without what belongs to this machine: its users, and modes that open it to others."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o700 if member.isdir() else 0o600
    return member


def _encrypt(source: IO[bytes], target: IO[bytes], key: pyrage.x25519.Recipient) -> None:
    with source:
        pyrage.encrypt_io(source, target, [key])


def _unpack(source: IO[bytes], directory: Path) -> None:
    with (
        zstandard.ZstdDecompressor().stream_reader(source, closefd=False) as decompressed,
        tarfile.open(fileobj=decompressed, mode="r|") as archive,
    ):
        unpack_into(directory, archive)


def unpack_into(directory: Path, archive: tarfile.TarFile) -> None:
    """Unpacks plain files and directories, open to this user only; raises TarError for anything else.

    Stricter than the filter `data` of tarfile, which Python has since 3.11.4 only: Debian 12 has 3.11.2.
    """
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name} is no file of a backup")
        target = directory / path
        (target if member.isdir() else target.parent).mkdir(parents=True, exist_ok=True, mode=0o700)
        if not member.isfile():
            continue
        content = archive.extractfile(member)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if content is not None:
                shutil.copyfileobj(content, file)
        with suppress(OverflowError):
            os.utime(target, (member.mtime, member.mtime))


class _Steps:
    """Threads that each write into a pipe; an error of one is raised by ``finish``."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._sources: list[IO[bytes]] = []
        self._errors: list[BaseException] = []
        self._closing = False

    def pipe(self, step: Callable[[IO[bytes]], object]) -> IO[bytes]:
        """Starts a step that writes into a pipe; returns the pipe's other end."""
        reading, writing = os.pipe()
        source, target = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")

        def run() -> None:
            try:
                step(target)
                target.flush()
            except BaseException as error:
                # Once nobody reads on, a broken pipe is a consequence and no cause.
                if not self._closing:
                    self._errors.append(error)
            finally:
                with suppress(OSError):
                    target.close()

        self._sources.append(source)
        self._threads.append(threading.Thread(target=run, name="backup", daemon=True))
        self._threads[-1].start()
        return source

    def finish(self) -> None:
        """Ends all steps; raises the first error that one had by itself."""
        self._close()
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> "_Steps":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._closing = True
        for source in self._sources:
            source.close()
        for thread in self._threads:
            thread.join()
