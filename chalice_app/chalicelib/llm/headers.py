"""The pause that a server asks for in the headers of its answer."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def read_retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of `retry-after-ms` or `retry-after` (seconds or a date); None without one."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        # compared with the server's own clock: ours may be wrong
        retry_at, now = (parsedate_to_datetime(headers[name]) for name in ("retry-after", "date"))
        return max(0.0, (retry_at - now).total_seconds())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
