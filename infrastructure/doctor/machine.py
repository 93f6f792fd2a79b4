"""Checks of the one-machine installation that runs here, from outside and inside."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infrastructure.checks import CheckResult, bad, counted, ok, run_check, unknown
from infrastructure.deploying.aws import operators_webhook
from infrastructure.deploying.readiness import Health, check_health
from infrastructure.doctor import lines, news
from infrastructure.doctor.backups import check_backups
from infrastructure.doctor.stage import check_answer
from infrastructure.local import preflight
from infrastructure.local.aws import Aws
from infrastructure.local.backup.places import parse_address
from infrastructure.local.emulator.state import State, StateUnreadable
from infrastructure.local.mail import relay, spool
from infrastructure.local.service.account import holder_of
from infrastructure.local.service.installed import Commands, commands_of
from infrastructure.local.settings import CannotStart, Settings
from infrastructure.local.table.room import FULL_DISK, ROOM_TO_START_BYTES, free_bytes
from runner.disk import ROOM_TO_HOST_BYTES, ROOM_TO_SAVE_BYTES

#: The time that a busy mail server gets.
RELAYED_WITHIN_SECONDS = 600.0


@dataclass(frozen=True)
class Machine:
    """The installation to examine, and the versions to compare it with."""

    settings: Settings
    commit: str
    wa_js: str
    #: epoch milliseconds
    now: int
    pause: Callable[[float], None]
    check_health: Callable[[str], Health] = check_health
    #: posts a test message to the webhook; None: none is posted
    post: news.Post | None = None


def examine(machine: Machine) -> list[CheckResult]:
    """Runs all checks; those of the running stack only if it runs."""
    settings = machine.settings
    if settings.data.is_dir() and not os.access(settings.data, os.R_OK | os.X_OK):
        # Before the other checks: to this account everything in it would seem to be missing.
        holder = holder_of(settings.data).name
        return [bad(f"{settings.data} can be read by {holder} and root alone", "run this command with sudo")]
    place = parse_address(settings.backup_to).label if settings.backup_to else ""
    browsers = [] if settings.runners_at else check_browser(settings)
    results = [check_disk(settings.data), *browsers, *check_backups(settings.data, machine.now, place)]
    running = running_stack(settings.data)
    if running is None:
        fix = f"{commands_of(settings.data).start}, or name the directory with DATA=…"
        return [bad(f"nothing runs on {settings.data}", fix), *results]
    results.insert(0, ok(f"running on {settings.data} (process {running['pid']})"))
    results += check_ports(running["ports"], commands_of(settings.data))
    results += check_addresses(machine, str(running["admin"]).removesuffix("/admin"))
    results += check_lines(machine, running)
    results += check_news(machine, running)
    results += [check_state(settings.data), check_outbox(settings.data, machine.now)]
    return results


def running_stack(data: Path) -> dict[str, Any] | None:
    """Reads the file in which a running stack describes itself; None if its process does not run."""
    try:
        known = dict(json.loads((data / "stack.json").read_text()))
        return known if psutil.pid_exists(int(known["pid"])) else None
    except (OSError, ValueError, KeyError):
        return None


def check_disk(data: Path) -> CheckResult:
    """Checks the free space, which profiles and snapshots need."""
    free = free_bytes(data)
    subject = f"{free / (1 << 30):.1f} GiB free for {data}"
    if free < ROOM_TO_START_BYTES:
        return bad(subject, f"make room now: {FULL_DISK}")
    if free < ROOM_TO_SAVE_BYTES:
        return bad(subject, f"make room: no login is archived below {ROOM_TO_SAVE_BYTES >> 30} GiB")
    if free < ROOM_TO_HOST_BYTES:
        return bad(subject, f"make room: no new line is started below {ROOM_TO_HOST_BYTES >> 30} GiB")
    return ok(subject)


def check_browser(settings: Settings) -> list[CheckResult]:
    """Checks for Chromium and wa-js."""
    results = []
    checks: list[tuple[str, Callable[[], None]]] = [
        ("Chromium is there", lambda: preflight.check_chromium(settings)),
        ("wa-js is there", preflight.check_wa_js),
    ]
    for subject, check in checks:
        try:
            check()
        except CannotStart as error:
            sentence, _, fix = str(error).partition(": ")
            results.append(bad(sentence.rstrip("."), fix or sentence))
        else:
            results.append(ok(subject))
    return results


def check_ports(ports: dict[str, int], commands: Commands | None = None) -> list[CheckResult]:
    """Checks that each part of the stack accepts connections."""
    again = (commands or Commands()).again
    simulated = {"phone", "whatsapp", "openai"}
    closed = [name for name, port in ports.items() if not _listens(port)]
    needed = [name for name in closed if name not in simulated]
    if needed:
        return [bad(f"{name} does not listen on port {ports[name]}", f"see data/logs, then {again}") for name in needed]
    return [ok(f"{len(ports) - len(closed)} ports answer" + (f" ({', '.join(closed)} not started)" if closed else ""))]


def check_addresses(machine: Machine, address: str) -> list[CheckResult]:
    """Checks the application at its own address, and at the owners' address if that is another."""
    health = machine.check_health(address)
    public = str(health.answer.get("base_url", address))
    results = check_answer(public, health, machine.commit, again=commands_of(machine.settings.data).again)
    if public != address and (error := machine.check_health(public).error):
        results.append(bad(f"owners cannot reach {public}: {error}", "see DNS, certificate and the reverse proxy"))
    return results


