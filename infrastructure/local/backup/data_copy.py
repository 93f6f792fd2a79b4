"""A copy of one machine's data while it runs, in the order in which what the copy names is in it.

1. *Journals* of the runners, before the table: a message leaves its journal once the table has it. So it is in the copy
   of one of them; in both, it counts once (its id is the same).
2. *The table*, at one instant.
3. *MiniStack's state*: keys, operators, parameters, the desired number of runners. What the table needs of it (the KMS
   key of a ciphertext) is older than the table's item, and never removed.
4. *Objects*: a snapshot is stored before the table names it, and deleted a day after the table named it last. A copy is
   checked all the same: a name without its object makes it worthless.
5. *Mails*, and after them the marks of those that the mail server took: a mail is sent twice rather than never, and
   only one that was under way.
6. *Browser profiles* of those lines only that are linked and have no snapshot yet, as after a power cut, which Chromium
   survives. For all others the snapshot serves.

Logs, locks, process ids, the sockets and caches of browsers and the profiles of all other lines stay out.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.key import RECIPIENT
from infrastructure.local.backup.manifest import Manifest, describe
from infrastructure.local.backup.table_copy import SavedLine, check_table, copy_table, saved_lines
from runner.messages.journal_owner import OWNER_FILE
from runner.profile.directory import CURRENT, Profile

TABLE: Final = Path("table") / "answerline.db"
STATE: Final = Path("ministack") / "state"
OBJECTS: Final = Path("ministack") / "s3"
OUTBOX: Final = Path("ministack") / "outbox"
RUNNERS: Final = Path("runners")
#: Which installation the backups belong to.
INSTALLATION: Final = Path("backup") / "installation"
#: Single files: the first operator's password, the simulated phones, and the name and key of later backups.
_SINGLE: Final = (Path("operator.json"), Path("whatsapp.json"), INSTALLATION, RECIPIENT)
#: A journal, and beside it the permission to hand its messages in.
_OF_JOURNALS: Final = ("journal.jsonl", OWNER_FILE)
#: The queue of a clean stop: after a restore, what was not looked at is found again by the reconciler.
_NOT_OF_STATE: Final = frozenset({"sqs.json"})
#: Files of a browser that belong to its process, and caches that it makes again.
_NOT_OF_PROFILES: Final = frozenset(
    {"SingletonLock", "SingletonCookie", "SingletonSocket", "lockfile"}
    | {"Cache", "Code Cache", "GPUCache", "DawnGraphiteCache", "DawnWebGPUCache", "GrShaderCache", "ShaderCache"}
)
#: Endings of files that are not whole yet.
_UNFINISHED: Final = (".tmp", ".unfinished", ".new")


def copy_data(data: Path, target: Path, *, stack: str, commit: str, now_ms: Callable[[], int]) -> Manifest:
    """Copies the data into an empty directory, with its manifest, and checks the copy. Raises :class:`BackupFailed`."""
    copy = _Copy(data, target)
    taken_at = now_ms()
    copy.files(path for name in _OF_JOURNALS for path in (data / RUNNERS).glob(f"*/*/{name}"))
    (target / TABLE).parent.mkdir(mode=0o700)
    copy_table(data / TABLE, target / TABLE)
    copy.files(path for path in (data / STATE).glob("*.json") if path.name not in _NOT_OF_STATE)
    copy.immutable(_below(data / OBJECTS))
    copy.immutable(sorted((data / OUTBOX).glob("*.json")))
    copy.files(_below(data / OUTBOX))
    copy.files(data / each for each in _SINGLE)
    lines = saved_lines(target / TABLE, stack)
    for line in lines:
        if line.linked and not line.snapshots:
            copy.files(_profile(data, line.tenant))
    manifest = describe(target, commit=commit, taken_at=taken_at)
    manifest.write(target)
    check_table(target / TABLE)
    check_snapshots(manifest, lines)
    return manifest


def check_snapshots(manifest: Manifest, lines: Iterable[SavedLine]) -> None:
    """Raises :class:`BackupFailed` unless each snapshot that the table names is there, with the digest in its name."""
    objects = f"{OBJECTS.as_posix()}/"
    stored = {
        path.removeprefix(objects).split("/", 2)[-1]: digest
        for path, digest in manifest.files.items()
        if path.startswith(objects)
    }
    for key in (key for line in lines for key in line.snapshots):
        if key not in stored:
            raise BackupFailed(f"The copy lacks a snapshot that the table names: {key}.")
        if stored[key].sha256 not in key:
            raise BackupFailed(f"A stored snapshot is damaged: {key}. Its line saves the next one within minutes.")


def _below(directory: Path) -> Iterator[Path]:
    """Yields every file below a directory, by name; other programs may make and remove some meanwhile."""
    for folder, folders, files in os.walk(directory):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(files))


def _profile(data: Path, tenant: str) -> Iterator[Path]:
    """Yields the files of a tenant's newest profile on this disk."""
    slots = [slot for slot in (data / RUNNERS).glob("*") if (slot / tenant / CURRENT).is_dir()]
    used = [(marker.epoch, slot) for slot in slots if (marker := Profile(slot, tenant).marker()) is not None]
    for _, slot in sorted(used, reverse=True)[:1]:
        yield slot / tenant / "marker.json"
        yield from (path for path in _below(slot / tenant / CURRENT) if not _NOT_OF_PROFILES & set(path.parts))


class _Copy:
    """Files copied under the same path; one that is gone meanwhile is left out."""

    def __init__(self, data: Path, target: Path) -> None:
        self._data = data
        self._target = target

    def files(self, sources: Iterable[Path]) -> None:
        """Copies files that may change or be replaced later."""
        for source in sources:
            target = self._place_of(source)
            if target is not None:
                with suppress(FileNotFoundError):
                    shutil.copyfile(source, target)
                    target.chmod(0o600)

    def immutable(self, sources: Iterable[Path]) -> None:
        """Links files that are only ever replaced as a whole: the copy takes no room on this disk."""
        for source in sources:
            target = self._place_of(source)
            if target is not None:
                with suppress(FileNotFoundError):
                    try:
                        target.hardlink_to(source)
                    except FileNotFoundError:
                        raise
                    except OSError:  # a disk without links
                        shutil.copyfile(source, target)

    def _place_of(self, source: Path) -> Path | None:
        """Returns where a file goes; None for one that is there, is unfinished, or is no file."""
        target = self._target / source.relative_to(self._data)
        if source.name.endswith(_UNFINISHED) or source.is_symlink() or not source.is_file() or target.exists():
            return None
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return target
