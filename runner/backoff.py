"""The exponential backoff before a retry."""

MAX_SECONDS = 30.0
FIRST_SECONDS = 0.5


def backoff_seconds(attempt: int, jitter: float) -> float:
    """Returns a delay that doubles from half a second to half a minute, ±50 %; ``jitter`` is a number from 0 to 1."""
    return float(min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt, 10)) * (0.5 + jitter))
