"""Detects a stale connection: a line that claims to be online and receives nothing; pure, ``now`` is an argument.

A page can be online by every proof and still receive nothing any more (whatsapp-web.js #2231). Silence alone proves
nothing: at night no contact writes. So there are two rules. A sent reply must bring at least a receipt; ten minutes
without anything from the server are too long then. And a silence is suspicious once it is several times as long as
this line's usual pauses. Either way the page gets a new connection, then a new browser; every attempt that brings
nothing doubles the patience, so that a line to which really no contact writes is not disturbed more than every six
hours.
"""

from runner.browser.recovery import RenewalReason

#: A sent reply must bring something from the server within this time.
RECEIPT_TIMEOUT_SECONDS = 600.0
#: The page reports the age of an event, so that each report of one event names a slightly different instant.
SAME_EVENT_SECONDS = 1.0
#: Shorter pauses belong to one and the same conversation.
MIN_PAUSE_SECONDS = 300.0
#: A silence is suspicious after this many usual pauses, …
SUSPICIOUS_PAUSES = 4.0
#: … of which a new line is assumed to have one of this length …
INITIAL_PAUSE_SECONDS = 900.0
#: … and of which the newest has this weight in the moving average.
NEWEST_PAUSE_WEIGHT = 0.25
MIN_SILENCE_SECONDS = 1200.0
MAX_SILENCE_SECONDS = 21_600.0
#: A missing receipt is a reason for a new connection and for a new browser, not for more.
RECEIPT_ATTEMPTS = 2


class StaleConnectionDetector:
    """The server's events and the sent replies of one session, across its pages."""

    def __init__(self, now: float) -> None:
        self._received_at = now
        self._sent_at: float | None = None
        self._reconnected_at = now
        self._usual_pause_seconds = INITIAL_PAUSE_SECONDS
        self._attempts = 0

    def received(self, at: float) -> None:
        """Records that the server sent something without having been asked: a message, a receipt."""
        silence_seconds = at - self._received_at
        if silence_seconds < SAME_EVENT_SECONDS:
            return
        if silence_seconds >= MIN_PAUSE_SECONDS:
            pause_seconds = min(silence_seconds, MAX_SILENCE_SECONDS / SUSPICIOUS_PAUSES)
            self._usual_pause_seconds += (pause_seconds - self._usual_pause_seconds) * NEWEST_PAUSE_WEIGHT
        self._received_at = at
        self._attempts = 0

    def sent(self, at: float) -> None:
        """Records that a reply was sent."""
        self._sent_at = at

    def reconnected(self, now: float) -> None:
        """Records that the page has a new connection, for any reason."""
        self._reconnected_at = now

    def renewed(self, now: float) -> None:
        """Records that the page was renewed because the connection seemed stale."""
        self._attempts += 1
        self._reconnected_at = now

    def reason_to_renew(self, now: float) -> RenewalReason | None:
        """Returns the reason to renew the page at a quiet moment, if there is one."""
        if now < self._suspicious_at():
            return None
        again = self._attempts == RECEIPT_ATTEMPTS - 1
        return RenewalReason.CONNECTION_STALE_AGAIN if again else RenewalReason.CONNECTION_STALE

    def _suspicious_at(self) -> float:
        if self._sent_at is not None and self._sent_at > self._received_at and self._attempts < RECEIPT_ATTEMPTS:
            return max(self._sent_at, self._reconnected_at) + RECEIPT_TIMEOUT_SECONDS
        patience_seconds = max(MIN_SILENCE_SECONDS, SUSPICIOUS_PAUSES * self._usual_pause_seconds)
        patience_seconds *= 2.0 ** min(self._attempts, 10)
        return max(self._received_at, self._reconnected_at) + min(MAX_SILENCE_SECONDS, patience_seconds)
