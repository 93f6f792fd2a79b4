"""Checks of one machine's backups, from the status that they leave: is there one that restores, and how old is it?"""

from pathlib import Path

from infrastructure.checks import CheckResult, bad, ok, unknown
from infrastructure.local.backup.key import key_problem, no_key
from infrastructure.local.backup.manifest import in_words
from infrastructure.local.backup.places import is_on_disk_of
from infrastructure.local.backup.schedule import is_late
from infrastructure.local.backup.status import Status, read_status
from infrastructure.local.service.installed import commands_of

#: A place that is on the disk of the data is lost with it.
SAME_DISK = "on the disk of the data: a lost disk takes both"


def check_backups(data: Path, now: int, place: str = "") -> list[CheckResult]:
    """Checks place, key, age and last try of the backups. None stops a deployment.

    Args:
        now: epoch milliseconds.
        place: the place that is set, as its label; empty: the one of which the data know.
    """
    status, commands = read_status(data), commands_of(data)
    if place:
        status = status.at(place)
    results = []
    if not status.place:
        fix = f"{commands.set('BACKUP_TO=…')}: a folder, sftp://user@host/path or s3://bucket/prefix"
        results.append(bad("no place for backups", fix, blocks=False))
    if problem := key_problem(data):
        if problem == no_key(data):
            fix = f"{commands.make('backup-key')}, and keep what it prints"
            results.append(bad("no key for backups", fix, blocks=False))
        else:
            results.append(bad("the key for backups cannot be used", problem, blocks=False))
    return results or [_check_newest(data, status, now)]


def _check_newest(data: Path, status: Status, now: int) -> CheckResult:
    first_one = f"the running stack takes it within a minute; {commands_of(data).make('backup')} takes one now"
    log = data / "logs" / "backup.log"
    reason = status.problem or (f"see {log}" if log.exists() else first_one)
    if not status.at_ms:
        return bad(f"no backup yet at {status.place}", reason, blocks=False)
    subject = f"backup of {_age(now - status.at_ms)} ago, {in_words(status.size_bytes)} at {status.place}"
    if is_late(status, now):
        return bad(subject, reason, blocks=False)
    subject += ", checked before it was sealed and read back: it restores"
    if status.problem:
        return unknown(subject, status.problem)
    return ok(f"{subject} ({SAME_DISK})" if is_on_disk_of(data, status.place) else subject)


def _age(milliseconds: int) -> str:
    hours, minutes = divmod(max(0, milliseconds) // 60_000, 60)
    return f"{hours} h" if hours else f"{minutes} min"
