"""How long a browser stands still for a snapshot, and what is written, beside a plain copy of the same profile.

The profile has LevelDB's shape: tables of 2 MB that are complete, and a few files that change. It is copied while a
process is frozen as a browser is, and then packed. The plain copy, which writes every byte, is the baseline.
"""

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from runner.browser.process_freeze import MAX_FREEZE_SECONDS, freeze
from runner.profile.archive import pack
from runner.profile.manifest import Manifest
from runner.profile.staged_copy import COMPLETE_AFTER, StagedCopy, copy_profile

MEGABYTES = (40, 200, 1_000)
RUNS = 5
#: The longest freeze of the largest profile.
FREEZE_MS_AT_MOST = 300.0
TABLE_BYTES = 2 << 20
#: What a database changes all the time: its log, and the names of its tables.
LOG_BYTES = 3 << 20
DATABASE = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"


class Cost(NamedTuple):
    """The cost of one copy: of the freeze in milliseconds, and of the copy on the disk in bytes."""

    frozen_ms: float
    copied_bytes: int


def make_profile(directory: Path, megabytes: int) -> Path:
    """Writes a profile of this size; half of each table is random, as texts and pictures compress about so."""
    database = directory / DATABASE
    database.mkdir(parents=True)
    chance = random.Random(megabytes)
    for number in range(megabytes * 1_000_000 // TABLE_BYTES):
        (database / f"{number:06d}.ldb").write_bytes(chance.randbytes(TABLE_BYTES // 2) + bytes(TABLE_BYTES // 2))
    (database / "999999.log").write_bytes(chance.randbytes(LOG_BYTES))
    (database / "MANIFEST-000001").write_bytes(chance.randbytes(100_000))
    (database / "CURRENT").write_text("MANIFEST-000001\n")
    return directory


@contextmanager
def frozen_process() -> Iterator[psutil.Process]:
    """A process to freeze."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]) as child:
        try:
            yield psutil.Process(child.pid)
        finally:
            child.kill()


def snapshot(profile: Path, process: psutil.Process, target: Path) -> tuple[Cost, StagedCopy]:
    """Freezes and stages a copy, as the runner does."""
    target.mkdir()
    began = time.monotonic()
    with freeze([process]) as frozen:
        copy = copy_profile(profile, target, lambda: frozen.still, frozen_at_ms=time.time_ns() // 1_000_000)
    return Cost((time.monotonic() - began) * 1000, copy.copied_bytes), copy


def plain_copy(profile: Path, target: Path) -> Cost:
    """Copies every byte."""
    began = time.monotonic()
    shutil.copytree(profile, target)
    copied_bytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Cost((time.monotonic() - began) * 1000, copied_bytes)


def measure(megabytes: int, directory: Path) -> float:
    """Prints one line; returns the median freeze in milliseconds."""
    profile = make_profile(directory / "profile", megabytes)
    time.sleep(COMPLETE_AFTER.total_seconds() + 1)
    costs, plain, archive_bytes = [], [], 0
    with frozen_process() as process:
        for number in range(RUNS):
            cost, copy = snapshot(profile, process, directory / f"staged-{number}")
            costs.append(cost)
            if number == 0:
                manifest = Manifest(tenant="tenant00001", epoch=1, sequence=1, chromium="156.0", files=copy.files)
                staged, archive = directory / "staged-0", directory / "archive"
                archive_bytes = pack(staged, manifest, archive, linked=copy.linked).size_bytes
                archive.unlink()
            shutil.rmtree(directory / f"staged-{number}")
            plain.append(plain_copy(profile, directory / "plain"))
            shutil.rmtree(directory / "plain")
    frozen_ms = statistics.median(each.frozen_ms for each in costs)
    plain_ms = statistics.median(each.frozen_ms for each in plain)
    written = (costs[0].copied_bytes + archive_bytes) / 1e6
    print(
        f"snapshot of {megabytes} MB: {frozen_ms:.0f} ms frozen, {costs[0].copied_bytes / 1e6:.1f} MB copied; with the "
        f"archive {written:.0f} MB written; a plain copy: {plain_ms:.0f} ms, {plain[0].copied_bytes / 1e6:.0f} MB "
        f"({MAX_FREEZE_SECONDS:.0f} s are the limit)",
        flush=True,
    )
    return frozen_ms


def main() -> int:
    """Returns the exit code: 0 if the largest profile is frozen for no longer than it may be."""
    frozen_ms = 0.0
    for megabytes in MEGABYTES:
        with tempfile.TemporaryDirectory(prefix="snapshots-") as name:
            frozen_ms = measure(megabytes, Path(name))
    return 0 if frozen_ms <= FREEZE_MS_AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
