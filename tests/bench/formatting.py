"""How long a hostile text takes to format, and how its time grows: median of five, beside a plain text's."""

import statistics
import time

from chalicelib.replies.formatting import for_whatsapp
from tests.unit.support.hostile_texts import HOSTILE

RUNS = 5
SHORT, LONG = 4_000, 32_000
#: The clock cannot tell shorter times from each other.
LEAST_SECONDS = 0.002


def median_seconds(unit: str, characters: int) -> float:
    """Returns the median processor time of formatting this many characters of the repeated unit."""
    text = unit * (characters // len(unit))
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        for_whatsapp(text)
        times.append(time.process_time() - began)
    return statistics.median(times)


def main() -> None:
    """Prints a line for each unit, and the slowest last."""
    plain = median_seconds("plain words ", LONG)
    slowest, steepest = ("", 0.0), 0.0
    for unit in HOSTILE:
        short, long = (max(LEAST_SECONDS, median_seconds(unit, characters)) for characters in (SHORT, LONG))
        print(f"{unit!r:12} {short:.3f} s, {long:.3f} s")
        slowest, steepest = max(slowest, (unit, long), key=lambda each: each[1]), max(steepest, long / short)
    print(
        f"formatting: {LONG:,} characters take {slowest[1]:.2f} s at most ({slowest[0]!r}), {plain:.3f} s as "
        f"plain words; {LONG // SHORT} times the text takes {steepest:.1f} times the time at most"
    )


if __name__ == "__main__":
    main()
