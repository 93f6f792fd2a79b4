"""Puts the data of the one-machine stack into one file, and back.

A backup holds the newest whole generation of MiniStack's state, the stored objects and mails, and the runners'
browser profiles. It may be taken while the stack runs: a generation is never changed once it is there. The profiles
are then as after a power cut, which Chromium survives; stop the stack first where that is not good enough.
"""

import contextlib
import os
import tarfile
from pathlib import Path

from infrastructure.local.emulator.checkpoints import Generation, Generations, Unreadable
from infrastructure.local.preflight import only_one
from infrastructure.local.settings import CannotStart

#: Left out: what is rebuilt by itself, and what belongs to one running process.
_NEVER = {"logs", "lock", "stack.json", "process.json", "SingletonLock", "SingletonCookie", "SingletonSocket"}
_CACHES = {"Cache", "Code Cache", "GPUCache", "DawnGraphiteCache", "DawnWebGPUCache", "GrShaderCache", "ShaderCache"}


def back_up(data: Path, file: Path) -> str:
    """Write ``file``, whole or not at all; what was done, in one sentence."""
    generation = _newest(data)
    unfinished = file.with_name(f"{file.name}.unfinished-{os.getpid()}")
    state = data / "ministack" / "generations"
    try:
        with tarfile.open(unfinished, "w:gz", compresslevel=6) as archive:
            archive.add(generation.directory, arcname=str(generation.directory.relative_to(data)))
            for path in sorted(data.rglob("*")):
                inside = path.relative_to(data)
                if state in path.parents or path == state or not path.is_file() or path.is_symlink():
                    continue
                if _NEVER & set(inside.parts) or _CACHES & set(inside.parts) or path.suffix == ".unfinished":
                    continue
                # A profile's file may vanish while its browser runs.
                with contextlib.suppress(FileNotFoundError):
                    archive.add(path, arcname=str(inside), recursive=False)
        unfinished.chmod(0o600)
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CannotStart(f"The backup could not be written: {error}.") from error
    megabytes = file.stat().st_size / 1e6
    return f"{file}: generation {generation.number}, {megabytes:.1f} MB. It holds secrets: keep it safe."


def restore(data: Path, file: Path) -> str:
    """Unpack ``file`` into a data directory that is empty or not there; what was done, in one sentence."""
    if not file.is_file():
        raise CannotStart(f"There is no file {file}.")
    if data.exists() and any(data.iterdir()):
        raise CannotStart(f"{data} is not empty: move it away first, then restore.")
    lock = only_one(data)
    try:
        with tarfile.open(file, "r:gz") as archive:
            archive.extractall(data, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise CannotStart(f"{file} cannot be unpacked: {error}.") from error
    finally:
        os.close(lock)
    generation = _newest(data)
    # Other runners may have worked since the backup: the next start treats it as an unclean stop.
    Generations(data / "ministack" / "generations").forget_clean_stop()
    return f"{data}: restored generation {generation.number}; `make up` starts from it."


def _newest(data: Path) -> Generation:
    state = data / "ministack" / "generations"
    try:
        generation = Generations(state).newest() if state.is_dir() else None
    except Unreadable as error:
        raise CannotStart(f"The state cannot be used: {error}") from error
    if generation is None:
        raise CannotStart(f"{data} holds no state of Answerline.")
    return generation
