"""Keeps checkpoints: the last few whole copies of a state on disk, each in a directory that appears in one rename."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: The number of checkpoints that stay; older ones are removed once a newer one is whole.
CHECKPOINTS_KEPT = 3

_MANIFEST = "manifest.json"
_CLEAN_STOP = "clean-stop"


class CheckpointUnreadable(Exception):
    """A checkpoint does not parse, or differs from the bytes that were written."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole copy of the state: a directory with files, and the manifest with the digest of each."""

    number: int
    directory: Path

    def check(self) -> None:
        """Compares every file with its digest; raises :class:`CheckpointUnreadable` with the first that differs."""
        try:
            files: dict[str, str] = json.loads((self.directory / _MANIFEST).read_text())["files"]
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointUnreadable(f"{_MANIFEST}: {error}") from error
        for name, digest in files.items():
            try:
                content = (self.directory / name).read_bytes()
                json.loads(content)
            except (OSError, ValueError) as error:
                raise CheckpointUnreadable(f"{name}: {error}") from error
            if hashlib.sha256(content).hexdigest() != digest:
                raise CheckpointUnreadable(f"{name}: it parses, but its digest differs")


class Checkpoints:
    """A directory of checkpoints, and the marker file of a clean stop."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def all(self) -> list[Checkpoint]:
        """Lists every checkpoint, newest first."""
        found = [
            Checkpoint(int(entry.name), entry)
            for entry in self.directory.iterdir()
            if entry.name.isdigit() and entry.is_dir()
        ]
        return sorted(found, key=lambda checkpoint: checkpoint.number, reverse=True)

    def newest(self) -> Checkpoint | None:
        """Returns the newest checkpoint after checking it; ``None`` on the very first start.

        Raises :class:`CheckpointUnreadable`, which says how the operator recovers. An automatic fallback would bring
        old epochs back to life without the operator's knowledge.
        """
        existing = self.all()
        if not existing:
            return None
        try:
            existing[0].check()
        except CheckpointUnreadable as error:
            raise CheckpointUnreadable(
                f"checkpoint {existing[0].number} does not parse ({error}). {self._recovery_advice()}"
            ) from error
        return existing[0]

    def _recovery_advice(self) -> str:
        for older in self.all()[1:]:
            try:
                older.check()
            except CheckpointUnreadable:
                continue
            return (
                f"Checkpoint {older.number} is whole: `make up GENERATION={older.number}` continues from it and "
                "keeps the newer one aside."
            )
        return "No older one is whole either: restore a backup with `make restore FILE=…`."

    def roll_back_to(self, number: int) -> None:
        """Sets every newer checkpoint aside, so that ``number`` is the newest."""
        chosen = [checkpoint for checkpoint in self.all() if checkpoint.number == number]
        if not chosen:
            known = ", ".join(str(checkpoint.number) for checkpoint in self.all()) or "none"
            raise CheckpointUnreadable(f"there is no checkpoint {number}; there are: {known}")
        chosen[0].check()
        for newer in self.all():
            if newer.number > number:
                newer.directory.rename(self.directory / f"aside-{newer.number}")
                self.clear_clean_stop()

    def write(self, fill: Callable[[Path], None]) -> Checkpoint:
        """Lets ``fill`` write files into a fresh directory, and makes it the newest checkpoint atomically."""
        self._remove_unfinished()
        number = max([checkpoint.number for checkpoint in self.all()] + self._numbers_set_aside(), default=0) + 1
        unfinished = self.directory / f"unfinished-{os.getpid()}"
        unfinished.mkdir()
        fill(unfinished)
        digests: dict[str, str] = {}
        for path in sorted(unfinished.iterdir()):
            digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
            _flush(path)
        manifest = unfinished / _MANIFEST
        manifest.write_text(json.dumps({"files": digests}, indent=1))
        _flush(manifest)
        _flush(unfinished)
        directory = self.directory / f"{number:012d}"
        unfinished.rename(directory)
        _flush(self.directory)
        for old in self.all()[CHECKPOINTS_KEPT:]:
            shutil.rmtree(old.directory, ignore_errors=True)
        return Checkpoint(number, directory)

    def _remove_unfinished(self) -> None:
        for leftover in self.directory.glob("unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _numbers_set_aside(self) -> list[int]:
        return [int(entry.name.removeprefix("aside-")) for entry in self.directory.glob("aside-*")]

    # -- the marker of a clean stop -----------------------------------------------------------------------------

    def stopped_cleanly(self) -> bool:
        """Returns whether the newest checkpoint holds every write that was ever acknowledged."""
        return (self.directory / _CLEAN_STOP).exists() or not self.all()

    def mark_clean_stop(self) -> None:
        """Records that nothing was acknowledged after the newest checkpoint."""
        marker = self.directory / _CLEAN_STOP
        marker.touch()
        _flush(marker)
        _flush(self.directory)

    def clear_clean_stop(self) -> None:
        """Removes the marker: from now on, an end without a last checkpoint is an unclean stop."""
        (self.directory / _CLEAN_STOP).unlink(missing_ok=True)
        _flush(self.directory)


def _flush(path: Path) -> None:
    """Syncs a file or directory to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
