"""The account of the service: the checkout's owner, or a system user of its own where that is root."""

import grp
import os
import pwd
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infrastructure.local.settings import CannotStart

#: The system user that is made where the checkout belongs to root.
SYSTEM_USER = "answerline"
#: The limit for one command.
COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    group: str
    uid: int
    gid: int
    home: Path


def holder_of(path: Path) -> Account:
    """Returns the account to which a file or directory belongs."""
    found = path.stat()
    try:
        return _account(pwd.getpwuid(found.st_uid))
    except KeyError:  # one without a name: the file system of a container
        return Account(str(found.st_uid), str(found.st_gid), found.st_uid, found.st_gid, path)


def service_account(checkout: Path, data: Path, chosen: str = "") -> Account:
    """Returns the account under which the service runs; makes the system user if it is missing and needed.

    Args:
        chosen: the name of another one (`SERVICE_USER=…`).
    """
    if chosen:
        try:
            return _account(pwd.getpwnam(chosen))
        except KeyError:
            raise CannotStart(f"SERVICE_USER={chosen}: there is no such user on this machine.") from None
    holder = holder_of(checkout)
    if holder.uid != 0:
        return holder
    try:
        found = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(data)]
        _run([*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER])
        found = pwd.getpwnam(SYSTEM_USER)
    return replace(_account(found), home=data)


def give(path: Path, account: Account) -> None:
    """Gives a file, or a directory and everything in it, to the account; symbolic links are not followed."""
    if os.geteuid() != 0:
        return
    for directory, names, files in os.walk(path, topdown=False):
        for name in (*files, *names):
            _give_one(Path(directory) / name, account)
    _give_one(path, account)


def command_that_gives(data: Path) -> str:
    """Returns the command, for a person, that gives a data directory back to its account as a whole."""
    return f"`sudo chown -R {holder_of(data).name} {data}`"


def _give_one(path: Path, account: Account) -> None:
    try:
        found = path.lstat()
        if (found.st_uid, found.st_gid) != (account.uid, account.gid):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    except FileNotFoundError:
        return  # a running browser removed it


def identity_of(account: Account) -> dict[str, Any]:
    """Returns `subprocess`'s arguments that start a command as the account; only root can change to another."""
    if os.geteuid() != 0 or account.uid == 0:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def run_as(account: Account, command: list[str], environment: dict[str, str], directory: Path) -> str:
    """Runs a command as the account; returns its output. Raises CannotStart with its last line if it fails."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            **identity_of(account),
        )
    except PermissionError:
        raise CannotStart(
            f"The account {account.name} cannot read {directory}, or its Python: put the checkout where it can, such as"
            " /opt/answerline, and install it there with a Python of the system (`make install`)."
        ) from None
    if done.returncode:
        raise CannotStart((done.stderr or done.stdout).strip().rpartition("\n")[2] or f"{command[0]} failed.")
    return str(done.stdout)


def _account(found: pwd.struct_passwd) -> Account:
    try:
        group = grp.getgrgid(found.pw_gid).gr_name
    except KeyError:
        group = str(found.pw_gid)
    return Account(found.pw_name, group, found.pw_uid, found.pw_gid, Path(found.pw_dir))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except OSError as error:
        raise CannotStart(f"{command[0]} cannot be run ({error.strerror}): add the user {SYSTEM_USER} first.") from None
    if done.returncode:
        raise CannotStart(f"{command[0]} failed: {done.stderr.strip().rpartition(chr(10))[2]}")
