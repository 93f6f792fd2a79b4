"""The inbox of a session: moves the page's messages to the journal, each wording once and in order."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from runner.browser.page import NOTHING_REMEMBERED, Page, PageRefused, Tail
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.journal import Journal
from runner.messages.translation import message_from
from wire import Message

#: The largest number of messages that are read from the page at once.
MAX_TAIL = 200
KEY_HASH_LENGTH = 12
#: The code of a page that has something new and cannot read a single chat.
NO_CHAT_READABLE = "no_chat_readable"


class Inbox:
    """Reads every chat's tail: new messages, and those whose wording changed after they were read."""

    def __init__(self, *, tenant: str, journal: Journal, clock: Clock) -> None:
        #: When the last new message was read from the page.
        self.received_at: float | None = None
        #: The number of chats with something new that the page could not read the last time.
        self.unreadable_chats = 0
        self._tenant = tenant
        self._journal = journal
        self._clock = clock

    async def read(self, page: Page) -> bool:
        """Moves every chat's tail to the journal; returns whether all of it fitted.

        Raises PageRefused if no chat can be read; a single one is left out and counted.
        """
        if self._journal.floor_s is None:
            return True
        while limit := min(MAX_TAIL, self._journal.free_slots()):
            tail = await self._tail(page, self._journal.floor_s, limit)
            self._log_unreadable(tail.unreadable_chats)
            if not tail.is_readable:
                raise PageRefused(NO_CHAT_READABLE)
            found = tail.messages
            for seen in found:
                key = str(seen["key"])
                message = None if self._journal.knows(key) else self._translate(key, seen)
                if message is not None:
                    self._journal.add(key, message)
                    self.received_at = self._clock.now()
            if found:
                await page.acknowledge([str(seen["key"]) for seen in found])
            if len(found) < limit:
                return True
        return False

    async def _tail(self, page: Page, floor_s: int, limit: int) -> Tail:
        """Reads the tail; a document that is new learns first what was handed in before it."""
        starts = self._journal.read_from_s()
        try:
            return await page.tail(starts, floor_s, limit)
        except PageRefused as error:
            if error.code != NOTHING_REMEMBERED:
                raise
        await page.remember(self._journal.handed_in())
        return await page.tail(starts, floor_s, limit)

    def _log_unreadable(self, chats: int) -> None:
        if bool(chats) != bool(self.unreadable_chats):
            log(LogEvent.CHATS_UNREADABLE, level=logging.WARNING, tenant=self._tenant, chats=chats)
        self.unreadable_chats = chats

    def _translate(self, key: str, seen: Mapping[str, Any]) -> Message | None:
        """Returns the wire message; logs which fields the page's values did not fit, and never a value."""
        fields: list[str] = []
        message = message_from(seen, fields.append)
        if fields:
            event = LogEvent.MESSAGE_NOT_CARRIED if message is None else LogEvent.MESSAGE_FIELDS_LEFT_OUT
            digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:KEY_HASH_LENGTH]
            log(event, level=logging.WARNING, tenant=self._tenant, message=digest, fields=sorted(set(fields)))
        return message
