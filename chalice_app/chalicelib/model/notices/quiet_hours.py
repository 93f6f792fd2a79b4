"""Quiet hours: the time of the day in which people hear only of what cannot wait, in their own time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SETTING: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)\s+(\S+)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From when to when, by the clock of this time zone; the end may be on the next day."""

    begins: time
    ends: time
    zone: str

    def end_of(self, now: int) -> int | None:
        """Returns the instant at which the quiet hours end that it is in; None outside of them."""
        local = datetime.fromtimestamp(now / 1000, UTC).astimezone(ZoneInfo(self.zone))
        clock = local.time().replace(tzinfo=None)
        over_midnight = self.ends < self.begins
        if not (clock >= self.begins or clock < self.ends if over_midnight else self.begins <= clock < self.ends):
            return None
        day = local.date() + timedelta(days=1) if over_midnight and clock >= self.begins else local.date()
        end = datetime.combine(day, self.ends, ZoneInfo(self.zone))
        return max(now + 1, round(end.timestamp() * 1000))


def parse_quiet_hours(text: str) -> QuietHours | None:
    """Parses ``22:00-07:00 Europe/Berlin``; empty is none.

    Raises:
        ValueError: with the reason, which continues a sentence about the setting.
    """
    if not text.strip():
        return None
    found = _SETTING.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is not like 22:00-07:00 Europe/Berlin")
    begins, ends = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begins == ends:
        raise ValueError("it begins and ends at the same time")
    try:
        ZoneInfo(found[5])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{found[5][:40]} is not a time zone like Europe/Berlin") from None
    return QuietHours(begins, ends, found[5])
