"""The delivery of replies: takes a turn, deduplicates its messages in the chat, sends them, retries, notes them."""

import asyncio
from collections.abc import Callable

from runner.backoff import backoff_seconds
from runner.browser.page import Page, PageError, PageRestriction
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient, ControlPlaneError, Refused, StaleEpoch, TransientError
from runner.control_plane.lease import Lease
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.due_turn import DueTurn, Postponed, PostponeReason, RefusedForGood
from runner.messages.journal import Journal
from runner.messages.journal_entries import SentPart
from runner.messages.refusals import Refusals
from runner.messages.restriction import AccountRestriction
from runner.messages.token_bucket import TokenBucket
from wire import Delivery, RefusedRequest, TakeAnswer, TakeRequest

#: The interval of checks for the server's ack of a sent message; other turns are sent meanwhile.
ACK_CHECK_SECONDS = 1.0
#: After this a missing ack counts as a failed attempt.
ACK_TIMEOUT_SECONDS = 10.0
#: After this the page is loaded again: a page that is online re-sends a message without ack only when it reconnects.
MAX_UNCONFIRMED_SECONDS = 30.0
MAX_ATTEMPTS = 5
#: A restricted account is asked again after this whether it may write in the chat.
RESTRICTED_RETRY_SECONDS = 300.0
#: A control plane of an earlier release does not know the report of a refused reply: it is asked again after this.
UNKNOWN_REPORT_RETRY_SECONDS = 300.0
#: The turns that began in this process, and need no other token, are remembered so far back.
MAX_BEGUN = 500
#: An answer that still names a finished turn may be on its way for so long.
FINISHED_MEMORY_SECONDS = 12.0


