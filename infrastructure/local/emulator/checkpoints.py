"""Keeps the last few whole copies of a state on disk, each in a directory of its own that appears in one rename."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: How many generations stay; older ones are removed once a newer one is whole.
KEPT = 3

_MANIFEST = "manifest.json"
_CLEAN_STOP = "clean-stop"


class Unreadable(Exception):
    """The newest generation does not parse."""


@dataclass(frozen=True)
class Generation:
    """One whole copy: a directory with files and the manifest that names and digests them."""

    number: int
    directory: Path

    def check(self) -> None:
        """Raise :class:`Unreadable`, naming the first file that is not as it was written."""
        try:
            files: dict[str, str] = json.loads((self.directory / _MANIFEST).read_text())["files"]
        except (OSError, ValueError, KeyError) as error:
            raise Unreadable(f"{_MANIFEST}: {error}") from error
        for name, digest in files.items():
            try:
                content = (self.directory / name).read_bytes()
                json.loads(content)
            except (OSError, ValueError) as error:
                raise Unreadable(f"{name}: {error}") from error
            if hashlib.sha256(content).hexdigest() != digest:
                raise Unreadable(f"{name}: it parses, but it is not what was written")


class Generations:
    """A directory of generations, and the mark that the last stop was clean."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def all(self) -> list[Generation]:
        """Every generation, newest first."""
        found = [
            Generation(int(entry.name), entry)
            for entry in self.directory.iterdir()
            if entry.name.isdigit() and entry.is_dir()
        ]
        return sorted(found, key=lambda generation: generation.number, reverse=True)

    def newest(self) -> Generation | None:
        """The newest generation, checked; ``None`` on the very first start.

        Raises :class:`Unreadable` with the way out. Falling back by itself would bring old epochs back to life
        without anybody knowing.
        """
        existing = self.all()
        if not existing:
            return None
        try:
            existing[0].check()
        except Unreadable as error:
            raise Unreadable(f"generation {existing[0].number} does not parse ({error}). {self._way_out()}") from error
        return existing[0]

    def _way_out(self) -> str:
        for older in self.all()[1:]:
            try:
                older.check()
            except Unreadable:
                continue
            return (
                f"Generation {older.number} is whole: `make up GENERATION={older.number}` continues from it and "
                "keeps the newer one aside."
            )
        return "No older one is whole either: restore a backup with `make restore FILE=…`."

    def go_back_to(self, number: int) -> None:
        """Set every newer generation aside, so that ``number`` is the newest."""
        chosen = [generation for generation in self.all() if generation.number == number]
        if not chosen:
            known = ", ".join(str(generation.number) for generation in self.all()) or "none"
            raise Unreadable(f"there is no generation {number}; there are: {known}")
        chosen[0].check()
        for newer in self.all():
            if newer.number > number:
                newer.directory.rename(self.directory / f"aside-{newer.number}")
                self.forget_clean_stop()

    def write(self, fill: Callable[[Path], None]) -> Generation:
        """Let ``fill`` write files into a fresh directory and make it the newest generation, or nothing at all."""
        self._sweep()
        number = max([generation.number for generation in self.all()] + self._aside(), default=0) + 1
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
        for old in self.all()[KEPT:]:
            shutil.rmtree(old.directory, ignore_errors=True)
        return Generation(number, directory)

    def _sweep(self) -> None:
        for leftover in self.directory.glob("unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _aside(self) -> list[int]:
        return [int(entry.name.removeprefix("aside-")) for entry in self.directory.glob("aside-*")]

    # -- the mark of a clean stop -------------------------------------------------------------------------------

    def stopped_cleanly(self) -> bool:
        """Whether the newest generation holds everything that was ever acknowledged."""
        return (self.directory / _CLEAN_STOP).exists() or not self.all()

    def mark_clean_stop(self) -> None:
        """Nothing was acknowledged after the newest generation."""
        mark = self.directory / _CLEAN_STOP
        mark.touch()
        _flush(mark)
        _flush(self.directory)

    def forget_clean_stop(self) -> None:
        """From now on, ending without a last generation is an unclean stop."""
        (self.directory / _CLEAN_STOP).unlink(missing_ok=True)
        _flush(self.directory)


def _flush(path: Path) -> None:
    """Have the disk write it, not only the cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
