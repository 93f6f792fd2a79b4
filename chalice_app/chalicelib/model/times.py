"""Instants are epoch milliseconds; durations are timedeltas until they meet an instant."""

from datetime import timedelta


def milliseconds(duration: timedelta) -> int:
    """The whole milliseconds of a duration."""
    return duration // timedelta(milliseconds=1)
