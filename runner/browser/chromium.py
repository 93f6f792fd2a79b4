"""Chromium as a program: its path, its version, its flags and its processes."""

import asyncio
import contextlib
import re
import shutil
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from runner.profile.manifest import MAX_UNPACKED_BYTES

#: A process of a browser.
Process = psutil.Process
VERSION_TIMEOUT_SECONDS = 20.0
#: A killed process is gone within this time, or the kernel holds it.
KILL_TIMEOUT_SECONDS = 5.0
#: What can be fetched again may take this much of the disk that all sessions share.
DISK_CACHE_BYTES = 50_000_000
#: The databases of a page may take as much as a profile that can be saved.
STORAGE_QUOTA_BYTES = MAX_UNPACKED_BYTES
#: The heap that a page's scripts have by default.
HEAP_MB = 512
DEBIAN_NAMES = ("chromium-headless-shell", "chromium")


class ChromiumMissing(Exception):
    """No browser is installed on this machine."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{detail} Install one with `apt-get install chromium-headless-shell`"
            " or `python -m playwright install --only-shell chromium`, or set CHROMIUM to its path."
        )


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser on this machine."""

    path: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]


async def find(configured: Path | None, bundled: Path | None) -> Chromium:
    """Returns the configured browser, else Debian's, else the one that Playwright bundles. Raises ChromiumMissing."""
    if configured is not None and not configured.is_file():
        raise ChromiumMissing(f"CHROMIUM names {configured}, which does not exist.")
    debian = (shutil.which(name) for name in DEBIAN_NAMES)
    candidates = [configured] if configured else [*(Path(path) for path in debian if path), bundled]
    for path in candidates:
        if path is not None and path.is_file():
            return Chromium(path, await _version(path))
    raise ChromiumMissing("No Chromium was found.")


