"""The time of the next backup. Pure."""

import hashlib
from datetime import UTC, datetime, time, timedelta
from typing import Final

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.status import Status

#: When the lines are the quietest, as a rule.
DEFAULT_AT: Final = "03:15"
#: Machines that share a place do not all begin in the same minute.
JITTER: Final = timedelta(minutes=20)
FIRST_RETRY: Final = timedelta(minutes=5)
LAST_RETRY: Final = timedelta(hours=1)
#: A backup each night is younger, with its jitter and the time that it takes.
LATE_AFTER: Final = timedelta(hours=26)
#: The operators get a mail after so many failures in a row (half an hour).
FAILURES_UNTIL_MAIL: Final = 4


def parse_time(text: str) -> time:
    """Parses ``BACKUP_AT``; raises :class:`BackupFailed`."""
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - of this machine's clock
    except ValueError:
        raise BackupFailed(f"BACKUP_AT={text} is no time of the day: give hours and minutes, such as 03:15.") from None


def is_due(status: Status, now: datetime, at: time, installation: str) -> bool:
    """Returns whether a backup should begin.

    That is each night; at once on a machine that was off at night or never had one; and after a failure as
    often as ``retry_after`` says.

    Args:
        now: with the machine's time zone.
        at: by the machine's clock.
    """
    now_ms = round(now.timestamp() * 1000)
    if status.failures:
        # Not by the difference alone: a clock that was put back must not silence the retries.
        return abs(now_ms - status.tried_at_ms) >= retry_after(status.failures) / timedelta(milliseconds=1)
    return status.at_ms < _last_time(now, at, installation).timestamp() * 1000 or status.at_ms > now_ms


def retry_after(failures: int) -> timedelta:
    """Returns the delay after so many failures in a row: doubled each time, an hour at most."""
    return min(LAST_RETRY, FIRST_RETRY * (1 << min(failures - 1, 10)))


def is_late(status: Status, now_ms: int) -> bool:
    """Returns whether the newest backup is too old, or there is none."""
    return now_ms - status.at_ms > LATE_AFTER / timedelta(milliseconds=1)


def _last_time(now: datetime, at: time, installation: str) -> datetime:
    """Returns the last instant at which a backup was to begin."""
    for days in (0, 1, 2):
        day = now - timedelta(days=days)
        wall_clock = day.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
        # In UTC: two instants of one zone are compared by their wall clocks, which stand still or leap twice a year.
        planned = wall_clock.astimezone(UTC) + _jitter(installation, day)
        if planned <= now.astimezone(UTC):
            return planned
    raise AssertionError("two days hold a night")


def _jitter(installation: str, day: datetime) -> timedelta:
    digest = hashlib.sha256(f"{installation} {day:%Y-%m-%d}".encode()).digest()
    return JITTER * (digest[0] / 256)
