"""Faults of processes, lines and WhatsApp: each draws its target, is injected, and returns how to revert it."""

import contextlib
import shutil
from collections.abc import Callable

import httpx
import psutil

from infrastructure.local.lambda_runtime.events import STAGE
from tests.chaos.processes import renderers
from tests.chaos.scene import Injection, Scene

#: None: there is no target at this moment.
Fault = Callable[[Scene], Injection | None]

PROCESS_ENDS_WITHIN_SECONDS = 5.0
MAX_REPLACEMENTS = 2
#: As heavy as a big account is: the profile of one line, and each page's work before its modules are there.
BIG_PROFILE_MEBIBYTES = 600
BOOT_WORK = 4_000


# -- runners ----------------------------------------------------------------------------------------------------


def kill_runner(scene: Scene) -> Injection | None:
    """Sends SIGKILL; the disk stays, as after a crash of the process."""
    return _kill_runner(scene, "SIGKILL runner", lose_disk=False)


def kill_runner_with_its_disk(scene: Scene) -> Injection | None:
    """Sends SIGKILL and removes the disk, as when a container is lost."""
    return _kill_runner(scene, "SIGKILL runner, disk lost", lose_disk=True)


def _kill_runner(scene: Scene, kind: str, *, lose_disk: bool) -> Injection | None:
    slot, process = _some_runner(scene)
    if process is None or (lose_disk and not may_lose_disk(scene, slot)):
        return None
    affected = scene.hosted_in(slot)
    if lose_disk:
        kill_with_disk(scene, slot, process)
    else:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return Injection(kind, slot, affected, hard_kill=True)


