"""Faults of the stores: the table and MiniStack are killed, frozen, or find their disk full."""

import contextlib

import psutil

from tests.chaos.scene import Injection, Scene
from tests.chaos.small_disks import fill

#: Two faults of the stores never overlap.
STORES = "stores"
FREEZE_SECONDS = (2.0, 15.0)
FULL_SECONDS = (5.0, 20.0)


def kill_table(scene: Scene) -> Injection | None:
    """Sends SIGKILL to the table's server and to dynoxide; the stack starts them again."""
    return _kill(scene, "table")


def kill_ministack(scene: Scene) -> Injection | None:
    """Sends SIGKILL to MiniStack; its queue is lost."""
    return _kill(scene, "ministack")


def freeze_table(scene: Scene) -> Injection | None:
    """Stops dynoxide with SIGSTOP: requests wait."""
    return _freeze(scene, "table")


def freeze_ministack(scene: Scene) -> Injection | None:
    """Stops MiniStack with SIGSTOP: no key is decrypted, no queue answers, nothing is stored."""
    return _freeze(scene, "ministack")


def fill_table(scene: Scene) -> Injection | None:
    """Fills the table's disk to the last byte: nothing can be written, and nothing acknowledged may be lost."""
    if not scene.has_small_table:
        return None
    filler = scene.stack.settings.data / "table" / "filler"
    with contextlib.suppress(OSError):
        fill(filler)
    duration_seconds = scene.rng.uniform(*FULL_SECONDS)
    return Injection(
        "disk of the table full",
        "all",
        scene.all_tenants,
        duration_seconds,
        lambda: filler.unlink(missing_ok=True),
        exclusive_group=STORES,
    )


#: All of them.
FAULTS = (kill_table, kill_ministack, freeze_table, freeze_ministack, fill_table)


def _kill(scene: Scene, name: str) -> Injection | None:
    tree = _tree(scene, name)
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return Injection(f"SIGKILL {name}", "all", scene.all_tenants) if tree else None


def _freeze(scene: Scene, name: str) -> Injection | None:
    tree = _tree(scene, name)
    if not tree:
        return None
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.suspend()

    def resume() -> None:
        for process in tree:
            with contextlib.suppress(psutil.Error):
                process.resume()

    duration_seconds = scene.rng.uniform(*FREEZE_SECONDS)
    return Injection(f"SIGSTOP {name}", "all", scene.all_tenants, duration_seconds, resume, exclusive_group=STORES)


def _tree(scene: Scene, name: str) -> list[psutil.Process]:
    """Returns the process and its children; empty if it is just being started."""
    try:
        process = psutil.Process(scene.stack.pids[name])
        return [process, *process.children(recursive=True)]
    except (KeyError, psutil.Error):
        return []
