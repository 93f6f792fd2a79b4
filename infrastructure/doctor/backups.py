"""Checks of one machine's backups, from the status that they leave: is there one that restores, and how old is it?"""

from pathlib import Path

from infrastructure.checks import CheckResult, bad, ok, unknown
from infrastructure.local.backup.key import NO_KEY, key_problem
from infrastructure.local.backup.manifest import in_words
from infrastructure.local.backup.schedule import is_late
from infrastructure.local.backup.status import Status, read_status

#: A place that is on the disk of the data is lost with it.
SAME_DISK = "on the disk of the data: a lost disk takes both"
#: Of the first backup, before anything was tried.
FIRST_ONE = "the running stack takes it within a minute; `make backup` takes one now"


def check_backups(data: Path, now: int, place: str = "") -> list[CheckResult]:
    """Checks place, key, age and last try of the backups. None stops a deployment.

    Args:
        now: epoch milliseconds.
        place: the place that is set, as its label; empty: the one of which the data know.
    """
    status = read_status(data)
    if place:
        status = status.at(place)
    results = []
    if not status.place:
        fix = "`make up BACKUP_TO=…`: a folder, sftp://user@host/path or s3://bucket/prefix"
        results.append(bad("no place for backups", fix, blocks=False))
    if problem := key_problem(data):
        if problem == NO_KEY:
            results.append(bad("no key for backups", "`make backup-key`, and keep what it prints", blocks=False))
        else:
            results.append(bad("the key for backups cannot be used", problem, blocks=False))
    return results or [_check_newest(data, status, now)]


def _check_newest(data: Path, status: Status, now: int) -> CheckResult:
    log = data / "logs" / "backup.log"
    reason = status.problem or (f"see {log}" if log.exists() else FIRST_ONE)
    if not status.at_ms:
        return bad(f"no backup yet at {status.place}", reason, blocks=False)
    subject = f"backup of {_age(now - status.at_ms)} ago, {in_words(status.size_bytes)} at {status.place}"
    if is_late(status, now):
        return bad(subject, reason, blocks=False)
    subject += ", checked before it was sealed and read back: it restores"
    if status.problem:
        return unknown(subject, status.problem)
    return ok(f"{subject} ({SAME_DISK})" if _is_on_disk_of(data, status.place) else subject)


def _is_on_disk_of(data: Path, place: str) -> bool:
    try:
        return "://" not in place and Path(place).stat().st_dev == data.stat().st_dev
    except OSError:
        return False


def _age(milliseconds: int) -> str:
    hours, minutes = divmod(max(0, milliseconds) // 60_000, 60)
    return f"{hours} h" if hours else f"{minutes} min"
