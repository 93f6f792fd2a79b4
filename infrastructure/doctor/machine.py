"""The one-machine installation that runs here, from outside and inside: one line per thing, with the mend."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infrastructure.checks import Finding, bad, looked_at, ok, unknown
from infrastructure.deploying import readiness
from infrastructure.deploying.readiness import Health
from infrastructure.doctor import lines as doctor_lines
from infrastructure.doctor.stage import judged
from infrastructure.local import preflight, resources
from infrastructure.local.emulator.checkpoints import Generations
from infrastructure.local.mail import relay, spool
from infrastructure.local.settings import CannotStart, Settings
from runner.disk import ROOM_TO_HOST_BYTES, ROOM_TO_SAVE_BYTES

#: The state is written every five seconds while anything changes, at the least once a minute.
CHECKPOINT_SECONDS = 120.0
#: A mail server that is busy gets this long.
RELAYED_WITHIN_SECONDS = 600.0
AGAIN = "`make up` again"


@dataclass(frozen=True)
class Machine:
    """Whom to examine, and with what."""

    settings: Settings
    commit: str
    wa_js: str
    #: epoch milliseconds
    now: int
    pause: Callable[[float], None]
    look: Callable[[str], Health] = readiness.ask


def examine(machine: Machine) -> list[Finding]:
    """Everything; what needs the running stack only if it runs."""
    settings = machine.settings
    found = [look_at_disk(settings.data), *look_at_browser(settings)]
    running = running_here(settings.data)
    if running is None:
        return [bad(f"nothing runs on {settings.data}", "`make up`, or say which with DATA=…"), *found]
    found.insert(0, ok(f"running on {settings.data} (process {running['pid']})"))
    found += look_at_ports(running["ports"])
    address = str(running["admin"]).removesuffix("/admin")
    found += from_here_and_outside(machine, address)
    found += inside(machine, running)
    found += [look_at_checkpoints(settings.data, machine.now), look_at_outbox(settings.data, machine.now)]
    return found


def running_here(data: Path) -> dict[str, Any] | None:
    """What the stack wrote down about itself, if its process lives."""
    try:
        known = dict(json.loads((data / "stack.json").read_text()))
        return known if psutil.pid_exists(int(known["pid"])) else None
    except (OSError, ValueError, KeyError):
        return None


def look_at_disk(data: Path) -> Finding:
    """Profiles and snapshots need room."""
    there = next((each for each in (data, *data.parents) if each.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    what = f"{free / (1 << 30):.1f} GiB free for {data}"
    if free < ROOM_TO_SAVE_BYTES:
        return bad(what, f"make room: no login is archived below {ROOM_TO_SAVE_BYTES >> 30} GiB")
    if free < ROOM_TO_HOST_BYTES:
        return bad(what, f"make room: no new line is started below {ROOM_TO_HOST_BYTES >> 30} GiB")
    return ok(what)


def look_at_browser(settings: Settings) -> list[Finding]:
    """Chromium and wa-js."""
    found = []
    looks: list[tuple[str, Callable[[], None]]] = [
        ("Chromium is there", lambda: preflight.chromium(settings)),
        ("wa-js is there", preflight.wa_js),
    ]
    for what, look in looks:
        try:
            look()
        except CannotStart as error:
            sentence, _, mend = str(error).partition(": ")
            found.append(bad(sentence.rstrip("."), mend or sentence))
        else:
            found.append(ok(what))
    return found


def look_at_ports(ports: dict[str, int]) -> list[Finding]:
    """Each of the stack's parts takes connections."""
    simulated = {"phone", "whatsapp", "openai"}
    closed = [name for name, port in ports.items() if not _listens(port)]
    needed = [name for name in closed if name not in simulated]
    if needed:
        return [
            bad(f"{name} does not listen on port {ports[name]}", "see data/logs, then `make up` again")
            for name in needed
        ]
    return [ok(f"{len(ports) - len(closed)} ports answer" + (f" ({', '.join(closed)} not started)" if closed else ""))]


def from_here_and_outside(machine: Machine, address: str) -> list[Finding]:
    """The application itself, and the address that owners use if it is another."""
    health = machine.look(address)
    public = str(health.told.get("base_url", address))
    found = judged(public, health, machine.commit, again=AGAIN)
    if public != address and (trouble := machine.look(public).trouble):
        found.append(bad(f"owners cannot reach {public}: {trouble}", "see DNS, certificate and the reverse proxy"))
    return found


def inside(machine: Machine, running: dict[str, Any]) -> list[Finding]:
    """Tenants and runners, and what was kept from other programs of this machine."""
    found: list[Finding] = []
    endpoint = f"http://127.0.0.1:{running['ports']['ministack']}"
    stack = machine.settings.stack

    def lines() -> list[Finding]:
        read = doctor_lines.read(resources.client("dynamodb", endpoint), stack, machine.now, machine.pause)
        found.extend(doctor_lines.look_at_tenants(read))
        found.extend(doctor_lines.look_at_runners(read, commit=machine.commit, wa_js=machine.wa_js, again=AGAIN))
        kms = resources.client("kms", endpoint)
        return looked_at("the key", lambda: doctor_lines.look_at_secrets(kms, f"alias/{stack}", read))

    return [*looked_at("the table", lines), *found]


def look_at_checkpoints(data: Path, now: int) -> Finding:
    """What a power cut would leave."""
    newest = Generations(data / "ministack" / "generations").newest()
    if newest is None:
        return bad("the state was never written down", "see data/logs/ministack.log")
    age = now / 1000 - newest.directory.stat().st_mtime
    what = f"the state was written down {age:.0f} s ago"
    return ok(what) if age < CHECKPOINT_SECONDS else unknown(what, "it is written when something changes")


def look_at_outbox(data: Path, now: int) -> Finding:
    """Mails that the mail server should have by now; without one they stay here."""
    directory = data / "ministack" / "outbox"
    mails = spool.read(directory)
    if not relay.relays(directory):
        return ok(f"{len(mails)} mails in the outbox")
    late = [
        mail
        for mail in mails
        if not relay.relayed(directory, mail) and now / 1000 - mail.sent_at > RELAYED_WITHIN_SECONDS
    ]
    if late:
        return bad(
            f"{len(late)} of {len(mails)} mails wait for the mail server", "the outbox's page says why: SMTP_URL=…"
        )
    return ok(f"the mail server took all {len(mails)} mails")


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
