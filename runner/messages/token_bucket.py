"""The pace of a line over all of its chats: a backlog is answered steadily, as a person would, and not in one burst."""

#: New replies in a minute, unless LINE_REPLIES_PER_MINUTE says otherwise.
REPLIES_PER_MINUTE = 20
#: So many replies in a row wait for nothing, after a quiet time.
BURST = 5


class TokenBucket:
    """A token bucket: each new reply takes a token; they come back evenly, and each wait is jittered.

    Args:
        per_minute: the tokens that come back in a minute; 0 for no limit.
        burst: the most tokens there are.
    """

    def __init__(self, per_minute: int, burst: int = BURST) -> None:
        self._interval_seconds = 60.0 / per_minute if per_minute else 0.0
        self._burst = float(burst)
        self._tokens = float(burst)
        self._counted_at = 0.0
        self._next_at = 0.0

    def wait_seconds(self, now: float) -> float:
        """Returns how long the next new reply has to wait; 0.0 if it may begin."""
        return max(0.0, self._next_at - now)

    def spend(self, now: float, jitter: float) -> None:
        """Takes the token of a new reply; ``jitter`` is a number from 0 to 1: the wait is halved or half as long again.

        A reply that came early by the jitter leaves less for the next one, so that the pace holds.
        """
        if not self._interval_seconds:
            return
        refilled = self._tokens + (now - self._counted_at) / self._interval_seconds
        self._tokens = min(self._burst, refilled) - 1.0
        self._counted_at = now
        if self._tokens < 1.0:
            self._next_at = now + (1.0 - self._tokens) * self._interval_seconds * (0.5 + jitter)
