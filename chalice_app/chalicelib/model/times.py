"""Instants are epoch milliseconds; durations are timedeltas until they meet an instant."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def milliseconds(duration: timedelta) -> int:
    """Returns the whole milliseconds of a duration."""
    return duration // timedelta(milliseconds=1)


def month_of(instant: int) -> str:
    """Returns the month of an instant in UTC (``2026-09``), by which tokens are counted."""
    return datetime.fromtimestamp(instant / 1000, UTC).strftime("%Y-%m")


def local_time(instant: int, time_zone: str) -> datetime:
    """Returns the instant in a time zone of the tz database; empty means UTC."""
    return datetime.fromtimestamp(instant / 1000, ZoneInfo(time_zone or "UTC"))
