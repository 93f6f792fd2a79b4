"""The rights of a command on a data directory: it acts as the account that the data belong to.

A store that root starts on the data of a service would write files that the service can no longer read. So a command
that root starts gives its rights away for as long as it works on the data, and takes them back at the end. What the
person named on the command line (a key, a file for an export) is opened with that person's rights.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from infrastructure.checkout import REPOSITORY
from infrastructure.local.backup.places import NAMED_FILES, named_file
from infrastructure.local.service.account import Account, give, holder_of

#: The variables that name a user's own files to the programs that a command starts.
_NAMES_A_USER = ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK")


@contextmanager
def as_holder(data: Path, made_for: Account | None = None) -> Iterator[None]:
    """Runs the block as the account that ``data`` belongs to; before and after, everything in it is that account's.

    Only root can change to another account: for anybody else, and where the data are root's own or not there yet,
    nothing changes. An account that cannot read this checkout or its Python could run nothing: then the block runs as
    root, and what it wrote is given away at its end.

    Args:
        made_for: the account for which a missing directory is made; without one it stays missing.
    """
    if os.geteuid() == 0 and made_for is not None and not data.exists():
        data.mkdir(parents=True, mode=0o700)
        give(data, made_for)
    if os.geteuid() != 0 or not data.is_dir() or (holder := holder_of(data)).uid == 0:
        yield
        return
    give(data, holder)
    try:
        with _rights_of(holder, home=holder.home if holder.home.is_dir() else data):
            yield
    finally:
        give(data, holder)


@contextmanager
def as_caller() -> Iterator[None]:
    """Runs the block with the rights of the person who started the command, for files that the person named.

    Nothing changes outside of :func:`as_holder`.
    """
    user, group = os.geteuid(), os.getegid()
    if sys.platform != "linux" or os.getresuid()[2] == user:
        yield
        return
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(group)
        os.seteuid(user)


@contextmanager
def lent(environment: Mapping[str, str], data: Path) -> Iterator[dict[str, str]]:
    """Yields the environment with copies of the files that its settings name, which the data's account can read.

    As systemd does with credentials: only root reads the originals, and the copies are gone at the end.
    """
    named = {name: file for name in NAMED_FILES if (file := named_file(name, environment)) is not None}
    if not named or os.geteuid() != 0 or not data.is_dir() or (holder := holder_of(data)).uid == 0:
        yield dict(environment)
        return
    directory = Path(tempfile.mkdtemp(prefix="answerline-"))
    try:
        lending = dict(environment)
        for name, file in named.items():
            if file.is_file():  # a missing one is said where it is used
                lending[name] = str(shutil.copyfile(file, directory / name))
                (directory / name).chmod(0o400)
        give(directory, holder)
        yield lending
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _rights_of(account: Account, home: Path) -> Iterator[None]:
    names = {name: os.environ.get(name) for name in _NAMES_A_USER}
    taken = list[Callable[[], object]]()
    try:
        _give_away(account, taken)
        if not _can_run():
            _take_back(taken)
        if taken:
            for name in _NAMES_A_USER:
                os.environ.pop(name, None)
            os.environ |= {"HOME": str(home), "USER": account.name, "LOGNAME": account.name}
        yield
    finally:
        _take_back(taken)
        for name, value in names.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _give_away(account: Account, taken: list[Callable[[], object]]) -> None:
    """Acts as the account from now on; notes in ``taken`` how each right comes back."""
    if sys.platform != "linux":
        return
    groups = os.getgroups()
    try:
        os.setgroups(_groups_of(account))
        taken.append(partial(os.setgroups, groups))
        # Root stays the saved user of this process alone: a program that it starts cannot become root again.
        os.setresgid(account.gid, account.gid, 0)
        taken.append(partial(os.setresgid, 0, 0, 0))
        os.setresuid(account.uid, account.uid, 0)
        taken.append(partial(os.setresuid, 0, 0, 0))
    except PermissionError:  # a container without the right to change its user
        _take_back(taken)


def _can_run() -> bool:
    """Returns whether this user reads what a command needs: the checkout, and the Python that runs it."""
    needed = (REPOSITORY / "infrastructure", Path(os.__file__).parent, Path(sys.executable))
    return all(os.access(path, os.R_OK | os.X_OK) for path in needed)


def _take_back(taken: list[Callable[[], object]]) -> None:
    while taken:
        taken.pop()()


def _groups_of(account: Account) -> list[int]:
    try:
        return os.getgrouplist(account.name, account.gid)
    except (KeyError, OSError):  # an account without a name
        return [account.gid]
