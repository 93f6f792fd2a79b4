"""Places outside of this machine that keep backups: ``BACKUP_TO`` is a folder, or an address of SFTP or S3."""

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.manifest import Digest
from infrastructure.local.service.user import name_of_this_user

#: One read or write.
CHUNK_BYTES: Final = 1 << 18
#: Settings that each name a file.
NAMED_FILES: Final = ("BACKUP_CREDENTIALS", "BACKUP_KNOWN_HOSTS")
EXAMPLES: Final = "a folder, sftp://user@host/path or s3://bucket/prefix"


class Source(Protocol):
    """A stream that is read once."""

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes; empty at the end."""


class Place(Protocol):
    """A flat set of files; every method raises :class:`BackupFailed`, without a secret in its sentence."""

    @property
    def label(self) -> str:
        """The address for people: without user, query and credentials."""

    def names(self) -> list[str]:
        """Lists the files."""

    def write(self, name: str, source: Source) -> None:
        """Stores a file, also over an older one of this name; durable once this returns."""

    def read(self, name: str, write: Callable[[bytes], object]) -> None:
        """Hands a file's bytes to ``write``, in order."""

    def rename(self, old: str, new: str) -> None:
        """Renames a file, also over an older one; nobody ever sees a half of it under the new name."""

    def remove(self, name: str) -> None:
        """Removes a file; a missing one is no error."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed ``BACKUP_TO``."""

    #: ``""`` for a folder, ``sftp`` or ``s3``
    scheme: str
    #: the host of SFTP, or the bucket
    host: str
    port: int | None
    user: str | None
    path: str

    @property
    def label(self) -> str:
        """Returns the address without the user."""
        if not self.scheme:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{host}{port}{self.path}"


def parse_address(text: str) -> Address:
    """Parses ``BACKUP_TO``; raises :class:`BackupFailed` with what is wrong. Repeats no password."""
    if "://" not in text:
        if not text.startswith("/"):
            raise BackupFailed(f"BACKUP_TO={text} is no whole path: give {EXAMPLES}.")
        return Address("", "", None, None, os.path.normpath(text))
    scheme = text.partition("://")[0].lower()
    if scheme not in ("sftp", "s3"):
        raise BackupFailed(f"BACKUP_TO={scheme}://… means nothing here: give {EXAMPLES}.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BackupFailed(f"BACKUP_TO={scheme}://… is no address: give {EXAMPLES}.") from None
    if parts.password is not None:
        raise BackupFailed(
            "BACKUP_TO has a password in it, which process lists and logs would show: leave it out, and give a file "
            "with BACKUP_CREDENTIALS=…."
        )
    # A bucket's name may have capital letters, which `hostname` loses.
    host = parts.netloc.rpartition("@")[2].partition(":")[0] if scheme == "s3" else parts.hostname or ""
    if not host or parts.query or parts.fragment or (scheme == "s3" and (parts.username or port)):
        raise BackupFailed(f"BACKUP_TO={scheme}://… is no address: give {EXAMPLES}.")
    path = unquote(parts.path).rstrip("/")
    if scheme == "sftp" and not path:
        raise BackupFailed("BACKUP_TO=sftp://… has no path: give sftp://user@host/path, a directory that is there.")
    return Address(scheme, host, port, unquote(parts.username) if parts.username else None, path)


def open_place(text: str, environment: Mapping[str, str] = os.environ) -> Place:
    """Returns the place of a ``BACKUP_TO``; asks it nothing yet. Its credentials come from a file."""
    address = parse_address(text)
    if address.scheme == "sftp":
        from infrastructure.local.backup.sftp import SftpServer

        return SftpServer(
            address, credentials_file(environment), known_hosts=named_file("BACKUP_KNOWN_HOSTS", environment)
        )
    if address.scheme == "s3":
        from infrastructure.local.backup.s3 import Bucket

        return Bucket(address, credentials_file(environment))
    return Folder(Path(address.path))


def credentials_file(environment: Mapping[str, str]) -> Path | None:
    """Returns the file with the private key for SFTP, or with the access key for S3."""
    return named_file("BACKUP_CREDENTIALS", environment)


def named_file(name: str, environment: Mapping[str, str]) -> Path | None:
    """Returns the file that a setting names, else systemd's credential, such as ``backup-credentials``; else None.

    An empty credential is none: the unit hands over every file that is there.
    The credential has another name than the setting: the files with the names of settings hold one line each.
    """
    if given := environment.get(name):
        return Path(given)
    directory = environment.get("CREDENTIALS_DIRECTORY")
    credential = Path(directory) / name.lower().replace("_", "-") if directory else None
    given_file = credential is not None and credential.is_file() and credential.stat().st_size > 0
    return credential if given_file else None


class Folder:
    """A folder, of another machine's disk as a rule."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def label(self) -> str:
        return str(self.directory)

    def try_out(self) -> None:
        """Writes a file and removes it: raises :class:`BackupFailed` where a backup would."""
        name = f".answerline-tried-{os.getpid()}"
        self.names()
        self.write(name, io.BytesIO())
        self.remove(name)

    def names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self.directory.iterdir() if entry.is_file())
        except OSError as error:
            raise self._failed(error) from None

    def write(self, name: str, source: Source) -> None:
        try:
            descriptor = os.open(self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                self._give(descriptor)
                while chunk := source.read(CHUNK_BYTES):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failed(error) from None

    def read(self, name: str, write: Callable[[bytes], object]) -> None:
        try:
            with (self.directory / name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    write(chunk)
        except OSError as error:
            raise self._failed(error) from None

    def rename(self, old: str, new: str) -> None:
        try:
            (self.directory / old).replace(self.directory / new)
            descriptor = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed(error) from None

    def remove(self, name: str) -> None:
        try:
            (self.directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def _give(self, descriptor: int) -> None:
        """Gives what root writes to the folder's account, which is to write over it and remove it later."""
        if os.geteuid() == 0:
            found = self.directory.stat()
            with suppress(PermissionError):  # a disk of another machine, where root is nobody
                os.fchown(descriptor, found.st_uid, found.st_gid)

    def _failed(self, error: OSError) -> BackupFailed:
        if not self.directory.is_dir():
            # Never made here: a disk that is not mounted would be filled under its mount point.
            return BackupFailed(f"There is no folder {self.directory}: mount its disk, or make it with mkdir.")
        if isinstance(error, PermissionError):
            user, closed = name_of_this_user(), self.directory
            if os.access(closed, os.R_OK | os.W_OK | os.X_OK) and error.filename is not None:
                closed = Path(os.fsdecode(error.filename))
            return BackupFailed(f"The account {user} may not use {closed}: `sudo chown {user} {closed}`.")
        return BackupFailed(f"The folder {self.directory} cannot be used: {error.strerror or error}.")


def is_on_disk_of(data: Path, place: str) -> bool:
    """Returns whether a place, by its label, is a folder on the disk of the data, and so lost with it."""
    try:
        return place.startswith("/") and Path(place).stat().st_dev == data.stat().st_dev
    except OSError:
        return False


def digest_at(place: Place, name: str) -> Digest:
    """Reads a file of a place back; returns its digest."""
    computed, sizes = hashlib.sha256(), list[int]()

    def count(chunk: bytes) -> None:
        computed.update(chunk)
        sizes.append(len(chunk))

    place.read(name, count)
    return Digest(computed.hexdigest(), sum(sizes))
