"""A restore: everything is checked on a copy, with the real stores, before the copy becomes the data.

1. The file is fetched, and its digest compared with the one beside it.
2. It is opened with the operator's key, and each file compared with the manifest; SQLite checks the table.
3. The stores start on the copy: the key of the machine decrypts every tenant's OpenAI key.
4. Every deletion after the backup is made again. Without a ledger from outside of the backup nothing is restored.
5. The data that is there is moved aside, as it is, and the copy takes its place in one rename.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from infrastructure.checks import counted
from infrastructure.local import preflight, recovery
from infrastructure.local.backup import BackupFailed, erasure, former_backup
from infrastructure.local.backup.archive import unseal
from infrastructure.local.backup.data_copy import TABLE, check_snapshots
from infrastructure.local.backup.deletions import Ledger, ledgers_of, union
from infrastructure.local.backup.key import read_identity
from infrastructure.local.backup.manifest import MANIFEST, Manifest, check
from infrastructure.local.backup.names import DIGEST, SUFFIX, whole_backups
from infrastructure.local.backup.places import Folder, Place, open_place
from infrastructure.local.backup.stores import check_stores, running_stores
from infrastructure.local.backup.table_copy import check_table, compact_table, saved_lines
from infrastructure.local.service.account import give
from infrastructure.local.service.installation import keeper_of
from infrastructure.local.service.installed import commands_of
from infrastructure.local.settings import Settings

#: ``LEDGER=none`` restores without knowing who was deleted since.
NO_LEDGER: Final = "none"


@dataclass(frozen=True, slots=True)
class Source:
    """One backup at its place."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Request:
    """A restore, as the operator asked for it.

    Args:
        source: a backup's file or address, or a place: its newest backup then.
        key: the file of the secret key.
        ledger: a file of the ledger besides those that are found, or ``none``; empty: those that are found.
        backup_to: the setting; its ledger is read, too.
    """

    source: str
    key: Path | None
    ledger: str = ""
    backup_to: str | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """The outcome of a restore."""

    name: str
    manifest: Manifest
    tenants: int
    #: deleted tenants that the backup still had
    erased: int
    #: what a person must fix, a sentence each
    problems: list[str]
    #: where the data that was there is now
    aside: Path | None
    #: the command that starts the stack on it
    start: str = "`make up`"

    def __str__(self) -> str:
        taken_at = datetime.fromtimestamp(self.manifest.taken_at / 1000, UTC)
        parts = [
            f"Restored {self.name}, taken on {taken_at:%Y-%m-%d at %H:%M} UTC by release {self.manifest.commit}: "
            f"{counted(self.tenants, 'tenant')}."
        ]
        if self.erased:
            were = "was" if self.erased == 1 else "were"
            parts.append(f"{self.erased} that {were} deleted since {were} erased again.")
        if self.aside is not None:
            parts.append(f"What was there before is in {self.aside}: remove it once all is well.")
        return " ".join([*parts, *self.problems, f"{self.start} starts from it."])


def restore(
    settings: Settings,
    request: Request,
    environment: Mapping[str, str] = os.environ,
    now: Callable[[], float] = time.time,
) -> Restored:
    """Restores a backup into the data directory; raises :class:`BackupFailed` or CannotStart and changes nothing."""
    data = settings.data
    if data.is_mount():
        raise BackupFailed(f"{data} is a mount point, which cannot be replaced: restore into a directory on that disk.")
    data.parent.mkdir(parents=True, exist_ok=True)
    source = find(request.source, environment)
    existing = data.is_dir() and any(data.iterdir())
    lock = preflight.lock_data_directory(data) if existing else None
    work = data.with_name(f"{data.name}.restoring")
    try:
        shutil.rmtree(work, ignore_errors=True)
        copy = work / "data"
        copy.mkdir(mode=0o700, parents=True)
        preflight.hide_from_git(work)
        outside = known_deletions(source.place, request, data if existing else None, environment)
        manifest = _open(source, request, work / source.name, copy, settings.stack)
        tenants, erased, problems = _prove(settings, copy, outside | Ledger.of_data(copy))
        recovery.mark_restored(copy)
        give(copy, keeper_of(data, environment))
        aside = _take_place(copy, data, now() if existing else None)
        return Restored(source.name, manifest, tenants, erased, problems, aside, commands_of(data, environment).start)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def find(source: str, environment: Mapping[str, str]) -> Source:
    """Returns the backup that ``FROM`` names: a file, or the newest one of a place."""
    if not source:
        raise BackupFailed("Say which backup: `make restore FROM=… KEY=…`, a file or the place of the backups.")
    if "://" not in source:
        file = Path(source).expanduser().absolute()
        if not file.exists():
            raise BackupFailed(f"There is no file {file}.")
        if file.is_file():
            return Source(Folder(file.parent), file.name)
        source = str(file)
    elif source.endswith(SUFFIX):
        parent, _, name = source.rpartition("/")
        return Source(open_place(parent, environment), name)
    place = open_place(source, environment)
    found = whole_backups(place.names())
    if not found:
        raise BackupFailed(f"There is no backup at {place.label}.")
    if len({each.installation for each in found}) > 1:
        newest = {each.installation: str(each) for each in reversed(found)}
        raise BackupFailed(
            f"{place.label} has backups of several machines: name one, such as {' or '.join(sorted(newest.values()))}."
        )
    return Source(place, str(found[0]))