class Replies:
    """The replies of a session, one send at a time. The control plane names a turn again until it is done.

    Of the turns that are due the newest goes first, at the line's pace; a turn that has begun goes on before.
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
        jitter: Callable[[], float],
        on_answered: Callable[[str], None],
        bucket: TokenBucket,
    ) -> None:
        self.tenant = tenant
        self.epoch = epoch
        #: Turns to deliver, by id, in the order of their notification.
        self.due: dict[str, DueTurn] = {}
        #: When WhatsApp's server last accepted a message.
        self.sent_at: float | None = None
        self.restriction = AccountRestriction()
        self._client = client
        self._lease = lease
        self._journal = journal
        self._clock = clock
        self._jitter = jitter
        self._on_answered = on_answered
        self._bucket = bucket
        self._refusals = Refusals()
        #: Turns that took their token, oldest first; a retry takes no other.
        self._begun: dict[str, None] = {}
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

    def observe_restriction(self, stated: PageRestriction | None) -> None:
        """Records whether the page says that the account is restricted; once it is not, turns that waited go on."""
        if (stated is None) is not (self.restriction.stated is None):
            log(LogEvent.RESTRICTION_CHANGED, tenant=self.tenant, restricted=stated is not None)
        self.restriction.stated = stated
        for due in self.due.values():
            if due.restricted and stated is None:
                due.restricted, due.not_before = False, 0.0

    def are_idle(self) -> bool:
        """Returns whether no turn is due, unless a restriction holds it back, or being sent."""
        return not (self._sending.locked() or any(not self._is_held(due) for due in self.due.values()))

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
            due = self._next()
            if due is None:
                await self._clock.wait(self._woken, ACK_CHECK_SECONDS)
                self._woken.clear()
                continue
            async with self._sending:
                done = await self._try(page, due)
            if done:
                self.due.pop(due.delivery.turn, None)
                self._finished[due.delivery.turn, due.delivery.revision] = self._clock.now()
                self._on_answered(due.delivery.chat)

    def _next(self) -> DueTurn | None:
        """Returns the turn to deliver now: one that has begun, or else the newest, if the line's pace allows it."""
        now = self._clock.now()
        ready = [one for one in self.due.values() if one.not_before <= now and self._may_send(one)]
        begun = [one for one in ready if one.delivery.turn in self._begun]
        if begun or self._bucket.wait_seconds(now):
            return begun[0] if begun else None
        return max(reversed(ready), key=lambda one: one.delivery.sent_at_ms, default=None)

    def _is_held(self, due: DueTurn) -> bool:
        """Returns whether a restriction of the account holds the turn back."""
        return due.awaited is None and (due.restricted or not self.restriction.may_try(self._clock.now()))

    def _may_send(self, due: DueTurn) -> bool:
        begun = due.awaited is not None
        may = begun or (not self._finishing and self.restriction.may_try(self._clock.now()))
        return self._online and may and self._lease.allows_sending()

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
            if error.reason is PostponeReason.RESTRICTED:
                return self._hold(due, error)
            return self._postpone(due, error)
        except (StaleEpoch, Refused) as error:
            log(LogEvent.TURN_REFUSED, tenant=self.tenant, turn=due.delivery.turn, code=error.code)
            return True
        except (ControlPlaneError, PageError) as error:
            return self._postpone(due, error)

    def _postpone(self, due: DueTurn, error: Exception) -> bool:
        """Retries later, with backoff; returns whether it leaves the queue: the control plane names it again."""
        due.attempts += 1
        reason = error.reason if isinstance(error, Postponed) else None
        retry_at = self._clock.now() + backoff_seconds(due.attempts, self._jitter())
        if reason is PostponeReason.REFUSAL_UNREPORTED and due.attempts >= MAX_ATTEMPTS:
            retry_at = self._clock.now() + UNKNOWN_REPORT_RETRY_SECONDS
        if reason is not PostponeReason.NOT_ACCEPTED:  # it knows itself when it is sent again
            due.not_before = retry_at
        log(LogEvent.TURN_POSTPONED, tenant=self.tenant, turn=due.delivery.turn, error=error, code=str(error))
        stays = reason in {PostponeReason.NOT_ACCEPTED, PostponeReason.REFUSAL_UNREPORTED}
        return due.attempts >= MAX_ATTEMPTS and not stays

    def _hold(self, due: DueTurn, error: Postponed) -> bool:
        """Waits for the end of the restriction; the turn is not taken, so that what the contact writes joins it."""
        if not due.restricted:
            log(LogEvent.TURN_POSTPONED, tenant=self.tenant, turn=due.delivery.turn, error=error, code=str(error))
        due.restricted, due.not_before = True, self._clock.now() + RESTRICTED_RETRY_SECONDS
        return False

    async def _deliver(self, page: Page, due: DueTurn) -> None:
        turn, chat = due.delivery.turn, due.delivery.chat
        if due.awaited is not None:
            self._confirm(due, due.awaited, await page.find(*due.awaited))
        elif self.restriction.stated is not None and not await page.may_send(chat):
            raise Postponed(PostponeReason.RESTRICTED)
        due.restricted = False
        taken = await self._client.take(TakeRequest(tenant=self.tenant, epoch=self.epoch, chat=chat, turn=turn))
        if taken.result == "gone":
            log(LogEvent.TURN_GONE, tenant=self.tenant, turn=turn)
            return
        for index in range(taken.cursor, len(taken.parts)):
            part = taken.parts[index]
            try:
                await self._send(page, due, (taken.chat, part.id), part.text, taken.quote if index == 0 else None)
            except RefusedForGood as refusal:
                await self._report_refused(due, index, taken, refusal.ack)
                return
            self._journal.add_sent(SentPart(chat, turn, index, part.id, self._clock.wall_ms()))
        log(LogEvent.TURN_DELIVERED, tenant=self.tenant, turn=turn, parts=len(taken.parts))

    async def _send(self, page: Page, due: DueTurn, message: tuple[str, str], text: str, quote: str | None) -> None:
        """Sends a message once (deduplicates): one of an earlier attempt is found, and sent again only if refused."""
        ack = await page.find(*message)
        if ack is None or ack < 0:
            if not self._lease.allows_sending():
                raise Postponed(PostponeReason.LEASE_TOO_SHORT)
            if ack is None:
                self._begin(due)
                ack = (await page.send(*message, text, quote)).ack
            elif self._refusals.may_resend(message[1], self._clock.now()):
                self._begin(due)
                ack = (await page.resend(*message)).ack
        self._confirm(due, message, ack)
        self.sent_at = self._clock.now()

    def _begin(self, due: DueTurn) -> None:
        """Takes the token of a reply of which nothing is sent yet."""
        now = self._clock.now()
        self.restriction.tried(now)
        if due.delivery.turn not in self._begun:
            self._bucket.spend(now, self._jitter())
            self._begun[due.delivery.turn] = None
        while len(self._begun) > MAX_BEGUN:
            del self._begun[next(iter(self._begun))]

    def _confirm(self, due: DueTurn, message: tuple[str, str], ack: int | None) -> None:
        """Returns if WhatsApp's server has the message; raises Postponed or RefusedForGood otherwise."""
        due.awaited = message if ack == 0 else None
        if ack is None:
            raise Postponed(PostponeReason.MESSAGE_LOST)
        if ack == 0:  # WhatsApp Web re-sends by itself, under the same id, when it reconnects
            self._unconfirmed.setdefault(message[1], self._clock.now())
            raise Postponed(PostponeReason.UNCONFIRMED)
        self._unconfirmed.pop(message[1], None)
        if ack < 0:
            self._refuse(due, message, ack)
        self.restriction.accepted()

    def _refuse(self, due: DueTurn, message: tuple[str, str], ack: int) -> None:
        """Raises Postponed until the message may be sent again; RefusedForGood if it was sent again often enough."""
        now = self._clock.now()
        self.restriction.refused(message[0], now)
        resend_at = self._refusals.refused(message[1], now, self._jitter())
        if resend_at is None:
            raise RefusedForGood(ack)
        due.not_before = resend_at
        raise Postponed(PostponeReason.NOT_ACCEPTED, ack)

    async def _report_refused(self, due: DueTurn, part: int, taken: TakeAnswer, ack: int) -> None:
        """Reports a part that WhatsApp refused for good, which ends the turn. Raises ControlPlaneError or Postponed."""
        message, turn = taken.parts[part].id, due.delivery.turn
        log(LogEvent.REPLY_REFUSED, tenant=self.tenant, turn=turn, part=part, ack=ack)
        request = RefusedRequest(
            tenant=self.tenant,
            epoch=self.epoch,
            chat=due.delivery.chat,
            turn=turn,
            part=part,
            message=message,
            ack=ack,
        )
        try:
            await self._client.report_refused(request)
        except TransientError as error:
            raise Postponed(PostponeReason.REFUSAL_UNREPORTED) from error
