"""The commands of `make backup`, `backup-key`, `restore` and `forget`; each returns what the operator reads."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from infrastructure.local import preflight
from infrastructure.local.backup import BackupFailed, erasure
from infrastructure.local.backup.data_copy import TABLE
from infrastructure.local.backup.deletions import Deletion, Ledger
from infrastructure.local.backup.job import Backups
from infrastructure.local.backup.key import make_key
from infrastructure.local.backup.manifest import in_words
from infrastructure.local.backup.names import DAYS_KEPT
from infrastructure.local.backup.nightly import no_place
from infrastructure.local.backup.places import Folder, Source, open_place
from infrastructure.local.backup.restore import Request, restore
from infrastructure.local.backup.stores import running_stores
from infrastructure.local.backup.table_copy import compact_table
from infrastructure.local.credentials import with_credentials
from infrastructure.local.environment import current_commit
from infrastructure.local.service.installation import keeper_of, with_service
from infrastructure.local.service.rights import as_caller, as_holder, lent
from infrastructure.local.settings import CannotStart, Settings, parse

#: As comments, so that all that is printed is a key file, too.
KEY_ADVICE: Final = (
    "\n# Keep the line above where this machine is not: in a password manager, or on paper. It is shown this once, and"
    "\n# is all that opens the backups; this machine has only its public half."
)


def run(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> str:
    """Runs ``verb value…``; raises CannotStart with one sentence."""
    verb, *values = arguments
    if verb not in _VERBS:
        raise CannotStart(f"There is no command {verb}: {', '.join(_VERBS)}.")
    try:
        given = with_credentials(with_service(environment))
        settings = parse([], given)
        with lent(given, settings.data) as lending:
            return _VERBS[verb](settings, [*values, "", "", ""], lending)
    except BackupFailed as error:
        raise CannotStart(str(error)) from None


def _back_up(settings: Settings, values: Sequence[str], environment: Mapping[str, str]) -> str:
    """Takes a backup into a file, or to the place of the nightly ones."""
    backups = Backups(settings.data, settings.stack, current_commit(), _now_ms)
    if values[0]:
        file = Path(values[0]).expanduser().absolute()
        with as_holder(settings.data):
            digest = backups.write(_folder_of(file), file.name)
        return f"{file}: {in_words(digest.size_bytes)}, sealed. `make restore FROM={file} KEY=…` opens it."
    if settings.backup_to is None:
        raise BackupFailed(f"{no_place(settings.data)} Or name a file: `make backup FILE=…`.")
    with as_holder(settings.data):
        status = backups.keep(open_place(settings.backup_to, environment))
    if status.problem:
        return f"{status.place}/{status.name}: {in_words(status.size_bytes)}. {status.problem}"
    return f"{status.place}/{status.name}: {in_words(status.size_bytes)}, read back and whole."


class _CallersFolder(Folder):
    """A folder that the person named who started the command, used with that person's rights."""

    def names(self) -> list[str]:
        with as_caller():
            return super().names()

    def write(self, name: str, source: Source) -> None:
        with as_caller():
            super().write(name, source)

    def read(self, name: str, write: Callable[[bytes], object]) -> None:
        with as_caller():
            super().read(name, write)

    def rename(self, old: str, new: str) -> None:
        with as_caller():
            super().rename(old, new)

    def remove(self, name: str) -> None:
        with as_caller():
            super().remove(name)


def _folder_of(file: Path) -> Folder:
    """Returns the folder of a file. Where the account of the data may write, as in a place for backups, it does."""
    return (Folder if os.access(file.parent, os.W_OK | os.X_OK) else _CallersFolder)(file.parent)


def _make_key(settings: Settings, values: Sequence[str], environment: Mapping[str, str]) -> str:
    """Makes the key of the backups, and shows its secret half once."""
    with as_holder(settings.data, made_for=keeper_of(settings.data, environment)):
        if not settings.data.is_dir():
            os.close(preflight.lock_data_directory(settings.data))  # makes it, for this user only
        return make_key(settings.data, replace=bool(values[0])) + KEY_ADVICE


def _restore(settings: Settings, values: Sequence[str], environment: Mapping[str, str]) -> str:
    """Restores a backup into the data directory."""
    key = Path(values[1]).expanduser().absolute() if values[1] else None
    return str(restore(settings, Request(values[0], key, values[2], settings.backup_to), environment))


def _forget(settings: Settings, values: Sequence[str], environment: Mapping[str, str]) -> str:
    """Deletes a client for good, with all that is its own, on a stack that is stopped.

    The ledger is written first, here and at the place of the backups: from then on no restore brings the client back.
    """
    tenant = values[0]
    if not tenant.isalnum():
        raise BackupFailed("Say which tenant: `make forget TENANT=…`, the id in the address of its page in the admin.")
    if not settings.data.is_dir():
        raise BackupFailed(f"{settings.data} holds no state of Answerline.")
    with as_holder(settings.data):
        return _forget_one(tenant, settings, environment)


def _forget_one(tenant: str, settings: Settings, environment: Mapping[str, str]) -> str:
    lock = preflight.lock_data_directory(settings.data)
    try:
        with running_stores(settings) as aws:
            known = aws.client("dynamodb").get_item(
                TableName=settings.stack, Key={"pk": {"S": f"TENANT#{tenant}"}, "sk": {"S": "TENANT"}}
            )
            if "Item" not in known and tenant not in Ledger.of_data(settings.data).tenants:
                raise BackupFailed(f"There is no tenant {tenant}: its id is in the address of its page in the admin.")
            erasure.record(aws, Ledger(frozenset({Deletion(tenant, _now_ms())})))
            copied = _copy_ledger(settings, environment)
            erasure.erase(aws, settings.stack, settings.data, {tenant})
        compact_table(settings.data / TABLE)
    finally:
        os.close(lock)
    return (
        f"Tenant {tenant} is deleted. {copied} Backups that hold it go within {DAYS_KEPT} nights, and a restore of one "
        "deletes it again. Remove the linked device on the phone."
    )


def _copy_ledger(settings: Settings, environment: Mapping[str, str]) -> str:
    if settings.backup_to is None:
        return "Keep no other copy of the data: BACKUP_TO is not given, so the ledger of deletions is here alone."
    try:
        backups = Backups(settings.data, settings.stack, current_commit(), _now_ms)
        backups.keep_ledger(open_place(settings.backup_to, environment))
    except BackupFailed as error:
        return f"The ledger could not be copied ({error}) and is tried again by the running stack."
    return "The ledger beside the backups says so."


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_VERBS: Final[Mapping[str, Callable[[Settings, Sequence[str], Mapping[str, str]], str]]] = {
    "backup": _back_up,
    "backup-now": _back_up,
    "backup-key": _make_key,
    "restore": _restore,
    "forget": _forget,
}
