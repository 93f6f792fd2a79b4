"""One order of a pairing code: how often WhatsApp is asked for it, and when again. Pure; takes ``now``.

Each code makes the phone of a number ring, and the number may be a stranger's: an order gets a few codes, however long
its page is open. After that a person asks again, which the control plane counts.
"""

from typing import Final

from wire import PairingProblem

#: The codes that one order gets: the owner has about ten minutes to type one.
CODES_PER_ORDER: Final = 3
#: WhatsApp is asked at most so often for them, refusals included.
ASKS_PER_ORDER: Final = 6
#: A code that was given is on the page within this time, or was lost with its document.
CODE_SHOWN_WITHIN_SECONDS: Final = 15.0
#: Backoff: after a refusal WhatsApp is asked again after this, doubled with each one, up to two minutes, ± a quarter.
REFUSAL_BACKOFF_SECONDS: Final = 15.0
MAX_REFUSAL_BACKOFF_SECONDS: Final = 120.0


class PairingOrder:
    """The count of what WhatsApp was asked for one order.

    Args:
        is_open: the control plane lets it get further codes.
    """

    def __init__(self, *, is_open: bool = True) -> None:
        self._codes = self._asks = self._refusals = 0
        self._next_at: float | None = None
        self._is_open = is_open

    @property
    def problem(self) -> PairingProblem | None:
        """The reason why the page shows no code, where it shows none; None while one is on its way."""
        if self._is_over:
            return PairingProblem.GIVEN_UP if self._asks and not self._codes else PairingProblem.ENDED
        return PairingProblem.REFUSED if self._refusals else None

    def close(self) -> None:
        """Ends it, whatever is left of it."""
        self._is_open = False

    def may_ask(self, now: float) -> bool:
        """True if WhatsApp may be asked at this moment."""
        return not self._is_over and (self._next_at is None or now >= self._next_at)

    def mark_given(self, now: float) -> None:
        """Counts a code."""
        self._asks += 1
        self._codes += 1
        self._refusals = 0
        self._next_at = now + CODE_SHOWN_WITHIN_SECONDS

    def mark_refused(self, now: float, jitter: float) -> None:
        """Counts a refusal, or an answer that did not come; ``jitter`` is a number from 0 to 1."""
        self._asks += 1
        self._refusals += 1
        delay = min(MAX_REFUSAL_BACKOFF_SECONDS, REFUSAL_BACKOFF_SECONDS * 2.0 ** (self._refusals - 1))
        self._next_at = now + delay * (0.75 + jitter / 2)

    @property
    def _is_over(self) -> bool:
        return not self._is_open or self._codes >= CODES_PER_ORDER or self._asks >= ASKS_PER_ORDER
