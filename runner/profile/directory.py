"""The directory of a tenant's browser profile on this machine: locked, and reused only by the rule below.

``<data directory>/<tenant>/`` holds::

    lock                held with flock while a session lives or its journal is handed in (outbox.py)
    marker.json         {"tenant", "epoch", "linked", "saved"}: the last use of ``current``, whether it was linked, and
                        whether a snapshot has all of it
    current/            Chromium's user data directory
    suspect             exists while ``current`` was written on a disk without room, and not proven since; its length
                        is the number of browsers that were started on it meanwhile
    journal.jsonl       what is to be handed in, and beside it keeper.json (journal.py, journal_owner.py)
    set-aside-epoch-N/  earlier profiles, newest kept, never opened unless nothing better exists
    scratch-N/          an archive being packed or restored; worth nothing once its process is gone

**The rule.** The control plane sends ``last_epoch``: the epoch at which a runner last held the session. If the marker
has the same epoch, no other runner used the account since, and ``current`` is the newest profile. The same is true if
the marker's epoch is higher: epochs only grow, so a control plane that was restored to an earlier checkpoint (whose
epochs then leap) has forgotten that this directory held the session last. If the marker's epoch is lower, another
runner held the session in between: a snapshot, where there is one, is newer, and ``current`` is set aside. Without a
snapshot an old login is still better than none (WhatsApp syncs it again; in the worst case the owner scans again), so
then ``current``, or else the newest profile that was set aside, is used.
"""

import fcntl
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

MAX_SET_ASIDE = 3
CURRENT = "current"
SET_ASIDE = "set-aside-epoch-"
SCRATCH = "scratch-"
#: Below every epoch.
REJECTED = 0


class ProfileBusy(Exception):
    """Another process holds the lock of this profile."""


class OpenedProfile(NamedTuple):
    """The profile that a session starts with."""

    directory: Path
    #: Whether the profile was linked to an account at its last use.
    was_linked: bool


@dataclass(frozen=True, slots=True)
class Marker:
    """The last use of the profile."""

    tenant: str
    epoch: int
    linked: bool = False
    #: The last snapshot was taken after the browser was closed.
    saved: bool = False


