"""The typing indicator: while a reply is being made, the contact sees "seen" at once, then "typing…"."""

import asyncio

from runner.browser.page import Page, PageError
from runner.clock import Clock

#: A reply that takes longer than this is not announced any more.
TYPING_SECONDS = 60.0
#: The contact's phone forgets "typing…" after about 25 s.
RENEW_SECONDS = 10.0
#: The longest sleep while no chat waits for a reply.
IDLE_SECONDS = 3600.0


class TypingIndicator:
    """The indicators of a session, by chat. Best effort by design: an indicator that fails is not retried."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._renewed_at: dict[str, float] = {}
        self._changed = asyncio.Event()

    def start(self, chat: str) -> None:
        """Shows that a reply to this chat is being made."""
        self._until[chat] = self._clock.now() + TYPING_SECONDS
        self._renewed_at.pop(chat, None)
        self._changed.set()

    def stop(self, chat: str) -> None:
        """Ends the indicator: the reply was sent, or does not come."""
        if chat in self._until:
            self._until[chat] = 0.0
            self._changed.set()

    async def run(self, page: Page) -> None:
        """Keeps the indicators up to date until cancelled."""
        while True:
            await self._update(page)
            await self._clock.wait(self._changed, RENEW_SECONDS if self._until else IDLE_SECONDS)
            self._changed.clear()

    async def _update(self, page: Page) -> None:
        for chat, until in list(self._until.items()):
            now = self._clock.now()
            try:
                if until <= now:
                    self._until.pop(chat, None)
                    self._renewed_at.pop(chat, None)
                    await page.show_typing(chat, False)
                elif chat not in self._renewed_at:
                    self._renewed_at[chat] = now
                    await page.mark_seen(chat)
                    await page.show_typing(chat, True)
                elif now - self._renewed_at[chat] >= RENEW_SECONDS:
                    self._renewed_at[chat] = now
                    await page.show_typing(chat, True)
            except PageError:
                continue
