"""The inbox of a session: moves the page's messages to the journal, each wording once and in order."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from runner.browser.page import NOTHING_REMEMBERED, Page, PageError, PageRefused, Tail
from runner.clock import Clock
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.journal import Journal
from runner.messages.translation import message_from
from wire import Message

#: The largest number of messages that are read from the page at once.
MAX_TAIL = 200
KEY_HASH_LENGTH = 12
#: A line whose messages cannot be read for so long is not online.
UNREADABLE_AFTER_SECONDS = 60.0
#: So long a chat that cannot be read keeps what comes later from being the time up to which everything was read.
MAX_HOLD_BACK_SECONDS = 3600.0
#: The code of a page that has something new and cannot read a single chat.
NO_CHAT_READABLE = "no_chat_readable"


class Inbox:
    """Reads every chat's tail: new messages, and those whose wording changed after they were read."""

    def __init__(self, *, tenant: str, journal: Journal, clock: Clock) -> None:
        #: When the last new message was read from the page.
        self.received_at: float | None = None
        #: The number of chats with something new that the page could not read the last time.
        self.unreadable_chats = 0
        #: The error of the last reading of this page; empty if it succeeded, or if there was none yet.
        self.failed_with = ""
        self._failing_since: float | None = None
        self._chats_unreadable_since: float | None = None
        self._tenant = tenant
        self._journal = journal
        self._clock = clock

    @property
    def is_unreadable(self) -> bool:
        """Returns whether messages cannot be read for so long that the line is not online."""
        return self._failing_since is not None and self._clock.now() - self._failing_since >= UNREADABLE_AFTER_SECONDS

    def holds_back(self) -> bool:
        """Returns whether there is a chat whose messages are still hoped for."""
        since = self._chats_unreadable_since
        return since is not None and self._clock.now() - since < MAX_HOLD_BACK_SECONDS

    def excuse(self) -> None:
        """Forgets failures: the page answers no other call either."""
        self._failing_since = None

    def forget_page(self) -> None:
        """Starts over for a new page; it has yet to be read."""
        self.failed_with = ""

    async def read(self, page: Page) -> bool:
        """Moves every chat's tail to the journal; returns whether all of it fitted.

        Raises PageRefused if no chat can be read; a single one is left out and counted.
        """
        try:
            complete = await self._read(page)
        except PageError as error:
            self.failed_with = str(error)
            self._failing_since = self._clock.now() if self._failing_since is None else self._failing_since
            raise
        self.failed_with, self._failing_since = "", None
        return complete

    async def _read(self, page: Page) -> bool:
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
            self._chats_unreadable_since = self._clock.now() if chats else None
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
