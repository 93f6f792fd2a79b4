"""The restriction of an account by WhatsApp: as its page says, or as the replies suggest that WhatsApp refuses."""

from runner.browser.page import PageRestriction

#: Refused in so many chats …
REFUSED_CHATS = 3
#: … within this time, and accepted in none since: the account is taken for restricted, not the chats.
REFUSED_WITHIN_SECONDS = 3600.0
#: Then one reply is tried in this interval: hammering makes a restriction worse.
PROBE_SECONDS = 900.0


class AccountRestriction:
    """The restriction of one account. Pure: each method takes ``now``."""

    def __init__(self) -> None:
        #: What the page says; WhatsApp may still let the account write in chats that the contact began.
        self.stated: PageRestriction | None = None
        self._refused: dict[str, float] = {}
        self._suspected = False
        self._tried_at = 0.0

    def refused(self, chat: str, now: float) -> None:
        """Records that WhatsApp refused a reply in this chat."""
        self._refused[chat] = now
        self._refused = {each: at for each, at in self._refused.items() if now - at < REFUSED_WITHIN_SECONDS}
        if len(self._refused) >= REFUSED_CHATS:
            self._tried_at = self._tried_at if self._suspected else now
            self._suspected = True

    def accepted(self) -> None:
        """Records that WhatsApp accepted a reply."""
        self._refused.clear()
        self._suspected = False

    def is_suspected(self, now: float) -> bool:
        """Returns whether WhatsApp refuses replies in whatever chat, as far as its last refusals show."""
        lately = any(now - at < REFUSED_WITHIN_SECONDS for at in self._refused.values())
        return self._suspected and lately

    def may_try(self, now: float) -> bool:
        """Returns whether a reply may be sent now."""
        return not self.is_suspected(now) or now - self._tried_at >= PROBE_SECONDS

    def tried(self, now: float) -> None:
        """Records that a reply is sent now."""
        self._tried_at = now

    def restriction(self, now: float) -> PageRestriction | None:
        """Returns the restriction to report; one that is only suspected has neither an end nor a kind."""
        return self.stated or (PageRestriction() if self.is_suspected(now) else None)
