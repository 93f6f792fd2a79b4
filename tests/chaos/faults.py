"""What can go wrong with processes, lines and WhatsApp: each draws its victim, strikes, and says how to undo it."""

import contextlib
import shutil
from collections.abc import Callable

import httpx
import psutil

from infrastructure.local.lambda_runtime.events import STAGE
from tests.chaos.processes import renderers
from tests.chaos.scene import Happening, Scene

#: None: there is nobody to strike just now.
Fault = Callable[[Scene], Happening | None]

PROCESS_ENDS_WITHIN_SECONDS = 5.0
REPLACED_AT_MOST = 2


# -- runners ----------------------------------------------------------------------------------------------------


def kill_runner(scene: Scene) -> Happening | None:
    """SIGKILL; the disk stays, as after a crash of the process."""
    return _kill_runner(scene, "SIGKILL runner", lose_disk=False)


def kill_runner_with_its_disk(scene: Scene) -> Happening | None:
    """SIGKILL, and its disk is gone, as when a container is lost."""
    return _kill_runner(scene, "SIGKILL runner, disk lost", lose_disk=True)


def _kill_runner(scene: Scene, kind: str, *, lose_disk: bool) -> Happening | None:
    slot, process = _some_runner(scene)
    if process is None or (lose_disk and not may_lose(scene, slot)):
        return None
    hit = scene.hosted_in(slot)
    if lose_disk:
        lose(scene, slot, process)
    else:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return Happening(kind, slot, hit, hard_kill=True)


def may_lose(scene: Scene, slot: str) -> bool:
    """Not while the control plane is away, nor from a runner that hangs: what came in meanwhile is on that disk alone,
    or in browsers that nobody read, and nobody promises it."""
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


def lose(scene: Scene, slot: str, process: psutil.Process) -> None:
    """A runner and all it wrote: the next one in its slot finds nothing."""
    directory = scene.stack.settings.data / "runners" / slot
    aside = directory.with_name(f"lost-{process.pid}")
    with contextlib.suppress(psutil.Error, OSError):
        process.kill()
        process.wait(PROCESS_ENDS_WITHIN_SECONDS)
        directory.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def drain_runner(scene: Scene) -> Happening | None:
    """SIGTERM, as before a deploy."""
    slot, process = _some_runner(scene)
    if process is None:
        return None
    hit = scene.hosted_in(slot)
    process.terminate()
    return Happening("SIGTERM runner", slot, hit)


def freeze_runner(scene: Scene) -> Happening | None:
    """SIGSTOP for 2 to 20 s."""
    slot, process = _some_runner(scene)
    if process is None:
        return None
    process.suspend()
    lasts = scene.chance.uniform(2, 20)
    return Happening(
        "SIGSTOP runner", slot, scene.hosted_in(slot), lasts, lambda: _resume(process), family=f"freeze {slot}"
    )


def _some_runner(scene: Scene) -> tuple[str, psutil.Process | None]:
    runners = scene.runners()
    if not runners:
        return "", None
    slot = scene.chance.choice(sorted(runners))
    scene.keep_log(slot)
    try:
        return slot, psutil.Process(runners[slot])
    except psutil.NoSuchProcess:
        return slot, None


# -- browsers ---------------------------------------------------------------------------------------------------


def kill_browser(scene: Scene) -> Happening | None:
    """SIGKILL of a whole Chromium."""
    found = scene.browsers()
    if not found:
        return None
    browser = scene.chance.choice(found)
    with contextlib.suppress(psutil.Error):
        browser.process.kill()
    return Happening("SIGKILL browser", browser.tenant, frozenset({browser.tenant}))


def kill_renderer(scene: Scene) -> Happening | None:
    """SIGKILL of the page's process: "Aw, snap"."""
    tenant, process = _some_renderer(scene)
    if process is None:
        return None
    with contextlib.suppress(psutil.Error):
        process.kill()
    return Happening("SIGKILL renderer", tenant, frozenset({tenant}))


