"""What the contact sees while an answer is being made: "seen" at once, then "typing…"."""

import asyncio

from runner.browser.page import Page, PageError
from runner.clock import Clock

TYPING_FOR = 60.0
#: The contact's phone forgets "typing…" after about 25 s.
RENEW_EVERY = 10.0


class TypingIndicator:
    """Best effort by design: a sign that fails is not worth a retry."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._renewed: dict[str, float] = {}
        self._changed = asyncio.Event()

    def expect(self, chat: str) -> None:
        """An answer to this chat is being made."""
        self._until[chat] = self._clock.now() + TYPING_FOR
        self._renewed.pop(chat, None)
        self._changed.set()

    def end(self, chat: str) -> None:
        """The answer was sent, or will not come."""
        if chat in self._until:
            self._until[chat] = 0.0
            self._changed.set()

    async def run(self, page: Page) -> None:
        """Show the signs until cancelled."""
        while True:
            await self.show(page)
            await self._clock.wait(self._changed, RENEW_EVERY if self._until else 3600.0)
            self._changed.clear()

    async def show(self, page: Page) -> None:
        """Bring each chat's sign up to date."""
        for chat, until in list(self._until.items()):
            now = self._clock.now()
            try:
                if until <= now:
                    self._until.pop(chat, None)
                    self._renewed.pop(chat, None)
                    await page.show_typing(chat, False)
                elif chat not in self._renewed:
                    self._renewed[chat] = now
                    await page.mark_seen(chat)
                    await page.show_typing(chat, True)
                elif now - self._renewed[chat] >= RENEW_EVERY:
                    self._renewed[chat] = now
                    await page.show_typing(chat, True)
            except PageError:
                continue