def may_lose_disk(scene: Scene, slot: str) -> bool:
    """Returns whether the runner's disk may be removed.

    While the control plane is unreachable or the runner hangs, new messages are on that disk alone, or in browsers that
    the runner did not read: their loss is no error of ours.
    """
    try:
        if psutil.Process(scene.runners()[slot]).status() == psutil.STATUS_STOPPED:
            return False
    except (KeyError, psutil.Error):
        return False
    try:
        answers = httpx.get(f"{scene.control.url}/{STAGE}/health", timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        answers = False
    return answers and slot not in scene.small_disks


def kill_with_disk(scene: Scene, slot: str, process: psutil.Process) -> None:
    """Kills a runner and removes its data: the next runner in the slot starts with an empty directory."""
    directory = scene.stack.settings.data / "runners" / slot
    aside = directory.with_name(f"lost-{process.pid}")
    with contextlib.suppress(psutil.Error, OSError):
        process.kill()
        process.wait(PROCESS_ENDS_WITHIN_SECONDS)
        directory.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def drain_runner(scene: Scene) -> Injection | None:
    """Sends SIGTERM, as before a deployment."""
    slot, process = _some_runner(scene)
    if process is None:
        return None
    affected = scene.hosted_in(slot)
    process.terminate()
    return Injection("SIGTERM runner", slot, affected)


def freeze_runner(scene: Scene) -> Injection | None:
    """Stops the process with SIGSTOP for 2 to 20 s."""
    slot, process = _some_runner(scene)
    if process is None:
        return None
    process.suspend()
    duration_seconds = scene.rng.uniform(2, 20)
    return Injection(
        "SIGSTOP runner",
        slot,
        scene.hosted_in(slot),
        duration_seconds,
        lambda: _resume(process),
        exclusive_group=f"freeze {slot}",
    )


def _some_runner(scene: Scene) -> tuple[str, psutil.Process | None]:
    runners = scene.runners()
    if not runners:
        return "", None
    slot = scene.rng.choice(sorted(runners))
    scene.keep_log(slot)
    try:
        return slot, psutil.Process(runners[slot])
    except psutil.NoSuchProcess:
        return slot, None


# -- browsers ---------------------------------------------------------------------------------------------------


def kill_browser(scene: Scene) -> Injection | None:
    """Sends SIGKILL to a whole Chromium."""
    found = scene.browsers()
    if not found:
        return None
    browser = scene.rng.choice(found)
    with contextlib.suppress(psutil.Error):
        browser.process.kill()
    return Injection("SIGKILL browser", browser.tenant, frozenset({browser.tenant}))


def kill_renderer(scene: Scene) -> Injection | None:
    """Sends SIGKILL to the page's process: "Aw, snap"."""
    tenant, process = _some_renderer(scene)
    if process is None:
        return None
    with contextlib.suppress(psutil.Error):
        process.kill()
    return Injection("SIGKILL renderer", tenant, frozenset({tenant}))


def freeze_renderer(scene: Scene) -> Injection | None:
    """Stops the page's process with SIGSTOP for 5 to 40 s."""
    tenant, process = _some_renderer(scene)
    if process is None:
        return None
    with contextlib.suppress(psutil.Error):
        process.suspend()
    duration_seconds = scene.rng.uniform(5, 40)
    return Injection("SIGSTOP renderer", tenant, frozenset({tenant}), duration_seconds, lambda: _resume(process))


def boot_slowly(scene: Scene) -> Injection | None:
    """Kills all browsers at once, while each page that starts works for seconds: a storm of slow starts."""
    found = scene.browsers()
    if not found:
        return None
    scene.whatsapp.set(boot_work=BOOT_WORK)
    for browser in found:
        with contextlib.suppress(psutil.Error):
            browser.process.kill()
    return Injection(
        "slow boots of all",
        "all",
        scene.all_tenants,
        scene.rng.uniform(60, 90),
        lambda: scene.whatsapp.set(boot_work=0),
        exclusive_group="boot_work",
    )


def _some_renderer(scene: Scene) -> tuple[str, psutil.Process | None]:
    found = scene.browsers()
    if not found:
        return "", None
    browser = scene.rng.choice(found)
    pages = renderers(browser)
    return browser.tenant, scene.rng.choice(pages) if pages else None


def _resume(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.resume()


# -- WhatsApp ---------------------------------------------------------------------------------------------------


def replace_stream(scene: Scene) -> Injection | None:
    """Opens WhatsApp in another window, rarely enough that the line may take its login back (3 times an hour)."""
    rested = [line for line in scene.lines if scene.replaced[line.tenant] < MAX_REPLACEMENTS]
    if not rested:
        return None
    line = scene.rng.choice(rested)
    scene.replaced[line.tenant] += 1
    scene.phone(line).conflict()
    return Injection("replaced stream", line.tenant, frozenset({line.tenant}))


def drop_socket(scene: Scene) -> Injection:
    """Drops the page's connection to WhatsApp, and refuses a new one for some seconds."""
    line = scene.rng.choice(scene.lines)
    scene.whatsapp.set(refuse_websocket=True)
    scene.phone(line).drop()
    return Injection(
        "socket dropped",
        line.tenant,
        frozenset({line.tenant}),
        scene.rng.uniform(1, 8),
        lambda: scene.whatsapp.set(refuse_websocket=False),
        exclusive_group="refuse_websocket",
    )


def grow_profile(scene: Scene) -> Injection | None:
    """Lets one line become a big account: its page stores some hundred megabytes; once in a run."""
    if scene.big_profile is not None:
        return None
    line = scene.rng.choice(scene.lines)
    scene.big_profile = line.tenant
    scene.phone(line).hoard(BIG_PROFILE_MEBIBYTES)
    return Injection(f"profile of {BIG_PROFILE_MEBIBYTES} MB", line.tenant, frozenset({line.tenant}))


def cut_next_send(scene: Scene) -> Injection:
    """Cuts the connection while a reply is sent, before or after WhatsApp accepted it."""
    line = scene.rng.choice(scene.lines)
    scene.phone(line).drop_next_send(after_taking=scene.rng.random() < 0.5)
    return Injection("cut while sending", line.tenant, frozenset({line.tenant}))


def withhold_acks(scene: Scene) -> Injection:
    """Withholds WhatsApp's acknowledgements of replies."""
    return _switch(scene, "acks withheld", "withhold_acks", scene.rng.uniform(5, 20))


def deliver_twice(scene: Scene) -> Injection:
    """Delivers every message twice."""
    return _switch(scene, "delivered twice", "duplicate_delivery", scene.rng.uniform(10, 30))


def _switch(scene: Scene, kind: str, name: str, duration_seconds: float) -> Injection:
    scene.whatsapp.set(**{name: True})
    return Injection(
        kind, "all", frozenset(), duration_seconds, lambda: scene.whatsapp.set(**{name: False}), exclusive_group=name
    )


# -- the model --------------------------------------------------------------------------------------------------


def fail_model(scene: Scene) -> Injection:
    """Answers a burst of OpenAI calls with 429 and 5xx, or not at all."""
    for name in scene.rng.choices(
        ("server_error", "server_is_overloaded", "rate_limit_requests", "slow_down", "bad_gateway", "connection_reset"),
        k=6,
    ):
        scene.openai.post("/control/faults", json={"key": "*", "fault": name, "times": 1}).raise_for_status()
    return Injection("OpenAI fails", "six calls")


def slow_model(scene: Scene) -> Injection:
    """Delays each OpenAI answer by four to nine seconds."""
    _delay(scene, scene.rng.randrange(4000, 9000))
    return Injection(
        "OpenAI slow",
        "all",
        duration_seconds=scene.rng.uniform(10, 25),
        revert=lambda: _delay(scene, USUAL_DELAY_MS),
        exclusive_group="model",
    )


#: The usual delay of an OpenAI answer.
USUAL_DELAY_MS = 300


def _delay(scene: Scene, milliseconds: int) -> None:
    scene.openai.post("/control/delay", json={"delay_ms": milliseconds}).raise_for_status()
