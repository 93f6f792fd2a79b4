"""Replies out: each turn taken, looked up in its chat, sent under its own id, and said to be sent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from runner.backoff import backoff_seconds
from runner.browser.page import Page, PageError
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Refused, Stale
from runner.control_plane.lease import Lease
from runner.log_events import LogEvent
from runner.logs import log
from wire import Delivery, SentRequest, TakeRequest

#: A sent message without the server's ack is looked at this often; others speak meanwhile.
ACK_EVERY = 1.0
#: After this it counts as an attempt in vain.
ACK_WITHIN = 10.0
#: A page that says it is online sends what has no ack only when it has a new line to WhatsApp.
UNCONFIRMED_AT_MOST = 30.0
ATTEMPTS_AT_MOST = 5
#: As long as an answer that still names a finished turn may be on its way.
FINISHED_KNOWN_FOR = 12.0


class NotNow(Exception):
    """The reply has to wait: the lease is too short, or WhatsApp's server does not take it."""


class NotConfirmed(Exception):
    """The page has the message and WhatsApp's server did not say yet that it does, too."""


@dataclass
class Due:
    """A turn to deliver, and when to try next."""

    delivery: Delivery
    not_before: float = 0.0
    attempts: int = 0
    #: Its message that is sent and not confirmed: (chat, id).
    awaited: tuple[str, str] | None = None


