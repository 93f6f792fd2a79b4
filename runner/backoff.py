"""How long to wait before trying again."""

LONGEST = 30.0
FIRST = 0.5


def backoff_seconds(attempt: int, chance: float) -> float:
    """Doubling from half a second to half a minute, ±50 %; ``chance`` is a number from 0 to 1."""
    return float(min(LONGEST, FIRST * 2.0 ** min(attempt, 10)) * (0.5 + chance))
