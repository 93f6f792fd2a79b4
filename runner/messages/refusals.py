"""Messages that WhatsApp refused: when each is sent again under its id, and when nothing more is tried."""

from dataclasses import dataclass

#: A refused message is sent again after each of these, with jitter; after the last it is refused for good.
RESEND_AFTER_SECONDS = (5.0, 30.0, 120.0)
MAX_REMEMBERED = 500


@dataclass(slots=True)
class Refusal:
    """A refused message: how often it was sent again, and when it may be."""

    resent: int = 0
    not_before: float = 0.0


class Refusals:
    """The refused messages of a line, by id.

    They are counted in memory: after a restart a message has its attempts anew, until its turn is too old.
    """

    def __init__(self) -> None:
        self._refusals: dict[str, Refusal] = {}

    def refused(self, message: str, now: float, jitter: float) -> float | None:
        """Records that WhatsApp refused the message; returns when to send it again, or None: it is refused for good."""
        refusal = self._refusals.setdefault(message, Refusal())
        if refusal.resent >= len(RESEND_AFTER_SECONDS):
            return None
        refusal.not_before = now + RESEND_AFTER_SECONDS[refusal.resent] * (0.5 + jitter)
        while len(self._refusals) > MAX_REMEMBERED:
            del self._refusals[next(iter(self._refusals))]
        return refusal.not_before

    def may_resend(self, message: str, now: float) -> bool:
        """Returns whether a refused message may be sent again now; counts it if so."""
        refusal = self._refusals.setdefault(message, Refusal())
        if refusal.resent >= len(RESEND_AFTER_SECONDS) or now < refusal.not_before:
            return False
        refusal.resent += 1
        return True
