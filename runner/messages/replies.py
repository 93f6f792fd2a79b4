"""The delivery of replies: takes a turn, deduplicates its messages in the chat, sends them, retries, notes them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from runner.backoff import backoff_seconds
from runner.browser.page import Page, PageError
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Refused, StaleEpoch
from runner.control_plane.lease import Lease
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.journal import Journal
from runner.messages.journal_entries import SentPart
from wire import Delivery, TakeRequest

#: The interval of checks for the server's ack of a sent message; other turns are sent meanwhile.
ACK_CHECK_SECONDS = 1.0
#: After this a missing ack counts as a failed attempt.
ACK_TIMEOUT_SECONDS = 10.0
#: After this the page is loaded again: a page that is online re-sends a message without ack only when it reconnects.
MAX_UNCONFIRMED_SECONDS = 30.0
MAX_ATTEMPTS = 5
#: An answer that still names a finished turn may be on its way for so long.
FINISHED_MEMORY_SECONDS = 12.0


class PostponeReason(StrEnum):
    """The reason why a turn is delivered later."""

    #: The lease ends too soon for a send.
    LEASE_TOO_SHORT = "lease_too_short"
    #: The page does not have the message any more that it sent.
    MESSAGE_LOST = "message_lost"
    #: WhatsApp's server did not accept the message.
    NOT_ACCEPTED = "not_accepted"
    #: WhatsApp's server did not confirm the message yet.
    UNCONFIRMED = "unconfirmed"


class Postponed(Exception):
    """The reply has to wait, for the given reason; ``ack`` is WhatsApp's code, if it gave one."""

    def __init__(self, reason: PostponeReason, ack: int | None = None) -> None:
        super().__init__(reason if ack is None else f"{reason}: ack {ack}")
        self.reason = reason


@dataclass
class DueTurn:
    """A turn to deliver, and when to try next."""

    delivery: Delivery
    not_before: float = 0.0
    attempts: int = 0
    #: Its message that is sent and not confirmed: (chat, id).
    awaited: tuple[str, str] | None = None