async def _version(path: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(VERSION_TIMEOUT_SECONDS):
            answer, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise ChromiumMissing(f"{path} does not print its version within {VERSION_TIMEOUT_SECONDS:.0f} s.") from None
    found = re.search(rb"\d+(\.\d+){1,3}", answer)
    if found is None:
        raise ChromiumMissing(f"{path} is no Chromium.")
    return found.group().decode()


def user_agent(chromium: Chromium) -> str:
    """Returns the user agent of a windowed Chromium of this version: WhatsApp refuses HeadlessChrome (wa-js #3501)."""
    return (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
        f" Chrome/{chromium.major}.0.0.0 Safari/537.36"
    )


def user_agent_metadata(chromium: Chromium) -> dict[str, object]:
    """Returns the same for ``sec-ch-ua`` and ``navigator.userAgentData``, where headless-shell leaks its name."""
    return {
        "brands": [
            {"brand": "Chromium", "version": chromium.major},
            {"brand": "Not)A;Brand", "version": "24"},
        ],
        "fullVersionList": [
            {"brand": "Chromium", "version": chromium.version},
            {"brand": "Not)A;Brand", "version": "24.0.0.0"},
        ],
        "platform": "Linux",
        "platformVersion": "",
        "architecture": "x86",
        "bitness": "64",
        "model": "",
        "mobile": False,
    }


def arguments(host_rules: str, certificate_spki: str | None, no_sandbox: bool, heap_mb: int = HEAP_MB) -> list[str]:
    """Returns the flags that we add to Playwright's own, each for a measured or documented reason."""
    flags = [
        "--disable-blink-features=AutomationControlled",  # navigator.webdriver
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--in-process-gpu",  # two processes fewer, about 40 MiB (measured here)
        "--enable-features=NetworkServiceInProcess2",  # one less again: with the next, 77 → 57 MiB of anonymous PSS
        "--mute-audio",
        f"--disk-cache-size={DISK_CACHE_BYTES}",
        f"--js-flags=--max-old-space-size={heap_mb} --optimize-for-size",  # about -20 % memory
        # Only the last such flag counts, and an EXCLUDE beats a MAP: one setting holds all the rules.
        f"--host-resolver-rules={host_rules}",
        # A proxy would resolve names itself, past the rules above; the headless shell ignores --no-proxy-server.
        "--proxy-server=direct://",
        # WebRTC asks no resolver: without this a page's STUN reaches any address over UDP, loopback too.
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    ]
    if no_sandbox:
        flags.append("--no-zygote")  # Chromium allows it without the sandbox only; it also closes a second faster
    if certificate_spki:
        flags.append(f"--ignore-certificate-errors-spki-list={certificate_spki}")
    return flags


def page_settings(browser: Chromium, url: str) -> list[tuple[str, dict[str, object]]]:
    """Returns the CDP calls for a new page: its user agent, and the limit of its storage if it has an origin.

    Chromium's own limit is most of the disk; ours lasts as long as the CDP session that sent it.
    """
    agent: dict[str, object] = {"userAgent": user_agent(browser), "userAgentMetadata": user_agent_metadata(browser)}
    calls: list[tuple[str, dict[str, object]]] = [("Emulation.setUserAgentOverride", agent)]
    parts = urlsplit(url)
    if parts.netloc:
        quota: dict[str, object] = {"origin": f"{parts.scheme}://{parts.netloc}", "quotaSize": STORAGE_QUOTA_BYTES}
        calls.append(("Storage.overrideQuotaForOrigin", quota))
    return calls


class CrashCause(StrEnum):
    """The cause of a page's crash, as far as its end shows it."""

    #: The page ended itself, as Chromium does when a page's heap is full (or one of its own checks fails).
    OUT_OF_MEMORY = "out of memory"
    #: The page was killed, as the kernel does when the machine's or the container's memory is full.
    KILLED = "killed"
    #: Anything else.
    CRASHED = "crashed"


def crash_cause(status: str, signal_number: int) -> CrashCause:
    """Returns the cause by the status and the error code of CDP's ``Target.targetCrashed`` (Chromium 156)."""
    if status == "oom" or signal_number == signal.SIGTRAP:
        return CrashCause.OUT_OF_MEMORY
    return CrashCause.KILLED if signal_number == signal.SIGKILL else CrashCause.CRASHED


def child_processes() -> set[psutil.Process]:
    """Returns the running processes that this process started itself."""
    return set(psutil.Process().children())


def is_alive(process: psutil.Process) -> bool:
    """Returns whether a process runs: it is neither gone nor a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def processes_of(profile: Path) -> list[psutil.Process]:
    """Returns the browsers of exactly this profile and their descendants; scans the process table once."""
    mark = f"--user-data-dir={profile}"
    processes = list(psutil.process_iter(["ppid", "cmdline"]))
    found = {each.pid: each for each in processes if mark in (each.info["cmdline"] or ())}
    grown = True
    while grown:
        children = [each for each in processes if each.info["ppid"] in found and each.pid not in found]
        found.update({each.pid: each for each in children})
        grown = bool(children)
    return list(found.values())


def memory_bytes(processes: Sequence[psutil.Process]) -> int:
    """Returns the memory of the processes and their descendants, each shared page counted in parts (PSS)."""
    counted: dict[int, int] = {}
    for root in processes:
        with contextlib.suppress(psutil.Error):
            for process in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    if process.pid not in counted:
                        counted[process.pid] = int(process.memory_full_info().pss)
    return sum(counted.values())


def kill(processes: Iterable[psutil.Process]) -> None:
    """Sends SIGKILL; psutil compares the start time first, so a reused pid is safe."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def kill_trees(processes: Sequence[psutil.Process]) -> None:
    """Kills the processes and their descendants."""
    started: list[psutil.Process] = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            started.extend(process.children(recursive=True))
    kill([*processes, *started])


async def ensure_gone(profile: Path, known: Sequence[psutil.Process]) -> None:
    """Kills the rest of a browser and waits for its end: only then may another browser use the profile."""
    await asyncio.to_thread(_kill_and_wait, profile, known)


def _kill_and_wait(profile: Path, known: Sequence[psutil.Process]) -> None:
    left = [*known, *processes_of(profile)]
    kill(left)
    psutil.wait_procs(left, timeout=KILL_TIMEOUT_SECONDS)


def clear_stale_lock(profile: Path) -> None:
    """Removes a dead browser's lock from its profile. The caller holds our own lock and has killed the browser.

    Chromium refuses a profile locked from another host name, as after a container's restart, and headless-shell
    has no lock at all (both seen with Chromium 156).
    """
    for name in ("SingletonLock", "SingletonCookie", "SingletonSocket"):
        (profile / name).unlink(missing_ok=True)