def check_lines(machine: Machine, running: dict[str, Any]) -> list[CheckResult]:
    """Checks tenants, runners and the encryption key, which need the table."""
    results: list[CheckResult] = []
    again = commands_of(machine.settings.data).again
    aws = Aws(**running["aws"])
    stack = machine.settings.stack

    def check_table() -> list[CheckResult]:
        read = lines.read(aws.client("dynamodb"), stack, machine.now, machine.pause)
        results.extend(lines.check_tenants(read))
        results.extend(lines.check_saved(read))
        results.append(lines.check_outcomes(read))
        results.extend(lines.check_runners(read, commit=machine.commit, wa_js=machine.wa_js, again=again))
        kms = aws.client("kms")
        return run_check("the key", lambda: lines.check_secrets(kms, f"alias/{stack}", read))

    return [*run_check("the table", check_table), *results]


def check_news(machine: Machine, running: dict[str, Any]) -> list[CheckResult]:
    """Checks that somebody hears of problems, and that what is to be heard arrives."""
    aws, stack, commands = Aws(**running["aws"]), machine.settings.stack, commands_of(machine.settings.data)
    mail = running.get("operators_mail")

    def ways() -> list[CheckResult]:
        if mail is None:
            return [unknown("who hears of problems", "the release that runs does not say: known once it is upgraded")]
        url = operators_webhook.read(aws.client("ssm"), stack)
        found = news.Ways(
            mail["addresses"], url, setting="OPERATOR_EMAIL", set=commands.set, mail_leaves=mail["leaves"]
        )
        return news.check_ways(found, post=machine.post)

    def waiting() -> list[CheckResult]:
        return news.check_news(news.read(aws.client("dynamodb"), stack, machine.pause), machine.now)

    return [*run_check("who hears of problems", ways), *run_check("news on its way", waiting)]


def check_state(data: Path) -> CheckResult:
    """Checks that every file of MiniStack's state is whole, which the next start needs."""
    files = sorted((data / "ministack" / "state").glob("*.json"))
    for file in files:
        try:
            State.check(file, file.read_bytes())
        except StateUnreadable as error:
            fix = f"the stack writes it anew when it stops: {commands_of(data).again}"
            return bad(str(error).partition(". Nothing")[0], fix)
    if not files:
        return bad("the state was never written", "see data/logs/ministack.log")
    return ok(f"{counted(len(files), 'file')} of state: whole")


def check_outbox(data: Path, now: int) -> CheckResult:
    """Checks for mails that the mail server should have by now; without a mail server they stay here."""
    directory = data / "ministack" / "outbox"
    mails = spool.read(directory)
    if not relay.has_relay(directory):
        return ok(f"{counted(len(mails), 'mail')} in the outbox")
    late = [
        mail
        for mail in mails
        if not relay.is_finished(directory, mail) and now / 1000 - mail.sent_at > RELAYED_WITHIN_SECONDS
    ]
    if late:
        return bad(
            f"{len(late)} of {len(mails)} mails wait for the mail server", "the outbox's page says why: SMTP_URL=…"
        )
    return ok(f"the mail server took all mails ({len(mails)})")


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
