"""Stands for `systemctl` where systemd does not run this machine: runs the unit's ExecStart in the unit's environment.

The installed unit is read as systemd reads it: only what stands in it, and what systemd itself sets, is in the
environment; secrets are files of a directory; a start waits for READY=1; a stop signals the first process alone.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

ETC = Path(os.environ["SERVICE_ETC"])
RUN = ETC / "run"
#: What systemd gives a service by itself.
OWN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "INVOCATION_ID": "0" * 32}


def directives(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (ETC / "systemd" / "system" / f"{name}.service").read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value.replace("%%", "%"))
    return found


def environment(unit: dict[str, list[str]]) -> dict[str, str]:
    pairs = [word for value in unit["Environment"] for word in shlex.split(value)]
    for file in unit["EnvironmentFile"]:
        lines = [line for line in Path(file).read_text().splitlines() if line and not line.startswith("#")]
        pairs += [re.sub(r'^(\w+)="(.*)"$', r"\1=\2", line) for line in lines]
    return {**OWN, **dict(pair.split("=", 1) for pair in pairs)}


def credentials(unit: dict[str, list[str]]) -> str:
    directory = RUN / "credentials"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)
    for value in unit["LoadCredential"]:
        name, _, path = value.partition(":")
        shutil.copyfile(path, directory / name)
        (directory / name).chmod(0o400)
    return str(directory)


def start(name: str) -> int:
    unit = directives(name)
    RUN.mkdir(exist_ok=True)
    (RUN / "notify").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, (RUN / "journal").open("ab") as journal:
        notified.bind(str(RUN / "notify"))
        notified.settimeout(0.2)
        given = {
            **environment(unit),
            "CREDENTIALS_DIRECTORY": credentials(unit),
            "NOTIFY_SOCKET": str(RUN / "notify"),
        }
        process = subprocess.Popen(
            shlex.split(unit["ExecStart"][0]),
            cwd=unit["WorkingDirectory"][0],
            env=given,
            umask=int(unit["UMask"][0], 8),
            stdin=subprocess.DEVNULL,
            stdout=journal,
            stderr=journal,
            start_new_session=True,
        )
        (RUN / "pid").write_text(str(process.pid))
        deadline = time.monotonic() + int(unit["TimeoutStartSec"][0])
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if notified.recv(100) == b"READY=1":
                    return 0
            except TimeoutError:
                continue
    print(f"Job for {name}.service failed: {(RUN / 'journal').read_text()[-500:]}", file=sys.stderr)
    return 1


def stop(name: str) -> int:
    if (process := running()) is None:
        return 0
    family = process.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    gone, alive = psutil.wait_procs([process], timeout=int(directives(name)["TimeoutStopSec"][0]))
    for left in [*alive, *family]:
        if left.is_running():
            left.kill()
    (RUN / "stopped").write_text("in order" if gone else "killed")
    return 0


def running() -> psutil.Process | None:
    try:
        process = psutil.Process(int((RUN / "pid").read_text()))
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def main(arguments: list[str]) -> int:
    verb, *rest = [argument for argument in arguments if argument != "--quiet"]
    name = rest[-1] if rest else ""
    match verb:
        case "daemon-reload" | "enable":
            return 0
        case "is-system-running":
            print(os.environ.get("SYSTEM_STATE", "running"))
            return 0
        case "disable":
            return stop(name)
        case "is-active":
            return 0 if running() else 3
        case "start":
            return 0 if running() else start(name)
        case "stop":
            return stop(name)
        case "restart":
            return stop(name) or start(name)
        case _:
            print(f"Unknown command verb {verb}.", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