class Profile:
    """The profile of one tenant. Its methods, except ``locked``, are called while holding the lock."""

    def __init__(self, data_directory: Path, tenant: str) -> None:
        self.tenant = tenant
        self.home = data_directory / tenant
        self.journal = self.home / "journal.jsonl"
        self._current = self.home / CURRENT
        self._marker = self.home / "marker.json"
        self._suspect = self.home / "suspect"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock of the profile; raises ProfileBusy if another process does."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ProfileBusy("another process works with this profile") from None
            yield
        finally:
            os.close(descriptor)

    def is_newest(self, last_epoch: int | None) -> bool:
        """Returns whether ``current`` is used rather than any snapshot, by the module's rule."""
        marker = self.marker()
        return marker is not None and marker.epoch >= (last_epoch or 0) and self._current.is_dir()

    def open(self, epoch: int) -> OpenedProfile:
        """Opens this machine's profile and marks it with ``epoch``: for a session that uses no snapshot."""
        marker = self.marker()
        linked = marker.linked if marker is not None else False
        if not self._current.is_dir():
            linked = self._take_newest_set_aside()
        self._current.mkdir(mode=0o700, exist_ok=True)
        self._write(Marker(self.tenant, epoch, linked))
        return OpenedProfile(self._current, linked)

    def replace(self, epoch: int, directory: Path, *, keep: bool) -> OpenedProfile:
        """Replaces ``current`` by a copy of a snapshot; ``keep`` sets the old one aside, else it is deleted."""
        marker = self.marker()
        if keep and (marker is None or marker.epoch != REJECTED):
            self.set_aside()
        else:
            self._begin_fresh(self.marker())
        self._current.rmdir()
        directory.rename(self._current)
        self._write(Marker(self.tenant, epoch, linked=True))
        return OpenedProfile(self._current, was_linked=True)

    def new_scratch_path(self) -> Path:
        """Returns a path that does not exist yet, on the disk of the profile."""
        taken = {path.name for path in self.leftover_scratch()}
        number = next(number for number in itertools.count() if f"{SCRATCH}{number}" not in taken)
        return self.home / f"{SCRATCH}{number}"

    def leftover_scratch(self) -> list[Path]:
        """Returns the scratch paths that an earlier process left."""
        return list(self.home.glob(f"{SCRATCH}*"))

    def clear_scratch(self) -> None:
        """Deletes all scratch paths."""
        for path in self.leftover_scratch():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def reject(self) -> None:
        """Lets every snapshot count as newer than ``current``, which is then deleted: it takes too much of the disk."""
        marker = self.marker()
        self._mark(Marker(self.tenant, REJECTED, marker is not None and marker.linked))

    def mark_linked(self, epoch: int) -> None:
        """Marks the profile as linked."""
        marker = self.marker() or Marker(self.tenant, epoch)
        if not marker.linked:
            self._mark(replace(marker, linked=True))

    def mark_saved(self) -> None:
        """Records that a snapshot has everything that the closed browser left."""
        marker = self.marker()
        if marker is not None:
            self._mark(replace(marker, saved=True))

    def discard(self) -> list[Path]:
        """Forgets the profile and all earlier ones; returns the directories that are to be deleted, under other names.

        Renaming takes no time, so that a session that comes back need not wait.
        """
        discarded = []
        for each in [self._current, *self._set_aside()]:
            if each.is_dir():
                discarded.append(each.rename(self.new_scratch_path()))
        for file in (self._marker, self._suspect, self.journal):
            file.unlink(missing_ok=True)
        return discarded

    @property
    def is_suspect(self) -> bool:
        """Returns whether Chromium may have given up the databases in ``current`` while its page goes on in memory."""
        return self._suspect.exists()

    def mark_suspect(self) -> None:
        """Marks ``current`` as used on a disk without room; an empty file needs next to none itself."""
        self._suspect.touch(mode=0o600)

    @property
    def suspect_openings(self) -> int:
        """Returns how many browsers were started on a suspect ``current``; none came online since."""
        return self._suspect.stat().st_size if self.is_suspect else 0

    def count_suspect_opening(self) -> None:
        """Counts a browser that is started on a suspect ``current``."""
        with suppress(OSError), self._suspect.open("ab") as mark:
            mark.write(b".")

    def clear_suspect(self) -> None:
        """Records that a browser that was started on ``current`` came online with it."""
        self._suspect.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Keeps ``current`` under another name and begins a fresh one; deletes the oldest beyond a few."""
        marker = self.marker()
        if self._current.is_dir() and marker is not None and marker.linked:
            kept = self.home / f"{SET_ASIDE}{marker.epoch}"
            shutil.rmtree(kept, ignore_errors=True)
            self._current.rename(kept)
            for old in self._set_aside()[MAX_SET_ASIDE:]:
                shutil.rmtree(old)
        self._begin_fresh(marker)

    def wipe(self) -> None:
        """Deletes the login for good: only after the phone or WhatsApp really ended it."""
        self._begin_fresh(self.marker())

    def _begin_fresh(self, marker: Marker | None) -> None:
        # An empty directory, not none: the next `open` must not fall back to an older login.
        if self._current.is_dir():
            shutil.rmtree(self._current)
        self._current.mkdir(parents=True, mode=0o700)
        self.clear_suspect()
        self._write(Marker(self.tenant, marker.epoch if marker else 0))

    def marker(self) -> Marker | None:
        """Returns the last use of the profile; an unreadable marker counts as none."""
        try:
            seen = json.loads(self._marker.read_text(encoding="utf-8"))
            linked, saved = bool(seen.get("linked", False)), bool(seen.get("saved", False))
            marker = Marker(str(seen["tenant"]), int(seen["epoch"]), linked, saved)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return marker if marker.tenant == self.tenant else None

    def _take_newest_set_aside(self) -> bool:
        kept = self._set_aside()
        if not kept:
            return False
        kept[0].rename(self._current)
        return True

    def _set_aside(self) -> list[Path]:
        """Returns the profiles that were set aside, newest first."""
        found = [each for each in self.home.glob(f"{SET_ASIDE}*") if each.name.removeprefix(SET_ASIDE).isdigit()]
        return sorted(found, key=lambda each: int(each.name.removeprefix(SET_ASIDE)), reverse=True)

    def _mark(self, marker: Marker) -> None:
        """Changes what is noted of a profile in use: without it the line goes on, also on a full disk."""
        with suppress(OSError):
            self._write(marker)

    def _write(self, marker: Marker) -> None:
        new = self._marker.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(asdict(marker), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._marker)
