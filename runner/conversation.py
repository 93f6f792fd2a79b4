"""One session's messages in and replies out, in order (design §5, steps 1, 2 and 4)."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.clock import Clock
from runner.control import ControlTrouble, Refused, Stale
from runner.journal import OVERLAP_S, Journal
from runner.lease import Lease
from runner.logs import note
from runner.page import Page, PageTrouble
from runner.translation import message_from
from runner.typing_signs import TypingSigns
from wire import (
    MESSAGES_PER_BATCH,
    Delivery,
    MessagesAnswer,
    MessagesRequest,
    Outcome,
    SentAnswer,
    SentRequest,
    TakeAnswer,
    TakeRequest,
)

SWEEP_EVERY = 5.0
#: How many messages one look at the page brings.
TAIL_AT_MOST = 200
#: A message handed in is expected to be answered within this; until then syncs are held (design §4).
EXPECTED_FOR = 120.0
#: Without the page's own word that all is delivered, so long online counts as it.
SETTLED_AFTER = 60.0
#: A sent message without the server's ack is looked at this often.
ACK_EVERY = 1.0
ACK_WITHIN = 60.0
ATTEMPTS_AT_MOST = 5
#: As long as an answer that still names a finished turn may be on its way.
FINISHED_KNOWN_FOR = 12.0
HARVEST_WITHIN = 8.0
#: What is reported as caught up lags by this: the control plane takes everything earlier for history, and WhatsApp
#: does not deliver strictly in the order of its own clock.
CAUGHT_UP_LAG_S = 120
#: And it moves in steps, since each is a write.
CAUGHT_UP_STEP_S = 60
#: A message that cannot be decrypted for so long is no reason to wait any more (reliability.md §2.4).
DECRYPTED_WITHIN_S = 600


class Door(Protocol):
    """The control plane, as far as a conversation needs it, with the token already chosen."""

    async def messages(self, request: MessagesRequest) -> MessagesAnswer: ...
    async def take(self, request: TakeRequest) -> TakeAnswer: ...
    async def sent(self, request: SentRequest) -> SentAnswer: ...


class NotNow(Exception):
    """The reply has to wait: the lease is too short, or WhatsApp's server has not confirmed it yet."""


@dataclass
class Due:
    """A turn to deliver, and when to try next."""

    delivery: Delivery
    not_before: float = 0.0
    attempts: int = 0


