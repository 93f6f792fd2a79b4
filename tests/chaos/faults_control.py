"""Faults of the control plane, of the store behind it and of the disks; and the deck that all faults are drawn from."""

import contextlib
import random
from collections.abc import Callable, Iterator

import psutil

from tests.chaos import faults
from tests.chaos import faults_stores as stores
from tests.chaos.faults import Fault
from tests.chaos.faults_mail import MAIL, mail_fails
from tests.chaos.faulty_proxy import FaultMode, FaultyProxy, ProxyPart
from tests.chaos.scene import Injection, Scene
from tests.chaos.small_disks import fill

#: Two faults of the control plane never overlap; their duration is what matters.
CONTROL = "control plane"
OUTAGE_SECONDS = (5.0, 60.0)
OBJECTS = "objects"


# -- the control plane ------------------------------------------------------------------------------------------


def freeze_control(scene: Scene) -> Injection | None:
    """Stops its process with SIGSTOP for 5 to 60 s: calls are accepted and never answered, no queue is read."""
    try:
        process = psutil.Process(scene.stack.pids["functions"])
        process.suspend()
    except (KeyError, psutil.Error):
        return None
    return _outage(scene, "control plane frozen", lambda: _resume(process))


def kill_control(scene: Scene) -> Injection | None:
    """Sends SIGKILL to its process at any moment; the stack restarts it, as a deployment does."""
    try:
        psutil.Process(scene.stack.pids["functions"]).kill()
    except (KeyError, psutil.Error):
        return None
    return Injection("control plane restarted", "functions", scene.all_tenants)


def control_dead(scene: Scene) -> Injection:
    """Makes it unreachable for runners for 5 to 60 s; its own workers go on."""
    scene.control.set(scene.rng.choice((FaultMode.DEAD, FaultMode.REFUSING, FaultMode.SILENT)))
    return _outage(scene, "control plane unreachable", lambda: scene.control.set(FaultMode.FINE))


def control_slow(scene: Scene) -> Injection:
    """Delays each call by some seconds."""
    return _proxy_fault(scene, scene.control, FaultMode.SLOW, "control plane slow", CONTROL)


def control_half(scene: Scene) -> Injection:
    """Refuses a quarter of the calls, and loses the answers of another quarter."""
    return _proxy_fault(scene, scene.control, FaultMode.HALF, "control plane half-failing", CONTROL)


def _outage(scene: Scene, kind: str, revert: Callable[[], None]) -> Injection:
    return Injection(
        kind, "all", scene.all_tenants, scene.rng.uniform(*OUTAGE_SECONDS), revert, exclusive_group=CONTROL
    )


def _proxy_fault(
    scene: Scene, proxy: FaultyProxy | ProxyPart, mode: FaultMode, kind: str, exclusive_group: str
) -> Injection:
    proxy.set(mode)
    affected = scene.all_tenants if exclusive_group == CONTROL else frozenset[str]()
    duration_seconds = scene.rng.uniform(10, 30)
    return Injection(
        kind, "all", affected, duration_seconds, lambda: proxy.set(FaultMode.FINE), exclusive_group=exclusive_group
    )


def _resume(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.resume()


# -- snapshots and disks ----------------------------------------------------------------------------------------


def objects_fail(scene: Scene) -> Injection:
    """Makes S3 refuse, reset or delay the runners' calls, or lose answers."""
    mode = scene.rng.choice((FaultMode.REFUSING, FaultMode.HALF, FaultMode.DEAD, FaultMode.SLOW))
    return _proxy_fault(scene, scene.objects, mode, "S3 fails", OBJECTS)


def corrupt_newest(scene: Scene) -> Injection | None:
    """Damages the newest snapshot of one line in the store, and kills its runner with its disk."""
    line = scene.rng.choice(scene.lines)
    snapshots = scene.services.sessions.get(line.tenant).snapshots
    if len(snapshots) < 2:
        return None
    slot = next((browser.slot for browser in scene.browsers() if browser.tenant == line.tenant), None)
    if slot is None or slot not in scene.runners() or not faults.may_lose_disk(scene, slot):
        return None
    s3, bucket = scene.stack.client("s3"), scene.stack.environment["BUCKET_NAME"]
    content = s3.get_object(Bucket=bucket, Key=snapshots[0].key)["Body"].read()
    damage = {
        "bit": content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 1])
        + content[len(content) // 2 + 1 :],
        "half": content[: len(content) // 2],
        "zeros": bytes(len(content)),
    }
    name = scene.rng.choice(sorted(damage))
    s3.put_object(Bucket=bucket, Key=snapshots[0].key, Body=damage[name])
    process = psutil.Process(scene.runners()[slot])
    affected = scene.hosted_in(slot)
    faults.kill_with_disk(scene, slot, process)
    return Injection("snapshot corrupted, disk lost", f"{line.tenant} ({name}) in {slot}", affected, hard_kill=True)


def fill_disk(scene: Scene) -> Injection | None:
    """Fills one runner's disk to the last byte for 10 to 25 s."""
    if not scene.small_disks:
        return None
    slot = scene.rng.choice(scene.small_disks)
    filler = scene.stack.settings.data / "runners" / slot / "filler"
    with contextlib.suppress(OSError):
        fill(filler)
    return Injection(
        "disk full",
        slot,
        scene.hosted_in(slot),
        scene.rng.uniform(10, 25),
        lambda: filler.unlink(missing_ok=True),
        exclusive_group="disk",
    )


# -- the deck ---------------------------------------------------------------------------------------------------

#: The number of each kind in a deck of about a hundred.
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
    faults.boot_slowly: 2,
    faults.grow_profile: 1,
    faults.fail_model: 4,
    faults.slow_model: 2,
    freeze_control: 3,
    kill_control: 5,
    control_dead: 3,
    control_slow: 3,
    control_half: 3,
    objects_fail: 5,
    corrupt_newest: 5,
    fill_disk: 5,
    mail_fails: 5,
    stores.kill_table: 4,
    stores.freeze_table: 2,
    stores.kill_ministack: 3,
    stores.freeze_ministack: 2,
    stores.fill_table: 3,
}


def deck(rng: random.Random) -> Iterator[Fault]:
    """Yields each kind once, then each as often as its weight, and repeats that for ever."""
    while True:
        once = list(WEIGHTS)
        rng.shuffle(once)
        yield from once
        rest = [fault for fault, weight in WEIGHTS.items() for _ in range(weight - 1)]
        rng.shuffle(rest)
        yield from rest


#: The kinds of which two never overlap, by the group that their injections name.
_EXCLUSIVE_GROUPS: dict[Fault, str] = {
    freeze_control: CONTROL,
    kill_control: CONTROL,
    control_dead: CONTROL,
    control_slow: CONTROL,
    control_half: CONTROL,
    objects_fail: OBJECTS,
    fill_disk: "disk",
    mail_fails: MAIL,
    **dict.fromkeys(stores.FAULTS, stores.STORES),
    faults.drop_socket: "refuse_websocket",
    faults.withhold_acks: "withhold_acks",
    faults.deliver_twice: "duplicate_delivery",
    faults.boot_slowly: "boot_work",
    faults.slow_model: "model",
}

#: The kinds that read or write the stores themselves; while these fail they would wait, and nothing were reverted.
NEED_STORES: frozenset[Fault] = frozenset({corrupt_newest, mail_fails})


def exclusive_group(fault: Fault) -> str:
    """Returns the fault's group; empty for a fault that may come at any time."""
    return _EXCLUSIVE_GROUPS.get(fault, "")
