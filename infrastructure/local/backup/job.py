"""One backup: copied and checked here, sealed on the way, read back at its place, and named only then."""

import fcntl
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.archive import sealed
from infrastructure.local.backup.data_copy import INSTALLATION, TABLE, copy_data
from infrastructure.local.backup.deletions import Ledger
from infrastructure.local.backup.key import required_recipient
from infrastructure.local.backup.manifest import Digest
from infrastructure.local.backup.names import DIGEST, PARTIAL, BackupName, backup_name, expired, ledger_name
from infrastructure.local.backup.places import Place, digest_at
from infrastructure.local.backup.status import Status, read_status, write_status
from infrastructure.local.service.user import name_of_this_user

#: Room that a backup leaves on the disk besides its copy of the table, so that the lines go on saving.
ROOM_BYTES: Final = 1 << 30
#: A copy whose parts do not fit (a snapshot was removed in between) is made once more.
COPIES: Final = 2
LEDGER_NOT_COPIED: Final = "The backup is whole, but the ledger of deletions could not be copied"


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups of one data directory.

    Args:
        stack: the table's name.
        commit: the release that runs.
        now_ms: epoch milliseconds.
    """

    data: Path
    stack: str
    commit: str
    now_ms: Callable[[], int]

    def keep(self, place: Place) -> Status:
        """Takes a backup to a place, and removes what is older than the seven days; raises :class:`BackupFailed`.

        The status says how it went, unless another backup is under way.
        """
        with self._alone():
            try:
                made, digest = self._take(place)
            except BackupFailed as error:
                before = read_status(self.data).at(place.label)
                write_status(self.data, before.failed(str(error), self.now_ms()))
                raise
            # Before the ledger: a backup that is whole counts, also if something after it cannot be done.
            status = read_status(self.data).at(place.label).succeeded(str(made), digest.size_bytes, self.now_ms())
            write_status(self.data, status)
            try:
                status = self.keep_ledger(place)
            except BackupFailed as error:
                status = replace(status, problem=f"{LEDGER_NOT_COPIED}: {error}")
                write_status(self.data, status)
            return self._remove_old(place, made, status)

    def keep_ledger(self, place: Place) -> Status:
        """Copies the ledger of deletions to the place of the backups; raises :class:`BackupFailed`."""
        ledger = self.copy_ledger(place)
        status = replace(read_status(self.data).at(place.label), ledger_sha256=ledger.sha256)
        if status.problem.startswith(LEDGER_NOT_COPIED):
            status = replace(status, problem="")
        write_status(self.data, status)
        return status

    def write(self, place: Place, name: str) -> Digest:
        """Takes a backup to a place under a name of the caller's; raises :class:`BackupFailed`. No other is removed."""
        with self._alone(), self._copied() as copy:
            digest = self._store(copy, place, name)
        self.copy_ledger(place)
        return digest

    def copy_ledger(self, place: Place) -> Ledger:
        """Copies the ledger of deletions to a place and returns it; the one there keeps what only it knows."""
        name = ledger_name(installation_of(self.data))
        ledger = Ledger.of_data(self.data)
        known = Ledger.of_place(place, name) if name in place.names() else Ledger()
        place.write(name + PARTIAL, io.BytesIO((ledger | known).to_bytes()))
        place.rename(name + PARTIAL, name)
        return ledger

    def _remove_old(self, place: Place, made: BackupName, status: Status) -> Status:
        try:
            for old in expired(place.names(), made):
                place.remove(old)
        except BackupFailed as error:
            problem = f"The backup is whole, but an older one could not be removed: {error}"
            status = replace(status, problem=" ".join(filter(None, (status.problem, problem))))
            write_status(self.data, status)
        return status

    def _take(self, place: Place) -> tuple[BackupName, Digest]:
        place.names()  # a place that is out of reach is found before the work
        with self._copied() as copy:
            made = backup_name(installation_of(self.data), datetime.fromtimestamp(self.now_ms() / 1000, UTC))
            return made, self._store(copy, place, str(made))

    def _store(self, copy: Path, place: Place, name: str) -> Digest:
        recipient = required_recipient(self.data)
        with _errors(), sealed(copy, recipient) as stream:
            place.write(name + PARTIAL, stream)
        if digest_at(place, name + PARTIAL) != stream.digest:
            place.remove(name + PARTIAL)
            raise BackupFailed(f"{place.label} gave back other bytes than it got: look after its disk.")
        line = f"{stream.digest.sha256}  {name}\n".encode()
        place.write(name + DIGEST, io.BytesIO(line))
        place.rename(name + PARTIAL, name)
        return stream.digest

    @contextmanager
    def _copied(self) -> Iterator[Path]:
        """Yields a checked copy of the data, which is removed at the end."""
        required_recipient(self.data)
        directory = self.data / "backup"
        for leftover in directory.glob("copy-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        self._check_room()
        copy = directory / f"copy-{os.getpid()}"
        try:
            for left in reversed(range(COPIES)):
                copy.mkdir(mode=0o700)
                try:
                    with _errors():
                        copy_data(self.data, copy, stack=self.stack, commit=self.commit, now_ms=self.now_ms)
                    break
                except BackupFailed:
                    shutil.rmtree(copy)
                    if not left:
                        raise
            yield copy
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def _check_room(self) -> None:
        try:
            needed = (self.data / TABLE).stat().st_size + ROOM_BYTES
        except OSError:
            raise BackupFailed(f"{self.data} holds no state of Answerline.") from None
        if shutil.disk_usage(self.data).free < needed:
            raise BackupFailed(
                f"The disk of {self.data} is too full to copy the table: make {needed >> 20} MiB of room."
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the lock of the backups: one at a time."""
        directory = self.data / "backup"
        if not self.data.is_dir():
            raise BackupFailed(f"{self.data} holds no state of Answerline.")
        directory.mkdir(exist_ok=True, mode=0o700)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupFailed("Another backup of this data is under way: wait until it ends.") from None
            yield
        finally:
            os.close(descriptor)


def installation_of(data: Path) -> str:
    """Returns the name of this installation in its backups; makes one at the first call."""
    file = data / INSTALLATION
    try:
        known = file.read_text().strip()
        if len(known) == 8 and not set(known) - set("0123456789abcdef"):
            return known
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    except OSError as error:
        raise BackupFailed(f"{name_of_this_user()} cannot read {file}: {error.strerror}.") from None
    made = secrets.token_hex(4)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_text(f"{made}\n")
    file.chmod(0o600)
    return made


@contextmanager
def _errors() -> Iterator[None]:
    """Turns an error of this machine's disk into a sentence."""
    try:
        yield
    except OSError as error:
        raise BackupFailed(f"The backup could not be written: {error.strerror or error}.") from error