class Replies:
    """The replies of a session, one send at a time. The control plane names a turn again until it is done."""

    def __init__(
        self,
        *,
        tenant: str,
        epoch: int,
        client: ControlPlaneClient,
        lease: Lease,
        journal: Journal,
        clock: Clock,
        jitter: Callable[[], float],
        on_answered: Callable[[str], None],
    ) -> None:
        self.tenant = tenant
        self.epoch = epoch
        #: Turns to deliver, by id, in the order of their notification.
        self.due: dict[str, DueTurn] = {}
        #: When WhatsApp's server last accepted a message.
        self.sent_at: float | None = None
        self._client = client
        self._lease = lease
        self._journal = journal
        self._clock = clock
        self._jitter = jitter
        self._on_answered = on_answered
        self._online = False
        self._finishing = False
        self._woken = asyncio.Event()
        self._sending = asyncio.Lock()
        self._finished: dict[tuple[str, int], float] = {}
        #: When each own message was sent that the page has and WhatsApp's server did not confirm.
        self._unconfirmed: dict[str, float] = {}

    def set_online(self, online: bool) -> None:
        """Allows or stops sending."""
        if online and not self._online:
            self._woken.set()
        self._online = online

    def deliver(self, delivery: Delivery) -> None:
        """Queues a turn; idempotent, also for an answer on its way that names a turn just finished."""
        now = self._clock.now()
        self._finished = {turn: at for turn, at in self._finished.items() if now - at < FINISHED_MEMORY_SECONDS}
        if delivery.turn not in self.due and (delivery.turn, delivery.revision) not in self._finished:
            self.due[delivery.turn] = DueTurn(delivery)
            self._woken.set()

    def are_idle(self) -> bool:
        """Returns whether no turn is due or being sent."""
        return not (self.due or self._sending.locked())

    def are_stuck(self) -> bool:
        """Returns whether WhatsApp's server owes this page a confirmation for too long."""
        oldest = min(self._unconfirmed.values(), default=None)
        return oldest is not None and self._clock.now() - oldest >= MAX_UNCONFIRMED_SECONDS

    def forget_page(self) -> None:
        """Restarts the wait for confirmations: a new page sends unconfirmed messages again."""
        self._unconfirmed.clear()

    async def finish(self) -> None:
        """Takes no new turn and waits for the one being sent, as long as WhatsApp may still confirm it."""
        self._finishing = True
        while True:
            async with self._sending:
                unconfirmed = any(self._may_be_confirmed(due) for due in self.due.values())
            if not unconfirmed:
                return
            await self._clock.sleep(ACK_CHECK_SECONDS)

    async def run(self, page: Page) -> None:
        """Delivers due turns until cancelled; the page's supervisor recovers from errors of the page."""
        while True:
            now = self._clock.now()
            ready = [one for one in self.due.values() if one.not_before <= now and self._may_send(one)]
            if not ready:
                await self._clock.wait(self._woken, ACK_CHECK_SECONDS)
                self._woken.clear()
                continue
            due = ready[0]
            async with self._sending:
                done = await self._try(page, due)
            if done:
                self.due.pop(due.delivery.turn, None)
                self._finished[due.delivery.turn, due.delivery.revision] = self._clock.now()
                self._on_answered(due.delivery.chat)

    def _may_send(self, due: DueTurn) -> bool:
        begun = due.awaited is not None
        return self._online and (begun or not self._finishing) and self._lease.allows_sending()

    def _may_be_confirmed(self, due: DueTurn) -> bool:
        sent_at = self._unconfirmed.get(due.awaited[1]) if due.awaited is not None else None
        return sent_at is not None and self._clock.now() - sent_at < ACK_TIMEOUT_SECONDS

    async def _try(self, page: Page, due: DueTurn) -> bool:
        """Delivers one turn; returns whether it leaves the queue."""
        try:
            await self._deliver(page, due)
            return True
        except Postponed as error:
            if error.reason is PostponeReason.UNCONFIRMED and self._may_be_confirmed(due):
                due.not_before = self._clock.now() + ACK_CHECK_SECONDS
                return False
            return self._postpone(due, error)
        except (StaleEpoch, Refused) as error:
            log(LogEvent.TURN_REFUSED, tenant=self.tenant, turn=due.delivery.turn, code=error.code)
            return True
        except (ControlPlaneError, PageError) as error:
            return self._postpone(due, error)

    def _postpone(self, due: DueTurn, error: Exception) -> bool:
        """Retries later, with backoff; returns whether it leaves the queue: the control plane names it again."""
        due.attempts += 1
        due.not_before = self._clock.now() + backoff_seconds(due.attempts, self._jitter())
        log(LogEvent.TURN_POSTPONED, tenant=self.tenant, turn=due.delivery.turn, error=error, code=str(error))
        return due.attempts >= MAX_ATTEMPTS

    async def _deliver(self, page: Page, due: DueTurn) -> None:
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
            self._journal.add_sent(SentPart(chat, turn, index, part.id, self._clock.wall_ms()))
        log(LogEvent.TURN_DELIVERED, tenant=self.tenant, turn=turn, parts=len(taken.parts))

    async def _send(self, page: Page, due: DueTurn, message: tuple[str, str], text: str, quote: str | None) -> None:
        """Sends a message once (deduplicates): a message of an earlier attempt is found, and not sent again."""
        ack = await page.find(*message)
        if ack is None:
            if not self._lease.allows_sending():
                raise Postponed(PostponeReason.LEASE_TOO_SHORT)
            ack = (await page.send(*message, text, quote)).ack
        self._confirm(due, message, ack)
        self.sent_at = self._clock.now()

    def _confirm(self, due: DueTurn, message: tuple[str, str], ack: int | None) -> None:
        """Returns if WhatsApp's server has the message; raises Postponed otherwise."""
        due.awaited = message if ack == 0 else None
        if ack is None:
            raise Postponed(PostponeReason.MESSAGE_LOST)
        if ack < 0:
            raise Postponed(PostponeReason.NOT_ACCEPTED, ack)
        if ack == 0:  # WhatsApp Web re-sends by itself, under the same id, when it reconnects
            self._unconfirmed.setdefault(message[1], self._clock.now())
            raise Postponed(PostponeReason.UNCONFIRMED)
        self._unconfirmed.pop(message[1], None)
