"""Instants are epoch milliseconds; durations are timedeltas until they meet an instant."""

from datetime import UTC, datetime, timedelta


def milliseconds(duration: timedelta) -> int:
    """Returns the whole milliseconds of a duration."""
    return duration // timedelta(milliseconds=1)


def month_of(instant: int) -> str:
    """Returns the month of an instant in UTC (``2026-09``), by which tokens are counted."""
    return datetime.fromtimestamp(instant / 1000, UTC).strftime("%Y-%m")
