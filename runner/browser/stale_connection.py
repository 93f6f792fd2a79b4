"""When a line that claims to be online is too silent to be believed: pure decisions, ``now`` is an argument.

A page can be online by every look-up and still be told nothing any more (whatsapp-web.js #2231). Silence alone proves
nothing: at night nobody writes. So there are two rules. A reply that was sent is owed at least a receipt; ten minutes
without anything from the server are too long then. And a silence is suspicious once it is several times as long as
this line's usual lulls. Either way the page gets a new line, then a new browser; every attempt that brings nothing
doubles the patience, so that a line to which really nobody writes is not disturbed more than every six hours.
"""

from runner.browser.recovery_ladder import Step

OWED_WITHIN = 600.0
#: The page says how long ago it was, so that one event is told each time with a slightly different instant.
SAME_WITHIN = 1.0
#: Shorter pauses belong to one and the same conversation.
LULL_AT_LEAST = 300.0
#: A silence is suspicious after so many usual lulls, …
LULLS = 4.0
#: … of which a new line is taken to have one of this length …
FIRST_LULL = 900.0
#: … and which count the more the newer they are.
NEWEST_COUNTS = 0.25
SILENCE_AT_LEAST = 1200.0
SILENCE_AT_MOST = 21_600.0
#: An owed receipt is a reason for a new line and for a new browser, not for more.
OWED_ATTEMPTS = 2


class StaleConnectionDetector:
    """One session's, across its pages."""

    def __init__(self, now: float) -> None:
        self._heard_at = now
        self._spoke_at: float | None = None
        self._renewed_at = now
        self._lull = FIRST_LULL
        self._attempts = 0

    def heard(self, at: float) -> None:
        """Then the server sent something that nobody here had asked for: a message, a receipt."""
        if at - self._heard_at < SAME_WITHIN:
            return
        silence = at - self._heard_at
        if silence >= LULL_AT_LEAST:
            self._lull += (min(silence, SILENCE_AT_MOST / LULLS) - self._lull) * NEWEST_COUNTS
        self._heard_at = at
        self._attempts = 0

    def spoke(self, at: float) -> None:
        """Then a reply was sent."""
        self._spoke_at = at

    def renewed(self, now: float) -> None:
        """The page has a new line, for whatever reason."""
        self._renewed_at = now

    def next_step(self, now: float) -> Step:
        """What to do about the silence; what is not WAIT counts as done."""
        if now < self._suspicious_at():
            return Step.WAIT
        self._attempts += 1
        self._renewed_at = now
        return Step.RELAUNCH if self._attempts == OWED_ATTEMPTS else Step.RELOAD

    def _suspicious_at(self) -> float:
        if self._spoke_at is not None and self._spoke_at > self._heard_at and self._attempts < OWED_ATTEMPTS:
            return max(self._spoke_at, self._renewed_at) + OWED_WITHIN
        patience = max(SILENCE_AT_LEAST, LULLS * self._lull) * 2.0 ** min(self._attempts, 10)
        return max(self._heard_at, self._renewed_at) + min(SILENCE_AT_MOST, patience)
