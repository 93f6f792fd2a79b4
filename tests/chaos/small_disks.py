"""Small disks of their own for parts of the stack, which can be full without harm to others."""

import contextlib
import errno
import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

FILL_STEP_BYTES = 1 << 28
#: The memory that must be available: a full disk uses it.
MEMORY_FOR_IT_BYTES = 8 << 30
MOUNT_TIMEOUT_SECONDS = 10


@contextlib.contextmanager
def mounted(directory: Path, mebibytes: int) -> Iterator[bool]:
    """Mounts a disk in memory, which takes only what is written; yields whether it could (it needs root)."""
    directory.mkdir(parents=True)
    if psutil.virtual_memory().available < MEMORY_FOR_IT_BYTES:
        yield False
        return
    options = f"size={mebibytes}m,mode=700"
    is_mounted = _run("mount", "-t", "tmpfs", "-o", options, "answerline-chaos", str(directory))
    try:
        yield is_mounted
    finally:
        if is_mounted:
            _run("umount", "-l", str(directory))


def _run(*command: str) -> bool:
    try:
        ended = subprocess.run(command, capture_output=True, timeout=MOUNT_TIMEOUT_SECONDS, check=False)
    except OSError:
        return False
    return ended.returncode == 0


def fill(path: Path) -> None:
    """Fills the disk to the last page; allocating is faster than writing."""
    with path.open("wb", buffering=0) as file:
        step, size = FILL_STEP_BYTES, 0
        while step >= mmap.PAGESIZE:
            try:
                os.posix_fallocate(file.fileno(), size, step)
                size += step
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise
                step //= 4
