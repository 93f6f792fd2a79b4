"""Backs up the data of the one-machine stack into one file, and restores it.

A backup holds the newest whole checkpoint of MiniStack's state, the stored objects and mails, and the runners'
browser profiles. It may be taken while the stack runs: a checkpoint never changes. The profiles are then as after
a power cut, which Chromium survives; stop the stack first if that is not good enough.
"""

import contextlib
import os
import tarfile
from pathlib import Path

from infrastructure.local.emulator.checkpoints import Checkpoint, Checkpoints, CheckpointUnreadable
from infrastructure.local.preflight import lock_data_directory
from infrastructure.local.settings import CannotStart

#: Excluded: files that belong to one running process.
_EXCLUDED = {"logs", "lock", "stack.json", "process.json", "SingletonLock", "SingletonCookie", "SingletonSocket"}
#: Excluded: Chromium rebuilds its caches.
_CACHES = {"Cache", "Code Cache", "GPUCache", "DawnGraphiteCache", "DawnWebGPUCache", "GrShaderCache", "ShaderCache"}


def back_up(data: Path, file: Path) -> str:
    """Writes ``file`` atomically; returns a sentence for the operator."""
    checkpoint = _newest_checkpoint(data)
    unfinished = file.with_name(f"{file.name}.unfinished-{os.getpid()}")
    state = data / "ministack" / "generations"
    try:
        with tarfile.open(unfinished, "w:gz", compresslevel=6) as archive:
            archive.add(checkpoint.directory, arcname=str(checkpoint.directory.relative_to(data)))
            for path in sorted(data.rglob("*")):
                inside = path.relative_to(data)
                if state in path.parents or path == state or not path.is_file() or path.is_symlink():
                    continue
                if _EXCLUDED & set(inside.parts) or _CACHES & set(inside.parts) or path.suffix == ".unfinished":
                    continue
                # A profile's file may disappear while its browser runs.
                with contextlib.suppress(FileNotFoundError):
                    archive.add(path, arcname=str(inside), recursive=False)
        unfinished.chmod(0o600)
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CannotStart(f"The backup could not be written: {error}.") from error
    megabytes = file.stat().st_size / 1e6
    return f"{file}: checkpoint {checkpoint.number}, {megabytes:.1f} MB. It holds secrets: keep it safe."


def restore(data: Path, file: Path) -> str:
    """Unpacks ``file`` into a data directory that is empty or missing; returns a sentence for the operator."""
    if not file.is_file():
        raise CannotStart(f"There is no file {file}.")
    if data.exists() and any(data.iterdir()):
        raise CannotStart(f"{data} is not empty: move it away first, then restore.")
    lock = lock_data_directory(data)
    try:
        with tarfile.open(file, "r:gz") as archive:
            archive.extractall(data, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise CannotStart(f"{file} cannot be unpacked: {error}.") from error
    finally:
        os.close(lock)
    checkpoint = _newest_checkpoint(data)
    # Other runners may have worked since the backup: the next start treats it as an unclean stop.
    Checkpoints(data / "ministack" / "generations").clear_clean_stop()
    return f"{data}: restored checkpoint {checkpoint.number}; `make up` starts from it."


def _newest_checkpoint(data: Path) -> Checkpoint:
    state = data / "ministack" / "generations"
    try:
        checkpoint = Checkpoints(state).newest() if state.is_dir() else None
    except CheckpointUnreadable as error:
        raise CannotStart(f"The state cannot be used: {error}") from error
    if checkpoint is None:
        raise CannotStart(f"{data} holds no state of Answerline.")
    return checkpoint
