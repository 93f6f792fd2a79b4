"""The key of the backups: the operator keeps the secret half, and this machine only the public one (age, X25519).

So this machine cannot open its own backups, and neither can a thief of it. ``age`` and ``rage`` open them, too.
"""

from pathlib import Path

import pyrage

from infrastructure.local.backup import BackupFailed
from infrastructure.local.service.account import command_that_gives
from infrastructure.local.service.installed import commands_of
from infrastructure.local.service.user import name_of_this_user

#: The public half, in the data directory.
RECIPIENT = Path("backup") / "recipient"


NO_KEY = "There is no key for backups yet: `make backup-key` makes one and prints it once."


def no_key(data: Path) -> str:
    """Returns the sentence for a data directory without a key, with the command for its stack."""
    return commands_of(data).said(NO_KEY)


def make_key(data: Path, *, replace: bool = False) -> str:
    """Makes a key and stores its public half; returns the secret half, which is nowhere else.

    Raises:
        BackupFailed: there is one already, and ``replace`` is false.
    """
    if not replace and (existing := recipient_of(data)) is not None:
        raise BackupFailed(
            f"There is a key already: {existing}. Backups that were made for it open only with its secret half. "
            f"{commands_of(data).make('backup-key REPLACE=1')} makes another one for the backups to come; keep the old "
            "one, too."
        )
    identity = pyrage.x25519.Identity.generate()
    file = data / RECIPIENT
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = file.with_name("recipient.unfinished")
    unfinished.write_text(f"{identity.to_public()}\n")
    unfinished.chmod(0o600)
    unfinished.replace(file)
    return str(identity)


def recipient_of(data: Path) -> str | None:
    """Returns the public half that is stored in a data directory; None without one that can be used."""
    try:
        return _read_recipient(data)
    except (OSError, UnicodeDecodeError, pyrage.RecipientError):
        return None


def required_recipient(data: Path) -> str:
    """Returns the public half; raises :class:`BackupFailed` with what to do if it is missing, unreadable or damaged."""
    file = data / RECIPIENT
    try:
        return _read_recipient(data)
    except FileNotFoundError:
        raise BackupFailed(no_key(data)) from None
    except OSError as error:
        reason = f"({error.strerror}): {command_that_gives(data)}"
        raise BackupFailed(f"{name_of_this_user()} cannot read the key of the backups, {file} {reason}.") from None
    except (UnicodeDecodeError, pyrage.RecipientError):
        raise BackupFailed(
            f"The key of the backups, {file}, is damaged: {commands_of(data).make('backup-key REPLACE=1')} makes "
            "another one and prints it."
        ) from None


def key_problem(data: Path) -> str:
    """Returns a sentence about what the key lacks; empty if it can be used."""
    try:
        required_recipient(data)
    except BackupFailed as error:
        return str(error)
    return ""


def _read_recipient(data: Path) -> str:
    return str(pyrage.x25519.Recipient.from_str((data / RECIPIENT).read_text().strip()))


def read_identity(file: Path) -> pyrage.x25519.Identity:
    """Reads the secret half from a file as `make backup-key` or ``age-keygen`` prints it; ``#`` begins a comment."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BackupFailed(f"The key file {file} cannot be read: {reason}.") from None
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    try:
        (secret,) = found
        return pyrage.x25519.Identity.from_str(secret)
    except (ValueError, pyrage.IdentityError):
        # Without the error: it may repeat a part of the key.
        raise BackupFailed(
            f"{file} holds no key of a backup: it is the one line AGE-SECRET-KEY-1… that `make backup-key` printed."
        ) from None
