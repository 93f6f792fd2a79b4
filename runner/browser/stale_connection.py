"""When a line that claims to be online is too silent to be believed: pure decisions, ``now`` is an argument.

A page can be online by every look-up and still be told nothing any more (whatsapp-web.js #2231). Silence alone proves
nothing: at night nobody writes. So there are two rules. A reply that was sent is owed at least a receipt; ten minutes
without anything from the server are too long then. And a silence is suspicious once it is several times as long as
this line's usual lulls. Either way the page gets a new line, then a new browser; every attempt that brings nothing
doubles the patience, so that a line to which really nobody writes is not disturbed more than every six hours.
"""

from runner.browser.recovery_ladder import Step

RECEIPT_TIMEOUT_SECONDS = 600.0
#: The page says how long ago it was, so that one event is told each time with a slightly different instant.
SAME_EVENT_SECONDS = 1.0
#: Shorter pauses belong to one and the same conversation.
MIN_PAUSE_SECONDS = 300.0
#: A silence is suspicious after so many usual lulls, …
SUSPICIOUS_PAUSES = 4.0
#: … of which a new line is taken to have one of this length …
INITIAL_PAUSE_SECONDS = 900.0
#: … and which count the more the newer they are.
NEWEST_PAUSE_WEIGHT = 0.25
MIN_SILENCE_SECONDS = 1200.0
MAX_SILENCE_SECONDS = 21_600.0
#: An owed receipt is a reason for a new line and for a new browser, not for more.
RECEIPT_ATTEMPTS = 2


class StaleConnectionDetector:
    """One session's, across its pages."""

    def __init__(self, now: float) -> None:
        self._heard_at = now
        self._spoke_at: float | None = None
        self._renewed_at = now
        self._lull = INITIAL_PAUSE_SECONDS
        self._attempts = 0

    def received(self, at: float) -> None:
        """Then the server sent something that nobody here had asked for: a message, a receipt."""
        if at - self._heard_at < SAME_EVENT_SECONDS:
            return
        silence = at - self._heard_at
        if silence >= MIN_PAUSE_SECONDS:
            self._lull += (min(silence, MAX_SILENCE_SECONDS / SUSPICIOUS_PAUSES) - self._lull) * NEWEST_PAUSE_WEIGHT
        self._heard_at = at
        self._attempts = 0

    def sent(self, at: float) -> None:
        """Then a reply was sent."""
        self._spoke_at = at

    def reconnected(self, now: float) -> None:
        """The page has a new line, for whatever reason."""
        self._renewed_at = now

    def next_step(self, now: float) -> Step:
        """What to do about the silence; what is not WAIT counts as done."""
        if now < self._suspicious_at():
            return Step.WAIT
        self._attempts += 1
        self._renewed_at = now
        return Step.RELAUNCH if self._attempts == RECEIPT_ATTEMPTS else Step.RELOAD

    def _suspicious_at(self) -> float:
        if self._spoke_at is not None and self._spoke_at > self._heard_at and self._attempts < RECEIPT_ATTEMPTS:
            return max(self._spoke_at, self._renewed_at) + RECEIPT_TIMEOUT_SECONDS
        patience = max(MIN_SILENCE_SECONDS, SUSPICIOUS_PAUSES * self._lull) * 2.0 ** min(self._attempts, 10)
        return max(self._heard_at, self._renewed_at) + min(MAX_SILENCE_SECONDS, patience)