def _open(source: Source, request: Request, file: Path, copy: Path, stack: str) -> Manifest:
    """Fetches a backup into ``file``, compares, opens and checks it; its files are in ``copy`` then."""
    if source.name.endswith(former_backup.SUFFIX):
        _fetch(source, file)
        manifest = former_backup.unpack(file, copy)
    else:
        if request.key is None:
            raise BackupFailed("Say which key opens it: KEY=… names the file with the line of `make backup-key`.")
        identity = read_identity(request.key)
        _fetch(source, file)
        unseal(file, identity, copy)
        manifest = check(copy)
        check_table(copy / TABLE)
        check_snapshots(manifest, saved_lines(copy / TABLE, stack))
        (copy / MANIFEST).unlink()
    file.unlink()
    return manifest


def _fetch(source: Source, file: Path) -> None:
    computed = hashlib.sha256()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:

        def write(chunk: bytes) -> None:
            computed.update(chunk)
            target.write(chunk)

        source.place.read(source.name, write)
    if source.name + DIGEST not in source.place.names():
        return  # a file that was copied by hand; age finds what is damaged, too
    beside: list[bytes] = []
    source.place.read(source.name + DIGEST, beside.append)
    if b"".join(beside).split()[:1] != [computed.hexdigest().encode()]:
        raise BackupFailed(f"{source.name} is damaged: its digest is another one. Restore another backup.")


def known_deletions(place: Place, request: Request, data: Path | None, environment: Mapping[str, str]) -> Ledger:
    """Returns all deletions that are known outside of the backup; raises :class:`BackupFailed` if nothing could say."""
    if request.ledger == NO_LEDGER:
        return Ledger()
    found = ledgers_of(place)
    if request.ledger:
        file = Path(request.ledger).expanduser()
        try:
            found.append(Ledger.of_bytes(file.read_bytes(), str(file)))
        except OSError as error:
            raise BackupFailed(f"The ledger {file} cannot be read: {error.strerror}.") from None
    if data is not None:
        found.append(Ledger.of_data(data))
    if request.backup_to:
        found += ledgers_of(open_place(request.backup_to, environment))
    if not found:
        raise BackupFailed(
            "No ledger of deletions was found, so a client that was deleted since could come back. Put the file "
            "answerline-…-deletions.jsonl beside the backup, or give BACKUP_TO=…; LEDGER=none restores without it."
        )
    return union(found)


def _prove(settings: Settings, copy: Path, ledger: Ledger) -> tuple[int, int, list[str]]:
    """Starts the stores on the copy and makes the deletions again.

    Returns the numbers of tenants left and erased, and what a person must fix.
    """
    with running_stores(replace(settings, data=copy)) as aws:
        erasure.record(aws, ledger)
        erased = erasure.erase(aws, settings.stack, copy, ledger.tenants)
        tenants, problems = check_stores(aws, settings.stack)
    if erased:
        compact_table(copy / TABLE)
    shutil.rmtree(copy / "logs", ignore_errors=True)
    return tenants, erased, problems


def _take_place(copy: Path, data: Path, now: float | None) -> Path | None:
    """Moves the copy to where the data belongs; what is there is moved aside first."""
    aside = None
    if now is not None:
        aside = data.with_name(f"{data.name}.before-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}")
        data.rename(aside)
    copy.rename(data)
    return aside
