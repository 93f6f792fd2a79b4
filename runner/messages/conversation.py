"""One session's messages: handed in completely and in order, and what the contact sees meanwhile."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from runner.backoff import backoff_seconds
from runner.browser.page import Page, PageError
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Refused
from runner.control_plane.lease import Lease
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.journal import OVERLAP_S, Journal
from runner.messages.replies import Replies
from runner.messages.translation import message_from
from runner.messages.typing_indicator import TypingIndicator
from wire import MESSAGES_PER_BATCH, MessagesRequest, Outcome

SWEEP_EVERY = 5.0
#: How many messages one look at the page brings.
TAIL_AT_MOST = 200
#: A message handed in is expected to be answered within this; until then syncs are held (docs/design/placement.md).
EXPECTED_FOR = 120.0
#: So long after the last message, in or out, a page that goes away for some seconds is missed by nobody.
QUIET_AFTER = 30.0
#: Without the page's own word that all is delivered, so long online counts as it.
SETTLED_AFTER = 60.0
#: Messages in one request, as Lambda gets it: JSON within JSON, of which API Gateway takes 6 MiB in all.
BATCH_AT_MOST_BYTES = 4 << 20
HARVEST_WITHIN = 8.0
REPORTED_WITHIN = 2.0
#: What is reported as caught up lags by this: the control plane takes everything earlier for history, and WhatsApp
#: does not deliver strictly in the order of its own clock.
CAUGHT_UP_LAG_S = 120
#: And it moves in steps, since each is a write.
CAUGHT_UP_STEP_S = 60
#: A message that cannot be decrypted for so long is no reason to wait any more.
DECRYPTED_WITHIN_S = 600


class Conversation:
    """Lives as long as its session and survives the pages.

    Events are hints: whatever happened, the same sweep reads every chat's tail, so that a lost event costs five
    seconds and never a message. What was read is on disk before anything else is waited for, since WhatsApp has its
    receipt; there it waits until the control plane acknowledged it. A reply is looked up in the chat before it is
    sent, under an id that is the same after any crash.
    """

    def __init__(
        self,
        *,
        tenant: str,
        epoch: int,
        client: ControlPlaneClient,
        lease: Lease,
        journal: Journal,
        clock: Clock,
        chance: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self.tenant = tenant
        self.epoch = epoch
        #: WhatsApp time up to which every message was handed in and acknowledged.
        self.caught_up_to_ms: int | None = None
        #: When the last new message was found on the page.
        self.heard_at: float | None = None
        #: What is said in this session's chats.
        self.replies = Replies(
            tenant=tenant,
            epoch=epoch,
            client=client,
            lease=lease,
            clock=clock,
            chance=chance,
            on_answered=self._answered,
        )
        self._client = client
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._on_change = on_change
        self._hinted = asyncio.Event()
        self._noted = asyncio.Event()
        self._expected: dict[str, float] = {}
        self._signs = TypingIndicator(clock)
        self._online_since: float | None = None
        self._delivered_offline = False
        self._readable = False
        self._may_hand_in = True

    # -- what the session tells -----------------------------------------------------------------------------------

    def linked(self, caught_up_to_ms: int | None) -> None:
        """The page is logged in. The first time ever begins now: history is never answered."""
        if caught_up_to_ms is not None:
            self._journal.begin_at(caught_up_to_ms // 1000 - OVERLAP_S)
        elif self._journal.floor_s is None:
            self._journal.begin_at(self._clock.wall_ms() // 1000)

    def may_hand_in(self, may: bool) -> None:
        """Not before the control plane knows of the link, since until then it takes every message for history."""
        if may and not self._may_hand_in:
            self._noted.set()
        self._may_hand_in = may

    def readable(self) -> None:
        """The page is of our account: what it received is read, before and after it is proven online."""
        if not self._readable:
            self._readable = True
            self._hinted.set()

    def online(self, delivered_offline: bool) -> None:
        """The page is proven online: it may be written to."""
        self._delivered_offline = delivered_offline
        if self._online_since is None:
            self._online_since = self._clock.now()
            self._hinted.set()
        self.readable()
        self.replies.online(True)

    def offline(self) -> None:
        """No replies until the next proof; what the page holds is still handed in."""
        self._online_since = None
        self.replies.online(False)

    def page_gone(self) -> None:
        """A new document knows nothing yet."""
        self.offline()
        self.replies.page_gone()
        self._readable = False

    def hint(self) -> None:
        """Something happened on the page."""
        self._hinted.set()

    def is_pending(self) -> bool:
        """Whether an answer is expected soon."""
        now = self._clock.now()
        self._expected = {chat: until for chat, until in self._expected.items() if until > now}
        return bool(self._expected)

    def is_quiet(self) -> bool:
        """Whether nobody waits for anything here, and nobody did a moment ago."""
        if self.is_pending() or self._journal.waiting or not self.replies.are_idle():
            return False
        lately = max(self.heard_at or 0.0, self.replies.spoke_at or 0.0)
        return self._clock.now() - lately >= QUIET_AFTER

    # -- the loops ------------------------------------------------------------------------------------------------

    async def run(self, page: Page) -> None:
        """Listen, tell and speak until cancelled; trouble with the page is the session's to mend."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(page))
            group.create_task(self._tell())
            group.create_task(self.replies.run(page))
            group.create_task(self._signs.run(page))

    async def _listen(self, page: Page) -> None:
        """What the page received is noted at once, whether or not the control plane answers."""
        attempt = 0
        while True:
            await self._clock.wait(self._hinted, SWEEP_EVERY)
            self._hinted.clear()
            if not self._readable:
                continue
            try:
                await self._read(page)
                self._say_caught_up()
                attempt = 0
            except PageError as trouble:
                await self._pause(LogEvent.READING_INTERRUPTED, trouble, attempt)
                attempt += 1
                self._hinted.set()

    async def _tell(self) -> None:
        """What was noted is handed in, and what was sent is said."""
        attempt = 0
        while True:
            await self._clock.wait(self._noted, SWEEP_EVERY)
            self._noted.clear()
            troubles = []
            steps: tuple[Callable[[], Awaitable[object]], ...] = (self.hand_in, self.replies.report_sent)
            for step in steps:
                try:
                    await step()
                except ControlPlaneError as trouble:
                    troubles.append(trouble)
            if not troubles:
                attempt = 0
                continue
            await self._pause(LogEvent.HANDING_IN_INTERRUPTED, troubles[0], attempt)
            attempt += 1
            self._noted.set()

    async def _pause(self, event: LogEvent, trouble: Exception, attempt: int) -> None:
        """Never longer than between two sweeps: what waits here is on this machine alone."""
        if attempt == 0:
            log(event, tenant=self.tenant, error=trouble, code=str(trouble))
        await self._clock.sleep(min(SWEEP_EVERY, backoff_seconds(attempt, self._chance())))

    async def sweep(self, page: Page) -> None:
        """Hand in every chat's tail after the last acknowledged message."""
        whole = False
        while not whole:
            whole = await self._read(page)
            if not await self.hand_in():
                break
        self._say_caught_up()

    async def _read(self, page: Page) -> bool:
        """Note every chat's tail; whether that was all of it, as far as there is room to note it."""
        if self._journal.floor_s is None:
            return True
        while limit := min(TAIL_AT_MOST, self._journal.room()):
            found = await page.tail(self._journal.since(), self._journal.floor_s, limit)
            for seen in found:
                key = str(seen["key"])
                message = None if self._journal.knows(key) else message_from(seen)
                if message is not None:
                    self._journal.see(key, message)
                    self.heard_at = self._clock.now()
                    self._noted.set()
            if found:
                await page.acknowledge([str(seen["key"]) for seen in found])
            if len(found) < limit:
                return True
        return False

    async def hand_in(self) -> bool:
        """Whether the control plane has all that was noted."""
        while self._may_hand_in and self._journal.waiting:
            if not await self._hand_in_batch(self._next_batch()):
                break
        return not self._journal.waiting

    def _next_batch(self) -> list[str]:
        """The first that fit into one request; always one at least."""
        batch: list[str] = []
        size_bytes = 0
        for key, message in islice(self._journal.waiting.items(), MESSAGES_PER_BATCH):
            size_bytes += len(json.dumps(message.model_dump_json(exclude_none=True)))
            if batch and size_bytes > BATCH_AT_MOST_BYTES:
                break
            batch.append(key)
        return batch

    async def harvest(self, page: Page | None, *, of_our_account: bool = False) -> None:
        """Before a session ends: hand in what was seen, and say what was sent. Neither is fenced.

        A page that was never proven online is read only if the caller saw that it is ``of_our_account``.
        """
        try:
            async with asyncio.timeout(HARVEST_WITHIN):
                if page is not None and (self._readable or of_our_account):
                    await self.sweep(page)
                else:
                    await self.hand_in()
        except (ControlPlaneError, PageError, TimeoutError) as trouble:
            log(LogEvent.FLUSH_INCOMPLETE, tenant=self.tenant, error=trouble, waiting=len(self._journal.waiting))
        try:
            async with asyncio.timeout(REPORTED_WITHIN):
                await self.replies.report_sent()
        except (ControlPlaneError, TimeoutError) as trouble:
            log(LogEvent.SENT_REPORT_FAILED, tenant=self.tenant, error=trouble)

    async def _hand_in_batch(self, keys: Sequence[str]) -> list[str]:
        keys = [key for key in keys if key in self._journal.waiting]  # another task may have handed it in meanwhile
        if not keys:
            return []
        messages = [self._journal.waiting[key] for key in keys]
        request = MessagesRequest(tenant=self.tenant, epoch=self.epoch, messages=tuple(messages))
        try:
            answer = await self._client.messages(request)
        except Refused as trouble:
            return await self._refused(keys, trouble)
        outcomes = {(one.chat, one.id): one.outcome for one in answer.acknowledged}
        done = []
        for key, message in zip(keys, messages, strict=True):
            outcome = outcomes.get((message.chat, message.id))
            if outcome is None:
                continue
            self._journal.acknowledge(key)
            done.append(key)
            if outcome is Outcome.QUEUED:
                self._expected[message.chat] = self._clock.now() + EXPECTED_FOR
                self._signs.expect(message.chat)
            elif outcome is Outcome.TAKEOVER:
                self._answered(message.chat)
        if any(outcome is Outcome.QUEUED for outcome in outcomes.values()):
            self._on_change()
        return done

    async def _refused(self, keys: Sequence[str], trouble: Refused) -> list[str]:
        """One message the control plane will never take must not hold up the others."""
        if len(keys) == 1:
            log(LogEvent.MESSAGE_REFUSED, level=logging.WARNING, tenant=self.tenant, code=trouble.code)
            self._journal.acknowledge(keys[0])
            return list(keys)
        return [done for key in keys for done in await self._hand_in_batch([key])]

    def _say_caught_up(self) -> None:
        """Only when nothing waits and everything that came while the browser was away is there."""
        now, since = self._clock.now(), self._online_since
        settled = since is not None and (self._delivered_offline or now - since >= SETTLED_AFTER)
        up_to = self._journal.caught_up_to_s(self._clock.wall_ms() // 1000, CAUGHT_UP_LAG_S, DECRYPTED_WITHIN_S)
        if not settled or self._journal.waiting or up_to is None:
            return
        if since is not None and now - since >= OVERLAP_S:
            self._journal.begin_at(up_to - OVERLAP_S)
        if self.caught_up_to_ms is None or up_to * 1000 >= self.caught_up_to_ms + CAUGHT_UP_STEP_S * 1000:
            self.caught_up_to_ms = up_to * 1000
            self._on_change()

    def _answered(self, chat: str) -> None:
        self._expected.pop(chat, None)
        self._signs.end(chat)
