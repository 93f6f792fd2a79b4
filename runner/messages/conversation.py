"""The messages of a session: writes what its page receives to the journal, and sends replies."""

import asyncio
from collections.abc import Callable

from runner.backoff import backoff_seconds
from runner.browser.page import Page, PageError, PageRestriction
from runner.clock import Clock
from runner.control_plane.client import ControlPlaneClient
from runner.control_plane.lease import Lease
from runner.log_events import LogEvent
from runner.logs import log
from runner.messages.inbox import Inbox
from runner.messages.journal import OVERLAP_SECONDS, Journal
from runner.messages.replies import Replies
from runner.messages.token_bucket import REPLIES_PER_MINUTE, TokenBucket
from runner.messages.typing_indicator import TypingIndicator
from wire import Message, Outcome

SWEEP_SECONDS = 5.0
#: The first messages after a scan may have an earlier WhatsApp time than this machine's clock has at the first look.
#: Whether one is history is decided by the control plane.
LINKED_SLACK_SECONDS = 60
#: A queued message is expected to be answered within this; until then the runner
#: waits for the bell (docs/design/placement.md).
ANSWER_EXPECTED_SECONDS = 120.0
#: So long after the last message, in or out, no contact notices a page that goes away for some seconds.
QUIET_AFTER_SECONDS = 30.0
#: A page that is online for so long has all messages, even if it does not report that offline delivery ended.
SETTLED_AFTER_SECONDS = 60.0
#: The time for the last reading of a page, and the wait for the outbox to make room in the journal meanwhile.
LAST_READING_TIMEOUT_SECONDS = 8.0
ROOM_CHECK_SECONDS = 0.5
#: The reported caught-up time lags by this: the control plane takes everything earlier for history, and WhatsApp
#: does not deliver strictly in the order of its own clock.
CAUGHT_UP_LAG_SECONDS = 120
#: It moves in steps of this, since each is a write.
CAUGHT_UP_STEP_SECONDS = 60
#: A message that cannot be decrypted for so long is not waited for any more, and handed in as it is (the same number
#: is in message_tail.js). It is still handed in once it is decrypted.
DECRYPTION_SECONDS = 630