class Conversation:
    """Lives as long as its session and survives the pages.

    Events are hints: whatever happened, the same sweep hands in every chat's tail, so that a lost event costs five
    seconds and never a message. A message waits on disk until the control plane acknowledged it. A reply is looked
    up in the chat before it is sent, under an id that is the same after any crash.
    """

    def __init__(
        self,
        tenant: str,
        epoch: int,
        door: Door,
        lease: Lease,
        journal: Journal,
        clock: Clock,
        chance: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.tenant = tenant
        self.epoch = epoch
        #: WhatsApp time up to which every message was handed in and acknowledged.
        self.caught_up_to_ms: int | None = None
        #: Turns to deliver, by id, in the order they were heard of.
        self.due: dict[str, Due] = {}
        self._door = door
        self._lease = lease
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._changed = changed
        self._hinted = asyncio.Event()
        self._rung = asyncio.Event()
        self._finished: dict[tuple[str, int], float] = {}
        self._unreported: list[SentRequest] = []
        self._expected: dict[str, float] = {}
        self._signs = TypingSigns(clock)
        self._online_since: float | None = None
        self._delivered_offline = False
        self._readable = False
        self._leaving = False
        self._speaking = asyncio.Lock()

    # -- what the session tells -----------------------------------------------------------------------------------

    def linked(self, caught_up_to_ms: int | None) -> None:
        """The page is logged in. The first time ever begins now: history is never answered."""
        if caught_up_to_ms is not None:
            self._journal.begin_at(caught_up_to_ms // 1000 - OVERLAP_S)
        elif self._journal.floor_s is None:
            self._journal.begin_at(self._clock.wall_ms() // 1000)

    def online(self, delivered_offline: bool) -> None:
        """The page is proven online: it may be read from now on, and written to."""
        self._delivered_offline = delivered_offline
        if self._online_since is None:
            self._online_since = self._clock.now()
            self._readable = True
            self._hinted.set()
            self._rung.set()

    def offline(self) -> None:
        """No replies until the next proof; what the page holds is still handed in."""
        self._online_since = None

    def page_gone(self) -> None:
        """A new document knows nothing yet."""
        self._online_since = None
        self._readable = False

    def hint(self) -> None:
        """Something happened on the page."""
        self._hinted.set()

    def deliver(self, delivery: Delivery) -> None:
        """A turn is ready; hearing it twice is harmless, and an answer on its way may name one just finished."""
        now = self._clock.now()
        self._finished = {turn: at for turn, at in self._finished.items() if now - at < FINISHED_KNOWN_FOR}
        if delivery.turn not in self.due and (delivery.turn, delivery.revision) not in self._finished:
            self.due[delivery.turn] = Due(delivery)
            self._rung.set()

    def is_pending(self) -> bool:
        """Whether an answer is expected soon."""
        now = self._clock.now()
        self._expected = {chat: until for chat, until in self._expected.items() if until > now}
        return bool(self._expected)

    async def finish(self) -> None:
        """Take no new turn and wait for the one being sent."""
        self._leaving = True
        async with self._speaking:
            return

    # -- the two loops --------------------------------------------------------------------------------------------

    async def run(self, page: Page) -> None:
        """Listen and speak until cancelled; trouble with the page is the session's to mend."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(page))
            group.create_task(self._speak(page))
            group.create_task(self._signs.run(page))

    async def _listen(self, page: Page) -> None:
        attempt = 0
        while True:
            await self._clock.wait(self._hinted, SWEEP_EVERY)
            self._hinted.clear()
            if not self._readable:
                continue
            try:
                await self._report_sent()
                await self.sweep(page)
                attempt = 0
            except (ControlTrouble, PageTrouble) as trouble:
                if attempt == 0:
                    note("sweep interrupted", tenant=self.tenant, trouble=trouble, code=str(trouble))
                await self._clock.sleep(backoff(attempt, self._chance()))
                attempt += 1
                self._hinted.set()

    async def sweep(self, page: Page) -> None:
        """Hand in every chat's tail after the last acknowledged message."""
        if self._journal.floor_s is None:
            return
        while True:
            limit = min(TAIL_AT_MOST, self._journal.room())
            found = await page.tail(self._journal.since(), self._journal.floor_s, limit) if limit else ()
            known = []
            for seen in found:
                key = str(seen["key"])
                message = None if self._journal.knows(key) else message_from(seen)
                if message is not None:
                    self._journal.see(key, message)
                elif key not in self._journal.waiting:
                    known.append(key)  # acknowledged before this page was born, or no message at all
            if known:
                await page.acknowledge(known)
            acknowledged = await self._hand_in()
            if acknowledged:
                await page.acknowledge(acknowledged)
            if len(found) < limit or not (known or acknowledged):
                break
        self._say_caught_up()

    async def harvest(self, page: Page | None) -> None:
        """Before a session is killed: hand in what was seen, and say what was sent. Neither is fenced."""
        try:
            async with asyncio.timeout(HARVEST_WITHIN):
                await self._report_sent()
                if page is not None and self._readable:
                    await self.sweep(page)
                else:
                    await self._hand_in()
        except (ControlTrouble, PageTrouble, TimeoutError) as trouble:
            note("harvest incomplete", tenant=self.tenant, trouble=trouble, waiting=len(self._journal.waiting))

    async def _hand_in(self) -> list[str]:
        acknowledged: list[str] = []
        while self._journal.waiting:
            batch = list(self._journal.waiting)[:MESSAGES_PER_BATCH]
            done = await self._hand_in_batch(batch)
            if not done:
                break
            acknowledged += done
        return acknowledged

    async def _hand_in_batch(self, keys: Sequence[str]) -> list[str]:
        messages = [self._journal.waiting[key] for key in keys]
        request = MessagesRequest(tenant=self.tenant, epoch=self.epoch, messages=tuple(messages))
        try:
            answer = await self._door.messages(request)
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
            self._changed()
        return done

    async def _refused(self, keys: Sequence[str], trouble: Refused) -> list[str]:
        """One message the control plane will never take must not hold up the others."""
        if len(keys) == 1:
            note("message refused", level=logging.WARNING, tenant=self.tenant, code=trouble.code)
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
            self._changed()

    # -- replies --------------------------------------------------------------------------------------------------

    async def _speak(self, page: Page) -> None:
        while True:
            now = self._clock.now()
            ready = [one for one in self.due.values() if one.not_before <= now] if self._may_speak() else []
            if not ready:
                await self._clock.wait(self._rung, ACK_EVERY)
                self._rung.clear()
                continue
            due = ready[0]
            async with self._speaking:
                done = await self._try(page, due)
            if done:
                self.due.pop(due.delivery.turn, None)
                self._finished[due.delivery.turn, due.delivery.revision] = self._clock.now()
                self._answered(due.delivery.chat)

    def _may_speak(self) -> bool:
        return self._online_since is not None and not self._leaving and self._lease.allows_sending()

    async def _try(self, page: Page, due: Due) -> bool:
        """Deliver one turn; say whether it is off the list."""
        delivery = due.delivery
        try:
            await self._deliver(page, delivery)
            return True
        except (Stale, Refused) as trouble:
            note("turn given up", tenant=self.tenant, turn=delivery.turn, code=trouble.code)
            return True
        except (ControlTrouble, PageTrouble, NotNow) as trouble:
            due.attempts += 1
            due.not_before = self._clock.now() + backoff(due.attempts, self._chance())
            note("turn delayed", tenant=self.tenant, turn=delivery.turn, trouble=trouble, code=str(trouble))
            # The control plane rings for an overdue turn again; it must not block the others for ever.
            return due.attempts >= ATTEMPTS_AT_MOST

    async def _deliver(self, page: Page, delivery: Delivery) -> None:
        turn, chat = delivery.turn, delivery.chat
        taken = await self._door.take(TakeRequest(tenant=self.tenant, epoch=self.epoch, chat=chat, turn=turn))
        if taken.result == "gone":
            note("turn gone", tenant=self.tenant, turn=turn)
            return
        for index in range(taken.cursor, len(taken.parts)):
            part = taken.parts[index]
            await self._send(page, taken.chat, part.id, part.text, taken.quote if index == 0 else None)
            self._unreported.append(
                SentRequest(tenant=self.tenant, epoch=self.epoch, chat=chat, turn=turn, part=index, message=part.id)
            )
            await self._report_sent()
        note("turn delivered", tenant=self.tenant, turn=turn, parts=len(taken.parts))

    async def _send(self, page: Page, chat: str, message: str, text: str, quote: str | None) -> None:
        """Until WhatsApp's server has the message: an earlier attempt's is found again, never sent beside."""
        ack = await page.find(chat, message)
        if ack is None:
            if not self._lease.allows_sending():
                raise NotNow("lease")
            ack = (await page.send(chat, message, text, quote)).ack
        give_up_at = self._clock.now() + ACK_WITHIN
        while ack is not None and ack < 1:
            # Ack 0: WhatsApp Web re-sends by itself, under the same id (reliability.md §2.3).
            if ack < 0 or self._clock.now() >= give_up_at:
                raise NotNow(f"ack {ack}")
            await self._clock.sleep(ACK_EVERY)
            ack = await page.find(chat, message)

    async def _report_sent(self) -> None:
        for request in list(self._unreported):
            try:
                await self._door.sent(request)
            except Refused as trouble:
                note("sent refused", tenant=self.tenant, turn=request.turn, code=trouble.code)
            if request in self._unreported:  # the other loop may have reported it meanwhile
                self._unreported.remove(request)

    def _answered(self, chat: str) -> None:
        self._expected.pop(chat, None)
        self._signs.end(chat)


def backoff(attempt: int, chance: float) -> float:
    """Doubling from half a second to half a minute, ±50 %."""
    return float(min(30.0, 0.5 * 2.0**attempt) * (0.5 + chance))