class Replies:
    """One send at a time per session. A turn is asked for again by the control plane until it is done."""

    def __init__(
        self,
        *,
        tenant: str,
        epoch: int,
        client: ControlPlaneClient,
        lease: Lease,
        clock: Clock,
        chance: Callable[[], float],
        on_answered: Callable[[str], None],
    ) -> None:
        self.tenant = tenant
        self.epoch = epoch
        #: Turns to deliver, by id, in the order they were heard of.
        self.due: dict[str, Due] = {}
        #: When WhatsApp's server last took one.
        self.spoke_at: float | None = None
        self._client = client
        self._lease = lease
        self._clock = clock
        self._chance = chance
        self._on_answered = on_answered
        self._online = False
        self._leaving = False
        self._rung = asyncio.Event()
        self._speaking = asyncio.Lock()
        self._finished: dict[tuple[str, int], float] = {}
        self._unreported: list[SentRequest] = []
        #: Own messages the page has and WhatsApp's server did not confirm, since when.
        self._unconfirmed: dict[str, float] = {}

    def online(self, online: bool) -> None:
        """Replies may be sent from now on, or not any more."""
        if online and not self._online:
            self._rung.set()
        self._online = online

    def deliver(self, delivery: Delivery) -> None:
        """A turn is ready; hearing it twice is harmless, and an answer on its way may name one just finished."""
        now = self._clock.now()
        self._finished = {turn: at for turn, at in self._finished.items() if now - at < FINISHED_KNOWN_FOR}
        if delivery.turn not in self.due and (delivery.turn, delivery.revision) not in self._finished:
            self.due[delivery.turn] = Due(delivery)
            self._rung.set()

    def are_idle(self) -> bool:
        """Whether none is due, none is being sent, and none is still to be reported."""
        return not (self.due or self._unreported or self._speaking.locked())

    def are_stuck(self) -> bool:
        """Whether WhatsApp's server owes this document a confirmation for too long."""
        oldest = min(self._unconfirmed.values(), default=None)
        return oldest is not None and self._clock.now() - oldest >= UNCONFIRMED_AT_MOST

    def page_gone(self) -> None:
        """A new document sends again what was not confirmed: from now it has its time."""
        self._unconfirmed.clear()

    async def finish(self) -> None:
        """Take no new turn and wait for the one being sent, as long as WhatsApp may still confirm it."""
        self._leaving = True
        while True:
            async with self._speaking:
                unconfirmed = any(self._may_be_confirmed(due) for due in self.due.values())
            if not unconfirmed:
                return
            await self._clock.sleep(ACK_EVERY)

    async def run(self, page: Page) -> None:
        """Deliver what is due until cancelled; trouble with the page is the session's to mend."""
        while True:
            now = self._clock.now()
            ready = [one for one in self.due.values() if one.not_before <= now and self._may_speak(one)]
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
                self._on_answered(due.delivery.chat)

    async def report_sent(self) -> None:
        """Say what was sent and not yet said."""
        for request in list(self._unreported):
            try:
                await self._client.sent(request)
            except Refused as trouble:
                log(LogEvent.SENT_REPORT_REFUSED, tenant=self.tenant, turn=request.turn, code=trouble.code)
            if request in self._unreported:  # another task may have reported it meanwhile
                self._unreported.remove(request)

    def _may_speak(self, due: Due) -> bool:
        begun = due.awaited is not None
        return self._online and (begun or not self._leaving) and self._lease.allows_sending()

    def _may_be_confirmed(self, due: Due) -> bool:
        since = self._unconfirmed.get(due.awaited[1]) if due.awaited is not None else None
        return since is not None and self._clock.now() - since < ACK_WITHIN

    async def _try(self, page: Page, due: Due) -> bool:
        """Deliver one turn; say whether it is off the list."""
        delivery = due.delivery
        try:
            await self._deliver(page, due)
            return True
        except NotConfirmed as trouble:
            if self._may_be_confirmed(due):
                due.not_before = self._clock.now() + ACK_EVERY
                return False
            return self._put_off(due, trouble)
        except (Stale, Refused) as trouble:
            log(LogEvent.TURN_REFUSED, tenant=self.tenant, turn=delivery.turn, code=trouble.code)
            return True
        except (ControlPlaneError, PageError, NotNow) as trouble:
            return self._put_off(due, trouble)

    def _put_off(self, due: Due, trouble: Exception) -> bool:
        """Try again later; say whether it is off the list: the control plane names an overdue turn again."""
        due.attempts += 1
        due.not_before = self._clock.now() + backoff_seconds(due.attempts, self._chance())
        log(LogEvent.TURN_POSTPONED, tenant=self.tenant, turn=due.delivery.turn, error=trouble, code=str(trouble))
        return due.attempts >= ATTEMPTS_AT_MOST

    async def _deliver(self, page: Page, due: Due) -> None:
        turn, chat = due.delivery.turn, due.delivery.chat
        if due.awaited is not None:
            self._confirm(due, due.awaited, await page.find(*due.awaited))
        taken = await self._client.take(TakeRequest(tenant=self.tenant, epoch=self.epoch, chat=chat, turn=turn))
        if taken.result == "gone":
            log(LogEvent.TURN_GONE, tenant=self.tenant, turn=turn)
            return
        for index in range(taken.cursor, len(taken.parts)):
            part = taken.parts[index]
            await self._send(page, due, (taken.chat, part.id), part.text, taken.quote if index == 0 else None)
            sent = SentRequest(tenant=self.tenant, epoch=self.epoch, chat=chat, turn=turn, part=index, message=part.id)
            if sent not in self._unreported:  # an earlier attempt could not say it
                self._unreported.append(sent)
            await self.report_sent()
        log(LogEvent.TURN_DELIVERED, tenant=self.tenant, turn=turn, parts=len(taken.parts))

    async def _send(self, page: Page, due: Due, message: tuple[str, str], text: str, quote: str | None) -> None:
        """An earlier attempt's message is found again, never sent beside."""
        ack = await page.find(*message)
        if ack is None:
            if not self._lease.allows_sending():
                raise NotNow("lease")
            ack = (await page.send(*message, text, quote)).ack
        self._confirm(due, message, ack)
        self.spoke_at = self._clock.now()

    def _confirm(self, due: Due, message: tuple[str, str], ack: int | None) -> None:
        """WhatsApp's server has it; or an exception says when to look again, and others speak meanwhile."""
        due.awaited = message if ack == 0 else None
        if ack is None:
            raise NotNow("the page forgot it")
        if ack < 0:
            raise NotNow(f"ack {ack}")
        if ack == 0:  # WhatsApp Web re-sends by itself, under the same id, on its next line
            self._unconfirmed.setdefault(message[1], self._clock.now())
            raise NotConfirmed("ack 0")
        self._unconfirmed.pop(message[1], None)