def freeze_renderer(scene: Scene) -> Happening | None:
    """SIGSTOP of the page's process for 5 to 40 s."""
    tenant, process = _some_renderer(scene)
    if process is None:
        return None
    with contextlib.suppress(psutil.Error):
        process.suspend()
    lasts = scene.chance.uniform(5, 40)
    return Happening("SIGSTOP renderer", tenant, frozenset({tenant}), lasts, lambda: _resume(process))


def _some_renderer(scene: Scene) -> tuple[str, psutil.Process | None]:
    found = scene.browsers()
    if not found:
        return "", None
    browser = scene.chance.choice(found)
    pages = renderers(browser)
    return browser.tenant, scene.chance.choice(pages) if pages else None


def _resume(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.resume()


# -- WhatsApp ---------------------------------------------------------------------------------------------------


def replace_stream(scene: Scene) -> Happening | None:
    """WhatsApp is opened in another window; seldom enough that the line may take its login back (3 times an hour)."""
    rested = [line for line in scene.lines if scene.replaced[line.tenant] < REPLACED_AT_MOST]
    if not rested:
        return None
    line = scene.chance.choice(rested)
    scene.replaced[line.tenant] += 1
    scene.phone(line).conflict()
    return Happening("replaced stream", line.tenant, frozenset({line.tenant}))


def drop_socket(scene: Scene) -> Happening:
    """The page loses its line to WhatsApp, and cannot have it back for some seconds."""
    line = scene.chance.choice(scene.lines)
    scene.whatsapp.set(refuse_websocket=True)
    scene.phone(line).drop()
    return Happening(
        "socket dropped",
        line.tenant,
        frozenset({line.tenant}),
        scene.chance.uniform(1, 8),
        lambda: scene.whatsapp.set(refuse_websocket=False),
        family="refuse_websocket",
    )


def cut_next_send(scene: Scene) -> Happening:
    """The line is cut while a reply is sent, before or after WhatsApp has it."""
    line = scene.chance.choice(scene.lines)
    scene.phone(line).drop_next_send(after_taking=scene.chance.random() < 0.5)
    return Happening("cut while sending", line.tenant, frozenset({line.tenant}))


def withhold_acks(scene: Scene) -> Happening:
    """WhatsApp takes replies and does not say so."""
    return _switch(scene, "acks withheld", "withhold_acks", scene.chance.uniform(5, 20))


def deliver_twice(scene: Scene) -> Happening:
    """WhatsApp delivers every message twice."""
    return _switch(scene, "delivered twice", "duplicate_delivery", scene.chance.uniform(10, 30))


def _switch(scene: Scene, kind: str, name: str, lasts: float) -> Happening:
    scene.whatsapp.set(**{name: True})
    return Happening(kind, "all", frozenset(), lasts, lambda: scene.whatsapp.set(**{name: False}), family=name)


# -- the model --------------------------------------------------------------------------------------------------


def fail_model(scene: Scene) -> Happening:
    """OpenAI answers a burst of calls with 429 and 5xx, or not at all."""
    for name in scene.chance.choices(
        ("server_error", "server_is_overloaded", "rate_limit_requests", "slow_down", "bad_gateway", "connection_reset"),
        k=6,
    ):
        scene.openai.post("/control/faults", json={"key": "*", "fault": name, "times": 1}).raise_for_status()
    return Happening("OpenAI fails", "six calls")


def slow_model(scene: Scene) -> Happening:
    """OpenAI takes four to nine seconds for each answer."""
    _delay(scene, scene.chance.randrange(4000, 9000))
    return Happening(
        "OpenAI slow",
        "all",
        lasts=scene.chance.uniform(10, 25),
        undo=lambda: _delay(scene, USUAL_DELAY_MS),
        family="model",
    )


#: How long the model thinks on a good day.
USUAL_DELAY_MS = 300


def _delay(scene: Scene, milliseconds: int) -> None:
    scene.openai.post("/control/delay", json={"delay_ms": milliseconds}).raise_for_status()
