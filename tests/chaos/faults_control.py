"""What can go wrong with the control plane, the store behind it the disks; and the deck that all are drawn from."""

import contextlib
import errno
import mmap
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.chaos import faults
from tests.chaos.faults import Fault
from tests.chaos.faulty_door import FaultyDoor, Mood
from tests.chaos.scene import Happening, Scene

#: One trouble of the control plane at a time; what matters is how long it lasts.
CONTROL = "control plane"
OUTAGE_SECONDS = (5.0, 60.0)
STORE = "store"
FILL_STEP_BYTES = 1 << 28


# -- the control plane ------------------------------------------------------------------------------------------


def freeze_control(scene: Scene) -> Happening | None:
    """SIGSTOP of its process for 5 to 60 s: calls are taken and never answered, no queue moves."""
    try:
        process = psutil.Process(scene.stack.pids["functions"])
        process.suspend()
    except (KeyError, psutil.Error):
        return None
    return _outage(scene, "control plane frozen", lambda: _resume(process))


def kill_control(scene: Scene) -> Happening | None:
    """SIGKILL of its process, amid whatever it does; it is started again, as by a deploy."""
    try:
        psutil.Process(scene.stack.pids["functions"]).kill()
    except (KeyError, psutil.Error):
        return None
    return Happening("control plane restarted", "functions", scene.everybody)


def control_dead(scene: Scene) -> Happening:
    """Runners cannot reach it for 5 to 60 s; its own workers go on."""
    scene.control.set(scene.chance.choice((Mood.DEAD, Mood.REFUSING, Mood.SILENT)))
    return _outage(scene, "control plane unreachable", lambda: scene.control.set(Mood.FINE))


def control_slow(scene: Scene) -> Happening:
    """Each call takes some seconds more."""
    return _door(scene, scene.control, Mood.SLOW, "control plane slow", CONTROL)


def control_half(scene: Scene) -> Happening:
    """A quarter of the calls is refused, a quarter is done and not answered."""
    return _door(scene, scene.control, Mood.HALF, "control plane half-failing", CONTROL)


def _outage(scene: Scene, kind: str, undo: Callable[[], None]) -> Happening:
    return Happening(kind, "all", scene.everybody, scene.chance.uniform(*OUTAGE_SECONDS), undo, family=CONTROL)


def _door(scene: Scene, door: FaultyDoor, mood: Mood, kind: str, family: str) -> Happening:
    door.set(mood)
    hit = scene.everybody if family == CONTROL else frozenset[str]()
    lasts = scene.chance.uniform(10, 30)
    return Happening(kind, "all", hit, lasts, lambda: door.set(Mood.FINE), family=family)


def _resume(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.resume()


# -- snapshots and disks ----------------------------------------------------------------------------------------


def store_fails(scene: Scene) -> Happening:
    """S3 refuses, resets, loses answers or takes its time."""
    mood = scene.chance.choice((Mood.REFUSING, Mood.HALF, Mood.DEAD, Mood.SLOW))
    return _door(scene, scene.store, mood, "S3 fails", STORE)


def corrupt_newest(scene: Scene) -> Happening | None:
    """The newest snapshot of one line is damaged in the store, and its runner is lost with its disk."""
    line = scene.chance.choice(scene.lines)
    generations = scene.services.sessions.get(line.tenant).snapshots
    if len(generations) < 2:
        return None
    slot = next((browser.slot for browser in scene.browsers() if browser.tenant == line.tenant), None)
    if slot is None or slot not in scene.runners() or not faults.may_lose(scene, slot):
        return None
    s3, bucket = scene.stack.client("s3"), scene.stack.environment["BUCKET_NAME"]
    content = s3.get_object(Bucket=bucket, Key=generations[0].key)["Body"].read()
    damage = {
        "bit": content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 1])
        + content[len(content) // 2 + 1 :],
        "half": content[: len(content) // 2],
        "zeros": bytes(len(content)),
    }
    name = scene.chance.choice(sorted(damage))
    s3.put_object(Bucket=bucket, Key=generations[0].key, Body=damage[name])
    process = psutil.Process(scene.runners()[slot])
    hit = scene.hosted_in(slot)
    faults.lose(scene, slot, process)
    return Happening("snapshot corrupted, disk lost", f"{line.tenant} ({name}) in {slot}", hit, hard_kill=True)


def fill_disk(scene: Scene) -> Happening | None:
    """No byte is left on one runner's disk for 10 to 25 s."""
    if not scene.small_disks:
        return None
    slot = scene.chance.choice(scene.small_disks)
    filler = scene.stack.settings.data / "runners" / slot / "filler"
    with contextlib.suppress(OSError):
        _fill(filler)
    return Happening(
        "disk full",
        slot,
        scene.hosted_in(slot),
        scene.chance.uniform(10, 25),
        lambda: filler.unlink(missing_ok=True),
        family="disk",
    )


def _fill(path: Path) -> None:
    """To the last page; allocating is quicker than writing."""
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


# -- the deck ---------------------------------------------------------------------------------------------------

#: How often each kind comes in a hundred or so.
WEIGHTS: dict[Fault, int] = {
    faults.kill_runner: 10,
    faults.kill_runner_with_its_disk: 5,
    faults.drain_runner: 10,
    faults.freeze_runner: 10,
    faults.kill_browser: 14,
    faults.kill_renderer: 10,
    faults.freeze_renderer: 5,
    faults.replace_stream: 5,
    faults.drop_socket: 3,
    faults.cut_next_send: 3,
    faults.withhold_acks: 3,
    faults.deliver_twice: 2,
    faults.fail_model: 4,
    faults.slow_model: 2,
    freeze_control: 3,
    kill_control: 5,
    control_dead: 3,
    control_slow: 3,
    control_half: 3,
    store_fails: 5,
    corrupt_newest: 5,
    fill_disk: 5,
}


def deck(chance: random.Random) -> Iterator[Fault]:
    """Each kind once, then each as often as it weighs; and so on for ever."""
    while True:
        once = list(WEIGHTS)
        chance.shuffle(once)
        yield from once
        rest = [fault for fault, weight in WEIGHTS.items() for _ in range(weight - 1)]
        chance.shuffle(rest)
        yield from rest


#: Kinds of which two never overlap, by the family their happenings name.
_FAMILIES: dict[Fault, str] = {
    freeze_control: CONTROL,
    kill_control: CONTROL,
    control_dead: CONTROL,
    control_slow: CONTROL,
    control_half: CONTROL,
    store_fails: STORE,
    fill_disk: "disk",
    faults.drop_socket: "refuse_websocket",
    faults.withhold_acks: "withhold_acks",
    faults.deliver_twice: "duplicate_delivery",
    faults.slow_model: "model",
}


def family(fault: Fault) -> str:
    """Empty for those that may come at any time."""
    return _FAMILIES.get(fault, "")