class Conversation:
    """The messages and replies of a session, across its pages.

    Events are hints: after each, the same sweep reads every chat's tail, so that a lost event costs five seconds and
    never a message. A message is in the journal before the conversation waits for anything else, since WhatsApp has
    its receipt; the outbox hands it in. One that is decrypted, edited or deleted later is handed in again, for half a
    day. A reply is searched in the chat before it is sent, under an id that is the same after any crash.
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
        on_change: Callable[[], None],
        replies_per_minute: int = REPLIES_PER_MINUTE,
    ) -> None:
        self.tenant = tenant
        self.epoch = epoch
        #: WhatsApp time up to which every message was handed in and acknowledged.
        self.caught_up_to_ms: int | None = None
        self.replies = Replies(
            tenant=tenant,
            epoch=epoch,
            client=client,
            lease=lease,
            journal=journal,
            clock=clock,
            jitter=jitter,
            on_answered=self._answered,
            bucket=TokenBucket(replies_per_minute),
        )
        self._journal = journal
        self._clock = clock
        self._jitter = jitter
        self._on_change = on_change
        self._page_changed = asyncio.Event()
        #: Reads the page, and knows how much of it could not be read.
        self.inbox = Inbox(tenant=tenant, journal=journal, clock=clock)
        #: By chat, until when an answer is expected.
        self._expected_until: dict[str, float] = {}
        self._typing = TypingIndicator(clock)
        self._online_since: float | None = None
        self._delivered_offline = False
        self._readable = False

    @property
    def received_at(self) -> float | None:
        """Returns when the last new message was read from the page."""
        return self.inbox.received_at

    # -- the session's side ---------------------------------------------------------------------------------------

    def mark_linked(self, caught_up_to_ms: int | None) -> None:
        """Records that the page is logged in; the first login of all begins now: older messages are never read."""
        if caught_up_to_ms is not None:
            self._journal.raise_floor(caught_up_to_ms // 1000 - OVERLAP_SECONDS)
        elif self._journal.floor_s is None:
            self._journal.raise_floor(self._clock.wall_ms() // 1000 - LINKED_SLACK_SECONDS)

    def mark_readable(self) -> None:
        """Starts reading: the page belongs to the session's account, proven online or not."""
        if not self._readable:
            self._readable = True
            self._page_changed.set()

    def mark_online(self, delivered_offline: bool, restriction: PageRestriction | None = None) -> None:
        """Starts sending: the page is proven online. ``delivered_offline``: it has all messages of its absence."""
        self.replies.observe_restriction(restriction)
        self._delivered_offline = delivered_offline
        if self._online_since is None:
            self._online_since = self._clock.now()
            self._page_changed.set()
        self.mark_readable()
        self.replies.set_online(True)

    def mark_offline(self) -> None:
        """Stops sending until the next proof; messages that the page holds are still handed in."""
        self._online_since = None
        self.replies.set_online(False)

    def forget_page(self) -> None:
        """Starts over for a new page."""
        self.mark_offline()
        self.replies.forget_page()
        self.inbox.forget_page()
        self._readable = False

    def wake(self) -> None:
        """Starts a sweep: something happened on the page."""
        self._page_changed.set()

    def is_pending(self) -> bool:
        """Returns whether an answer is expected soon."""
        now = self._clock.now()
        self._expected_until = {chat: until for chat, until in self._expected_until.items() if until > now}
        return bool(self._expected_until)

    def is_quiet(self) -> bool:
        """Returns whether no contact waits for a reply, or did a moment ago."""
        if self.is_pending() or not self._journal.is_empty() or not self.replies.are_idle():
            return False
        last_at = max(self.received_at or 0.0, self.replies.sent_at or 0.0)
        return self._clock.now() - last_at >= QUIET_AFTER_SECONDS

    # -- the loops ------------------------------------------------------------------------------------------------

    async def run(self, page: Page) -> None:
        """Reads and replies until cancelled; the page's supervisor recovers from errors of the page."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_messages(page))
            group.create_task(self.replies.run(page))
            group.create_task(self._typing.run(page))

    async def _read_messages(self, page: Page) -> None:
        """Moves messages from the page to the journal at once, whether or not the control plane answers."""
        attempt = 0
        while True:
            await self._clock.wait(self._page_changed, SWEEP_SECONDS)
            self._page_changed.clear()
            try:
                if self._readable:
                    await self.inbox.read(page)
                    self._update_caught_up()
                    attempt = 0
            except PageError as error:
                if attempt == 0:
                    log(LogEvent.READING_INTERRUPTED, tenant=self.tenant, error=error, code=str(error))
                await self._clock.sleep(min(SWEEP_SECONDS, backoff_seconds(attempt, self._jitter())))
                attempt += 1
                self._page_changed.set()

    async def read_rest(self, page: Page | None, *, own_account: bool = False) -> None:
        """Moves what only the page has to the journal, before its browser ends or its session is lost.

        A page that was never proven online is read only if the caller saw that it shows its ``own_account``.
        """
        if page is None or not (self._readable or own_account):
            return
        try:
            async with asyncio.timeout(LAST_READING_TIMEOUT_SECONDS):
                while not await self.inbox.read(page):
                    await self._clock.sleep(ROOM_CHECK_SECONDS)
        except (PageError, TimeoutError) as error:
            log(LogEvent.FINAL_READ_FAILED, tenant=self.tenant, error=error)

    # -- the outbox's side ----------------------------------------------------------------------------------------

    def receive_outcome(self, message: Message, outcome: Outcome) -> None:
        """Shows that a queued message is being answered; a person who took over answers by himself."""
        if outcome is Outcome.QUEUED:
            self._expected_until[message.chat] = self._clock.now() + ANSWER_EXPECTED_SECONDS
            self._typing.start(message.chat)
            self._on_change()
        elif outcome is Outcome.TAKEOVER:
            self._answered(message.chat)

    def _update_caught_up(self) -> None:
        """Advances the caught-up time if no message waits, and all of the browser's absence have arrived."""
        now, since = self._clock.now(), self._online_since
        settled = since is not None and (self._delivered_offline or now - since >= SETTLED_AFTER_SECONDS)
        wall_s = self._clock.wall_ms() // 1000
        up_to_s = self._journal.caught_up_to_s(wall_s, CAUGHT_UP_LAG_SECONDS, DECRYPTION_SECONDS)
        if not settled or self._journal.waiting or self.inbox.holds_back() or up_to_s is None:
            return
        if since is not None and now - since >= OVERLAP_SECONDS:
            self._journal.raise_floor(up_to_s - OVERLAP_SECONDS)
        if self.caught_up_to_ms is None or up_to_s * 1000 >= self.caught_up_to_ms + CAUGHT_UP_STEP_SECONDS * 1000:
            self.caught_up_to_ms = up_to_s * 1000
            self._on_change()

    def _answered(self, chat: str) -> None:
        self._expected_until.pop(chat, None)
        self._typing.stop(chat)
