"""Names of backups, and the retention by them. Pure.

``answerline-<installation>-<time>.tar.zst.age`` is a whole backup, and ``….partial`` one that is being written. Beside
it lies ``….sha256``, as ``sha256sum --check`` reads it. Machines that share a place differ by their installation.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

#: The backups that stay: the newest one of each of so many days.
DAYS_KEPT = 7
SUFFIX = ".tar.zst.age"
PARTIAL = ".partial"
DIGEST = ".sha256"
_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(rf"answerline-(?P<installation>[0-9a-f]{{8}})-(?P<time>\d{{8}}T\d{{6}}Z){re.escape(SUFFIX)}")


@dataclass(frozen=True, slots=True, order=True)
class BackupName:
    """The name of a whole backup; sorts by time."""

    taken_at: datetime
    installation: str

    def __str__(self) -> str:
        return f"answerline-{self.installation}-{self.taken_at.strftime(_TIME)}{SUFFIX}"


def backup_name(installation: str, taken_at: datetime) -> BackupName:
    """Returns the name of a backup, to the second, in UTC."""
    return BackupName(taken_at.astimezone(UTC).replace(microsecond=0), installation)


def parse_name(name: str) -> BackupName | None:
    """Returns the parts of a whole backup's name; None for any other file."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        taken_at = datetime.strptime(found["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return BackupName(taken_at, found["installation"])


def whole_backups(names: Iterable[str]) -> list[BackupName]:
    """Returns the whole backups among the files of a place, the newest first."""
    return sorted((parsed for name in names if (parsed := parse_name(name)) is not None), reverse=True)


def ledger_name(installation: str) -> str:
    """Returns the name of the ledger of deletions of one installation."""
    return f"answerline-{installation}-deletions.jsonl"


def is_ledger(name: str) -> bool:
    """Returns whether this file of a place is a ledger of deletions."""
    return re.fullmatch(r"answerline-[0-9a-f]{8}-deletions\.jsonl", name) is not None


def expired(names: Collection[str], made: BackupName) -> list[str]:
    """Returns the files that leave the place now that ``made`` is whole there.

    Of its installation the newest backup of each of the seven newest days stays: several of one day, before upgrades
    say, push no other day out, and days without a backup count for nothing, so that no time ever empties the place.
    ``made`` stays whatever the clock said before. What was left half written goes, and digests without their backup.
    """
    mine = [each for each in whole_backups(names) if each.installation == made.installation]
    newest_of_day: dict[str, BackupName] = {}
    for each in [made, *mine]:
        newest_of_day.setdefault(each.taken_at.strftime("%Y%m%d"), each)
    others = sorted((each for each in newest_of_day.values() if each != made), reverse=True)
    kept = {made, *others[: DAYS_KEPT - 1]}
    return sorted(name for name in names if _is_old(name, made.installation, kept))


def _is_old(name: str, installation: str, kept: Collection[BackupName]) -> bool:
    if name.endswith(PARTIAL):
        return name.startswith(f"answerline-{installation}-")
    backup = parse_name(name.removesuffix(DIGEST))
    return backup is not None and backup.installation == installation and backup not in kept
